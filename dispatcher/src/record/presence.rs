//! Who is where: an enter puts a device into a zone, an exit takes it out. Of a batch only the end is written.

use std::collections::HashMap;

use futures::{StreamExt as _, TryStreamExt as _, stream};
use geopush_model::{DeviceKey, Transition, TransitionKind, ZoneId};
use geopush_store::tables::{PRESENCE_SHARDS, PresenceByDeviceRow, PresenceByZoneRow, device_shard};
use geopush_store::{Store, StoreError, Timestamp};

use super::transitions::seq_of;

/// Deletions under way at once.
const DELETIONS: usize = 32;

/// What a batch of transitions does to presence.
#[derive(Clone, Debug, Default)]
pub(super) struct PresenceChanges {
    pub(super) by_device: Vec<PresenceByDeviceRow>,
    pub(super) by_zone: Vec<PresenceByZoneRow>,
    left: Vec<(PresenceByDeviceRow, PresenceByZoneRow)>,
}

impl PresenceChanges {
    /// Transitions come in the order of the log, which is that of each device.
    pub(super) fn of(transitions: &[Transition]) -> Self {
        let mut last: HashMap<(DeviceKey, ZoneId), &Transition> = HashMap::new();
        let mut changes = Self::default();
        for t in transitions {
            match t.kind {
                TransitionKind::Enter | TransitionKind::Exit(_) => {
                    last.insert((t.key(), t.zone), t);
                }
                TransitionKind::Dwell => {}
            }
        }
        for t in last.into_values() {
            if t.kind == TransitionKind::Enter {
                changes.by_device.push(by_device(t));
                changes.by_zone.push(by_zone(t));
            } else {
                changes.left.push((by_device(t), by_zone(t)));
            }
        }
        changes
    }

    /// Removes who left.
    pub(super) async fn remove(&self, store: &Store) -> Result<(), StoreError> {
        let left = stream::iter(&self.left).map(Ok).try_for_each_concurrent(
            DELETIONS,
            async |(of_device, in_zone)| {
                futures::try_join!(
                    store.delete_up_to(of_device.clone()),
                    store.delete_up_to(in_zone.clone()),
                )
                .map(drop)
            },
        );
        left.await
    }
}

fn by_device(t: &Transition) -> PresenceByDeviceRow {
    PresenceByDeviceRow {
        tenant: t.tenant.0,
        device: t.device.as_str().to_owned(),
        zone: t.zone.0,
        zone_external_id: t.zone_external_id.clone(),
        since: Timestamp(t.at.0),
        incarnation: t.incarnation.0,
        seq: seq_of(t),
    }
}

fn by_zone(t: &Transition) -> PresenceByZoneRow {
    PresenceByZoneRow {
        tenant: t.tenant.0,
        zone: t.zone.0,
        shard: device_shard(t.device.as_str(), PRESENCE_SHARDS),
        device: t.device.as_str().to_owned(),
        since: Timestamp(t.at.0),
        incarnation: t.incarnation.0,
        seq: seq_of(t),
    }
}
