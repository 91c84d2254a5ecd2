//! Devices: registered by phones and merchants, made by their first ping, read by the dispatcher.

use std::time::Duration;

use geopush_log::{AppendError, Record, SharedLog, Topic};
use geopush_model::{
    Config, ConfigItem, DeadToken, DeviceId, DeviceKey, Ping, PingKind, TenantId, UnixMillis, Wire as _,
};
use geopush_store::tables::{DevicePositionRow, DeviceRow, device_bucket};
use geopush_store::{Direction, Page, Store, StoreError};
use uuid::Uuid;

use crate::device::Device;
use crate::publisher::corrupt;

/// Some of a tenant's devices: see [`Devices::page`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DevicePage {
    /// Those that can be read and are not deleted.
    pub devices: Vec<Device>,
    /// How many rows it is made of.
    pub rows: usize,
    /// Rows that can't be read.
    pub unreadable: usize,
    /// Where the next page begins; none: the bucket has no more rows.
    pub next: Option<DeviceId>,
}

/// Why a device could not be changed.
#[derive(Debug, thiserror::Error)]
pub enum DeviceError {
    /// The caller knows another version.
    #[error("the device was changed by somebody else in the meantime; read it again and decide anew")]
    Conflict,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The log failed: the device is deleted, but still inside its zones until the deletion is asked for again.
    #[error(transparent)]
    Log(#[from] AppendError),
}

/// How often a write that lost a race is tried again, if the caller did not name a version.
const MOST_TRIES: usize = 8;
/// A device that was deleted in another process, which died before it could tell, is made anew by its pings at most this
/// late.
const KNOWN_FOR: Duration = Duration::from_mins(10);

/// The devices that are known to have a row: one look a device and ten minutes, not one a ping. Shared by what runs
/// in one process; of devices deleted by others it hears through [`crate::Directory`].
#[derive(Clone)]
pub struct KnownDevices(moka::sync::Cache<DeviceKey, ()>);

impl KnownDevices {
    /// Remembers at most this many.
    pub fn new(most: u64) -> Self {
        Self(moka::sync::Cache::builder().max_capacity(most).time_to_live(KNOWN_FOR).build())
    }

    /// This device is gone, or may be.
    pub(crate) fn forget(&self, device: &DeviceKey) {
        self.0.invalidate(device);
    }
}

/// Reads and writes devices. Cheap to clone.
#[derive(Clone)]
pub struct Devices {
    store: Store,
    log: SharedLog,
    known: KnownDevices,
}

impl Devices {
    /// The devices in this store; deletions are told to this log.
    pub fn new(store: Store, log: SharedLog, known: KnownDevices) -> Self {
        Self { store, log, known }
    }

    /// The device, if it exists and is not deleted.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn get(&self, tenant: TenantId, device: &DeviceId) -> Result<Option<Device>, StoreError> {
        let row = self.row(tenant, device).await?;
        row.filter(|row| !row.deleted).map(Device::of_row).transpose()
    }

    /// These devices, `None` where there is none, in the order asked.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn get_many(&self, keys: &[DeviceKey]) -> Result<Vec<Option<Device>>, StoreError> {
        let keys: Vec<_> = keys.iter().map(|key| row_key(key.tenant, &key.device)).collect();
        let rows = self.store.get_all::<DeviceRow>(&keys).await?;
        rows.into_iter().map(|row| row.filter(|row| !row.deleted).map(Device::of_row).transpose()).collect()
    }

    /// The devices of one of the tenant's buckets (0 to [`DEVICE_BUCKETS`](geopush_store::tables::DEVICE_BUCKETS) - 1)
    /// after this one, by id: of at most `limit` rows, of which the deleted ones are left out.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn page(
        &self,
        tenant: TenantId,
        bucket: i32,
        after: Option<&DeviceId>,
        limit: usize,
    ) -> Result<DevicePage, StoreError> {
        let mut page = Page::first(limit, Direction::Ascending);
        page.after = after.map(|device| (device.as_str().to_owned(),));
        let rows: Vec<DeviceRow> = self.store.page(&(tenant.0, bucket), &page).await?;
        let last = rows.last().filter(|_| rows.len() == limit);
        let next = last.map(|row| DeviceId::new(&row.device)).transpose();
        let next = next.map_err(|_| corrupt::<DeviceRow>("device"))?;
        let mut found = DevicePage { rows: rows.len(), next, ..DevicePage::default() };
        for row in rows.into_iter().filter(|row| !row.deleted) {
            match Device::of_row(row) {
                Ok(device) => found.devices.push(device),
                Err(_) => found.unreadable += 1,
            }
        }
        Ok(found)
    }

    /// Makes a device that has just pinged, if it is not there.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn ensure(
        &self,
        tenant: TenantId,
        device: &DeviceId,
        now: UnixMillis,
    ) -> Result<(), StoreError> {
        let key = DeviceKey { tenant, device: device.clone() };
        if self.known.0.contains_key(&key) {
            return Ok(());
        }
        let row = self.row(tenant, device).await?;
        if row.as_ref().is_none_or(|row| row.deleted) {
            let (fresh, version) = successor(tenant, device, row.as_ref(), now);
            // Whoever came first made it.
            self.write(&fresh, false, version).await?;
        }
        self.known.0.insert(key, ());
        Ok(())
    }

    /// Changes a device, made first if it is not there; returns it and whether it was made. With `version`, only if
    /// that is its version. `change` may be called more than once.
    ///
    /// # Errors
    /// [`DeviceError::Conflict`] when the version is another, or others change it all the time.
    pub async fn upsert(
        &self,
        tenant: TenantId,
        device: &DeviceId,
        version: Option<i64>,
        now: UnixMillis,
        change: impl Fn(&mut Device) + Send,
    ) -> Result<(Device, bool), DeviceError> {
        for _ in 0..MOST_TRIES {
            let row = self.row(tenant, device).await?;
            let made = row.as_ref().is_none_or(|row| row.deleted);
            if version.is_some_and(|wanted| made || row.as_ref().is_none_or(|row| row.version != wanted)) {
                return Err(DeviceError::Conflict);
            }
            let (mut next, replaced) = successor(tenant, device, row.as_ref(), now);
            if let Some(row) = row.filter(|_| !made) {
                next = Device { version: next.version, updated_at: now, ..Device::of_row(row)? };
            }
            let token = next.push_token.clone();
            change(&mut next);
            if next.push_token != token || next.token_at.is_none() {
                next.token_at = next.push_token.is_some().then_some(now);
            }
            if self.write(&next, false, replaced).await? {
                self.known.0.insert(DeviceKey { tenant, device: device.clone() }, ());
                return Ok((next, made));
            }
        }
        Err(DeviceError::Conflict)
    }

    /// Deletes a device and has it forgotten: it leaves every zone. Returns whether it was there.
    ///
    /// # Errors
    /// When the store or the log fails; asking again finishes what was begun.
    pub async fn delete(
        &self,
        tenant: TenantId,
        device: &DeviceId,
        version: Option<i64>,
        now: UnixMillis,
    ) -> Result<bool, DeviceError> {
        let key = DeviceKey { tenant, device: device.clone() };
        for _ in 0..MOST_TRIES {
            let Some(row) = self.row(tenant, device).await?.filter(|row| !row.deleted) else {
                return Ok(false);
            };
            if version.is_some_and(|wanted| row.version != wanted) {
                return Err(DeviceError::Conflict);
            }
            // First the log: a crash before the row is marked leaves a device that can be deleted again.
            let ping = Ping { tenant, device: device.clone(), received_at: now, kind: PingKind::Forget };
            self.log.append(vec![Record::new(Topic::Pings, key.to_bytes(), ping.encode())]).await?;
            let (gone, replaced) = successor(tenant, device, Some(&row), now);
            self.known.forget(&key);
            if self.write(&gone, true, replaced).await? {
                self.known.forget(&key);
                let item = ConfigItem::Gone(device.clone());
                let told = Config { tenant, version: gone.version, item };
                self.log.append(vec![Record::new(Topic::Config, told.key(), told.encode())]).await?;
                let position = (tenant.0, device.as_str().to_owned());
                self.store.delete::<DevicePositionRow>(&position, &()).await?;
                return Ok(true);
            }
        }
        Err(DeviceError::Conflict)
    }

    /// Drops a token that a provider called dead, if it is still the device's and was not registered since.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn drop_token_if(
        &self,
        tenant: TenantId,
        device: &DeviceId,
        dead: &DeadToken,
        now: UnixMillis,
    ) -> Result<bool, StoreError> {
        for _ in 0..MOST_TRIES {
            let row = self.row(tenant, device).await?.filter(|row| !row.deleted);
            let is_dead = |row: &DeviceRow| {
                row.push_token.as_deref() == Some(dead.token.as_str())
                    && row.token_at.is_none_or(|registered_at| registered_at.0 <= dead.at.0)
            };
            let Some(row) = row.filter(is_dead) else {
                return Ok(false);
            };
            let version = row.version;
            let next = Device {
                push_token: None,
                token_at: None,
                version: version + 1,
                updated_at: now,
                ..Device::of_row(row)?
            };
            if self.write(&next, false, Some(version)).await? {
                return Ok(true);
            }
        }
        Err(StoreError::Unavailable("a device is changed by too many at once".to_owned()))
    }

    async fn row(&self, tenant: TenantId, device: &DeviceId) -> Result<Option<DeviceRow>, StoreError> {
        let (partition, clustering) = row_key(tenant, device);
        self.store.get(&partition, &clustering).await
    }

    async fn write(&self, device: &Device, deleted: bool, replaces: Option<i64>) -> Result<bool, StoreError> {
        let row = device.row(deleted);
        match replaces {
            None => self.store.put_if_absent(row).await,
            Some(version) => self.store.put_if_version(row, version).await,
        }
    }
}

fn row_key(tenant: TenantId, device: &DeviceId) -> ((Uuid, i32), (String,)) {
    ((tenant.0, device_bucket(device.as_str())), (device.as_str().to_owned(),))
}

/// An empty device to follow the row that is there, if one is, and the version that it replaces.
fn successor(
    tenant: TenantId,
    device: &DeviceId,
    row: Option<&DeviceRow>,
    now: UnixMillis,
) -> (Device, Option<i64>) {
    let version = row.map(|row| row.version);
    let fresh = Device::new(tenant, device.clone(), now);
    (Device { version: version.unwrap_or(0) + 1, ..fresh }, version)
}
