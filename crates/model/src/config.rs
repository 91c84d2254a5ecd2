//! What every role must know of tenants: their settings, keys and apps.

use bytes::Bytes;

use crate::wire::{self, v1, wire};
use crate::{DeviceId, TenantId, TenantSettings, WireError};

/// One item of a tenant's configuration, as one version of it was.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Whose it is.
    pub tenant: TenantId,
    /// Counts the item's changes from 1 on.
    pub version: i64,
    /// The item.
    pub item: ConfigItem,
}

/// An item.
#[derive(Clone, Debug, PartialEq)]
pub enum ConfigItem {
    /// The tenant itself: its settings.
    Tenant(TenantSettings),
    /// A key to the APIs.
    Key(ApiKey),
    /// An app with its credentials.
    App(App),
    /// A device was deleted: whoever remembers that it is there forgets it.
    Gone(DeviceId),
}

/// SHA-256 of a key: what is kept of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct KeyHash(pub [u8; 32]);

/// A key to the APIs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiKey {
    /// What is kept of it.
    pub hash: KeyHash,
    /// What it opens.
    pub kind: KeyKind,
    /// Whether it no longer opens anything.
    pub revoked: bool,
}

/// What a key opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyKind {
    /// Everything of its tenant; never on a phone.
    Secret,
    /// Pings, a phone's registration and receipts.
    Publishable,
}

/// A merchant's mobile app.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct App {
    /// Its name in the tenant.
    pub name: String,
    /// The providers' credentials, sealed with the deployment's key.
    pub sealed: Bytes,
    /// Whether there are credentials for FCM among them.
    pub fcm: bool,
    /// Whether there are credentials for APNs among them.
    pub apns: bool,
    /// Whether this version is its deletion.
    pub deleted: bool,
}

/// Deleted devices of a tenant share this many keys.
const GONE_KEYS: u32 = 64;

impl Config {
    /// The log's key: an item's versions share it.
    pub fn key(&self) -> Bytes {
        let tenant = self.tenant;
        Bytes::from(match &self.item {
            ConfigItem::Tenant(_) => tenant.to_string(),
            ConfigItem::Key(key) => {
                let hash: String = key.hash.0.iter().map(|byte| format!("{byte:02x}")).collect();
                format!("{tenant}/key/{hash}")
            }
            ConfigItem::App(app) => format!("{tenant}/app/{}", app.name),
            // Only followers need it, as it comes: so a tenant's take no more than a few keys.
            ConfigItem::Gone(device) => {
                let sum: u32 = device.as_str().bytes().map(u32::from).sum();
                format!("{tenant}/gone/{}", sum % GONE_KEYS)
            }
        })
    }
}

wire!(Config => v1::Config);

impl From<&Config> for v1::Config {
    fn from(config: &Config) -> Self {
        Self {
            tenant: wire::bytes_of(config.tenant.0),
            version: config.version,
            what: Some(match &config.item {
                ConfigItem::Tenant(settings) => v1::config::What::Settings(settings.into()),
                ConfigItem::Key(key) => v1::config::What::Key(v1::ApiKey {
                    hash: Bytes::copy_from_slice(&key.hash.0),
                    secret: key.kind == KeyKind::Secret,
                    revoked: key.revoked,
                }),
                ConfigItem::App(app) => v1::config::What::App(v1::App {
                    name: app.name.clone(),
                    sealed: app.sealed.clone(),
                    deleted: app.deleted,
                    fcm: app.fcm,
                    apns: app.apns,
                }),
                ConfigItem::Gone(device) => {
                    v1::config::What::Gone(v1::GoneDevice { device: device.as_str().to_owned() })
                }
            }),
        }
    }
}

impl TryFrom<v1::Config> for Config {
    type Error = WireError;

    fn try_from(config: v1::Config) -> Result<Self, WireError> {
        let item = match wire::present(config.what, "what")? {
            v1::config::What::Settings(settings) => ConfigItem::Tenant(settings.try_into()?),
            v1::config::What::Key(key) => ConfigItem::Key(ApiKey {
                hash: KeyHash(key.hash.as_ref().try_into().map_err(|_| WireError::Member("key.hash"))?),
                kind: if key.secret { KeyKind::Secret } else { KeyKind::Publishable },
                revoked: key.revoked,
            }),
            v1::config::What::App(app) => ConfigItem::App(App {
                name: app.name,
                sealed: app.sealed,
                fcm: app.fcm,
                apns: app.apns,
                deleted: app.deleted,
            }),
            v1::config::What::Gone(gone) => {
                ConfigItem::Gone(DeviceId::new(&gone.device).map_err(|_| WireError::Member("gone.device"))?)
            }
        };
        Ok(Self { tenant: TenantId(wire::uuid(&config.tenant, "tenant")?), version: config.version, item })
    }
}
