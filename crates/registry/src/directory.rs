//! Tenants' keys and apps, followed from the log, so that every role can ask without I/O.

use std::collections::HashMap;
use std::sync::{Arc, RwLock};
use std::time::Duration;

use geopush_log::{Follower, LogError, Received, SharedLog, Topic};
use geopush_model::{Config, ConfigItem, DeviceKey, KeyHash, KeyKind, TenantId, TenantSettings, Wire as _};

use crate::devices::KnownDevices;
use crate::keys::hash_of;
use crate::{AppCredentials, Sealer};

/// Whose key it is and what it opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Principal {
    /// Whose.
    pub tenant: TenantId,
    /// What it opens.
    pub kind: KeyKind,
}

/// Which providers an app has credentials for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AppProviders {
    /// For FCM.
    pub fcm: bool,
    /// For APNs.
    pub apns: bool,
}

/// Devices that are known to exist; at some 150 bytes each.
const KNOWN_DEVICES: u64 = 1_000_000;
/// How long someone with an unknown key waits for what other processes have made lately.
const CATCH_UP: Duration = Duration::from_secs(1);

/// The followed copy.
pub struct Directory {
    items: Arc<RwLock<Items>>,
    known_devices: KnownDevices,
    follower: Follower,
}

#[derive(Default)]
struct Items {
    keys: HashMap<KeyHash, Versioned<Option<Principal>>>,
    apps: HashMap<(TenantId, String), Versioned<AppEntry>>,
    settings: HashMap<TenantId, Versioned<Arc<TenantSettings>>>,
}

struct Versioned<T> {
    version: i64,
    value: T,
}

struct AppEntry {
    providers: Option<AppProviders>,
    credentials: Option<Arc<AppCredentials>>,
}

impl Directory {
    /// Follows the configuration; returns when everything that is there now is known. Without a sealer apps are known,
    /// but not their credentials.
    ///
    /// # Errors
    /// When the log can't be read.
    pub async fn follow(log: SharedLog, sealer: impl Into<Option<Sealer>>) -> Result<Self, LogError> {
        let sealer = sealer.into();
        let items = Arc::new(RwLock::new(Items::default()));
        let known_devices = KnownDevices::new(KNOWN_DEVICES);
        let (applied, known) = (Arc::clone(&items), known_devices.clone());
        let apply = move |records: &[Received]| {
            let mut items = applied.write().expect("no holder of this lock panics");
            for record in records {
                items.apply(record, sealer.as_ref(), &known);
            }
        };
        let follower = Follower::start(log, Topic::Config, apply).await?;
        Ok(Self { items, known_devices, follower })
    }

    /// The devices that are known to exist, less those that any process deletes.
    pub fn known_devices(&self) -> KnownDevices {
        self.known_devices.clone()
    }

    /// The read barrier: returns when every change that was answered before the call is known.
    ///
    /// # Errors
    /// When the log can't be read.
    pub async fn barrier(&self) -> Result<(), LogError> {
        self.follower.barrier().await
    }

    /// Who holds this key, if anybody does. One that is not known may have been made by another process a moment ago,
    /// and its holder told: so it is looked for again behind the read barrier, within a second.
    pub async fn principal(&self, key: &str) -> Option<Principal> {
        match self.authenticate(key) {
            Some(principal) => Some(principal),
            None => {
                // When the log does not answer, the key stays unknown.
                let _ = tokio::time::timeout(CATCH_UP, self.barrier()).await;
                self.authenticate(key)
            }
        }
    }

    /// Who holds this key, as far as is known here.
    pub fn authenticate(&self, key: &str) -> Option<Principal> {
        self.read().keys.get(&hash_of(key))?.value
    }

    /// A tenant's settings; none of one that is not known.
    pub fn settings(&self, tenant: TenantId) -> Option<Arc<TenantSettings>> {
        self.read().settings.get(&tenant).map(|entry| Arc::clone(&entry.value))
    }

    /// Which providers an app has credentials for, if there is such an app.
    pub fn app_providers(&self, tenant: TenantId, app: &str) -> Option<AppProviders> {
        self.read().apps.get(&(tenant, app.to_owned()))?.value.providers
    }

    /// An app's credentials with their version, if there is such an app and they could be opened.
    pub fn app(&self, tenant: TenantId, app: &str) -> Option<(i64, Arc<AppCredentials>)> {
        let items = self.read();
        let entry = items.apps.get(&(tenant, app.to_owned()))?;
        Some((entry.version, Arc::clone(entry.value.credentials.as_ref()?)))
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, Items> {
        self.items.read().expect("no holder of this lock panics")
    }
}

impl Items {
    /// A version that is older than the one known is a late copy.
    fn apply(&mut self, record: &Received, sealer: Option<&Sealer>, known: &KnownDevices) {
        let Some(value) = &record.value else { return };
        let config = match Config::decode(value) {
            Ok(config) => config,
            Err(error) => {
                metrics::counter!("geopush_registry_config_undecodable_total").increment(1);
                tracing::error!(%error, offset = record.offset, "a configuration record was left out: a newer version may have written it");
                return;
            }
        };
        let (tenant, version) = (config.tenant, config.version);
        match config.item {
            ConfigItem::Tenant(settings) => {
                put(&mut self.settings, tenant, version, Arc::new(settings));
            }
            ConfigItem::Gone(device) => known.forget(&DeviceKey { tenant, device }),
            ConfigItem::Key(key) => {
                let principal = (!key.revoked).then_some(Principal { tenant, kind: key.kind });
                put(&mut self.keys, key.hash, version, principal);
            }
            ConfigItem::App(app) => {
                let entry = if app.deleted {
                    AppEntry { providers: None, credentials: None }
                } else {
                    let credentials = sealer.map(|sealer| sealer.open(tenant, &app.name, &app.sealed));
                    if let Some(Err(error)) = &credentials {
                        tracing::error!(%tenant, app = app.name, %error, "an app can't send");
                    }
                    AppEntry {
                        providers: Some(AppProviders { fcm: app.fcm, apns: app.apns }),
                        credentials: credentials.and_then(Result::ok).map(Arc::new),
                    }
                };
                put(&mut self.apps, (tenant, app.name), version, entry);
            }
        }
    }
}

fn put<K: Eq + std::hash::Hash, V>(map: &mut HashMap<K, Versioned<V>>, key: K, version: i64, value: V) {
    if map.get(&key).is_none_or(|known| known.version <= version) {
        map.insert(key, Versioned { version, value });
    }
}
