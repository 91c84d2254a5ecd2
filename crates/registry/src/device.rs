//! A device, and its row.

use geopush_model::{DeviceId, TenantId, UnixMillis};
use geopush_store::tables::{DeviceRow, device_bucket};
use geopush_store::{StoreError, Timestamp};
use serde_json::{Map, Value};

use crate::publisher::corrupt;

/// A device as it is now. `Debug` shows no token.
#[derive(Clone, PartialEq)]
pub struct Device {
    /// Whose it is.
    pub tenant: TenantId,
    /// Which one.
    pub device: DeviceId,
    /// What it runs, once registered.
    pub platform: Option<Platform>,
    /// The app that is on it.
    pub app: Option<String>,
    /// Its address with the push provider. In no log line.
    pub push_token: Option<String>,
    /// When that token was last registered; in a change none for: just now.
    pub token_at: Option<UnixMillis>,
    /// BCP 47.
    pub locale: Option<String>,
    /// IANA.
    pub timezone: Option<String>,
    /// The merchant's own JSON.
    pub attributes: Map<String, Value>,
    /// The merchant's own words.
    pub tags: Vec<String>,
    /// Whether its owner wants pushes.
    pub push_consent: bool,
    /// Whether its owner wants to be located.
    pub location_consent: bool,
    /// When it was first made.
    pub created_at: UnixMillis,
    /// When it was last changed.
    pub updated_at: UnixMillis,
    /// Counts its changes from 1 on, across deletion.
    pub version: i64,
}

/// What a device runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Platform {
    /// Android.
    Android,
    /// iOS.
    Ios,
    /// A browser.
    Web,
}

impl Platform {
    const ALL: [(Self, &'static str); 3] =
        [(Self::Android, "android"), (Self::Ios, "ios"), (Self::Web, "web")];

    /// `android`, `ios` or `web`.
    pub fn as_str(self) -> &'static str {
        Self::ALL[self as usize].1
    }

    /// Reads `android`, `ios` or `web`.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().find(|row| row.1 == text).map(|row| row.0)
    }
}

impl Device {
    /// A device of which nothing is known but that it exists.
    pub fn new(tenant: TenantId, device: DeviceId, now: UnixMillis) -> Self {
        Self {
            tenant,
            device,
            platform: None,
            app: None,
            push_token: None,
            token_at: None,
            locale: None,
            timezone: None,
            attributes: Map::new(),
            tags: Vec::new(),
            push_consent: true,
            location_consent: true,
            created_at: now,
            updated_at: now,
            version: 1,
        }
    }

    /// Its row, as one that was deleted or not.
    pub(crate) fn row(&self, deleted: bool) -> DeviceRow {
        DeviceRow {
            tenant: self.tenant.0,
            bucket: device_bucket(self.device.as_str()),
            device: self.device.as_str().to_owned(),
            platform: self.platform.map(|p| p.as_str().to_owned()),
            app: self.app.clone(),
            push_token: self.push_token.clone(),
            token_at: self.token_at.map(|at| Timestamp(at.0)),
            locale: self.locale.clone(),
            timezone: self.timezone.clone(),
            attributes: Value::Object(self.attributes.clone()).to_string(),
            tags: Value::from(self.tags.clone()).to_string(),
            push_consent: self.push_consent,
            location_consent: self.location_consent,
            deleted,
            created_at: Timestamp(self.created_at.0),
            updated_at: Timestamp(self.updated_at.0),
            version: self.version,
        }
    }

    /// The device of a row, whether or not it is deleted.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] when the row holds what no device has.
    pub fn of_row(row: DeviceRow) -> Result<Self, StoreError> {
        let corrupt = corrupt::<DeviceRow>;
        let platform = row.platform.map(|p| Platform::parse(&p).ok_or_else(|| corrupt("platform")));
        Ok(Self {
            tenant: TenantId(row.tenant),
            device: DeviceId::new(&row.device).map_err(|_| corrupt("device"))?,
            platform: platform.transpose()?,
            app: row.app,
            push_token: row.push_token,
            token_at: row.token_at.map(|at| UnixMillis(at.0)),
            locale: row.locale,
            timezone: row.timezone,
            attributes: serde_json::from_str(&row.attributes).map_err(|_| corrupt("attributes"))?,
            tags: serde_json::from_str(&row.tags).map_err(|_| corrupt("tags"))?,
            push_consent: row.push_consent,
            location_consent: row.location_consent,
            created_at: UnixMillis(row.created_at.0),
            updated_at: UnixMillis(row.updated_at.0),
            version: row.version,
        })
    }
}

impl std::fmt::Debug for Device {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Device")
            .field("device", &self.device)
            .field("version", &self.version)
            .finish_non_exhaustive()
    }
}
