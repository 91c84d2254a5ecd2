//! Where devices were last, as their state says: of a batch only the end is written.

use std::collections::HashMap;

use geopush_log::Received;
use geopush_model::{DeviceEntry, DeviceKey, DeviceState, Wire as _, WireError};
use geopush_store::tables::DevicePositionRow;
use geopush_store::{Store, StoreError, Timestamp};

/// What a batch of devices' states does to positions. States come in the order of the log, in which a device's own
/// records and its bucket's are one after the other.
#[derive(Debug, Default)]
pub(super) struct PositionChanges {
    last: HashMap<DeviceKey, Option<DevicePositionRow>>,
}

impl PositionChanges {
    /// Takes a record: devices as they are, or, without a value, a device that is forgotten.
    pub(super) fn take(&mut self, record: &Received) -> Result<(), WireError> {
        match record.value.as_deref().map(DeviceState::decode).transpose()? {
            Some(state) => {
                let rows = state.devices.iter().map(|entry| (key_of(entry), Some(row_of(entry))));
                self.last.extend(rows);
            }
            // A bucket's key is no device's: its devices moved, and are not forgotten.
            None => self.last.extend(DeviceKey::parse(&record.key).map(|key| (key, None))),
        }
        Ok(())
    }

    pub(super) fn rows(&self) -> Vec<DevicePositionRow> {
        self.last.values().flatten().cloned().collect()
    }

    /// Removes the forgotten devices' positions.
    pub(super) async fn remove(&self, store: &Store) -> Result<(), StoreError> {
        for (key, _) in self.last.iter().filter(|(_, row)| row.is_none()) {
            store.delete::<DevicePositionRow>(&(key.tenant.0, key.device.as_str().to_owned()), &()).await?;
        }
        Ok(())
    }
}

fn key_of(entry: &DeviceEntry) -> DeviceKey {
    DeviceKey { tenant: entry.tenant, device: entry.device.clone() }
}

fn row_of(entry: &DeviceEntry) -> DevicePositionRow {
    DevicePositionRow {
        tenant: entry.tenant.0,
        device: entry.device.as_str().to_owned(),
        lat: entry.last_fix.position.lat,
        lon: entry.last_fix.position.lon,
        time: Timestamp(entry.last_fix.time.0),
        accuracy_m: entry.last_fix.accuracy_m,
        received_at: Timestamp(entry.last_received.0),
    }
}
