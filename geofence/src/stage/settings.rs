//! The tenants' settings in the config topic, applied: what the evaluator must know of them.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::{ArcSwap, Guard};
use geopush_log::Received;
use geopush_model::{Config, ConfigItem, TenantId, TenantSettings, Wire};

/// What tenants chose, shared by a process's slices.
#[derive(Default)]
pub(super) struct Settings {
    known: Mutex<Known>,
    /// The tenants that ask for crossings.
    crossings: ArcSwap<HashSet<TenantId>>,
}

impl Settings {
    /// Applies records of the topic, in order.
    pub(super) fn apply(&self, records: &[Received]) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.apply(records) {
            self.crossings.store(known.crossings().into());
        }
    }

    /// The tenants for whom a zone that one of their devices passes between two fixes gives transitions. It never
    /// waits; for a group of pings it is asked once.
    pub(super) fn crossings(&self) -> Guard<Arc<HashSet<TenantId>>> {
        self.crossings.load()
    }
}

/// Every tenant's latest version, and whether it asks for crossings.
#[derive(Default)]
struct Known(HashMap<TenantId, (i64, bool)>);

impl Known {
    /// Applies records in order; returns whether any tenant's choice changed. An older version is a late copy.
    fn apply(&mut self, records: &[Received]) -> bool {
        let mut changed = false;
        for config in records.iter().filter_map(read) {
            let ConfigItem::Tenant(TenantSettings { detect_crossings, .. }) = config.item else { continue };
            let before = self.0.get(&config.tenant).copied();
            if before.is_none_or(|(version, _)| version <= config.version) {
                self.0.insert(config.tenant, (config.version, detect_crossings));
                changed |= before.is_some_and(|(_, before)| before) != detect_crossings;
            }
        }
        changed
    }

    fn crossings(&self) -> HashSet<TenantId> {
        self.0.iter().filter(|(_, (_, asked))| *asked).map(|(tenant, _)| *tenant).collect()
    }
}

fn read(record: &Received) -> Option<Config> {
    match Config::decode(record.value.as_ref()?) {
        Ok(config) => Some(config),
        Err(error) => {
            metrics::counter!("geopush_geofence_undecodable_config_total").increment(1);
            tracing::error!(
                offset = record.offset, %error,
                "a configuration record could not be decoded and is not applied; look at the record, and upgrade \
                 this process if a newer version wrote it"
            );
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use geopush_embedded::Database;
    use geopush_log::{EmbeddedLog, Follower, Record, SharedLog, Topic};
    use geopush_model::DeviceId;
    use uuid::Uuid;

    use super::*;

    const SHOP: TenantId = TenantId(Uuid::from_u128(1));
    const OTHER: TenantId = TenantId(Uuid::from_u128(2));

    struct Site {
        log: SharedLog,
        _dir: tempfile::TempDir,
    }

    impl Site {
        async fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let log = EmbeddedLog::open(Database::open(dir.path()).unwrap(), 2).await.unwrap();
            Self { log: Arc::new(log), _dir: dir }
        }

        async fn follow(&self) -> (Arc<Settings>, Follower) {
            let settings = Arc::<Settings>::default();
            let applied = Arc::clone(&settings);
            let apply = move |records: &[Received]| applied.apply(records);
            let follower = Follower::start(Arc::clone(&self.log), Topic::Config, apply).await.unwrap();
            (settings, follower)
        }

        async fn item(&self, tenant: TenantId, version: i64, item: ConfigItem) {
            let config = Config { tenant, version, item };
            let record = Record::new(Topic::Config, config.key(), config.encode());
            self.log.append(vec![record]).await.unwrap();
        }

        async fn choose(&self, tenant: TenantId, version: i64, detect_crossings: bool) {
            let settings = TenantSettings { detect_crossings, ..TenantSettings::default() };
            self.item(tenant, version, ConfigItem::Tenant(settings)).await;
        }
    }

    #[tokio::test]
    async fn what_was_chosen_before_the_start_is_known_at_it() {
        let site = Site::new().await;
        site.choose(SHOP, 1, true).await;
        site.choose(OTHER, 1, false).await;
        let (settings, _follower) = site.follow().await;
        assert!(settings.crossings().contains(&SHOP));
        assert!(!settings.crossings().contains(&OTHER), "another tenant has its own");
        assert!(
            !settings.crossings().contains(&TenantId(Uuid::from_u128(3))),
            "nobody asks for it by saying nothing"
        );
    }

    #[tokio::test]
    async fn a_change_is_known_behind_the_barrier() {
        let site = Site::new().await;
        let (settings, follower) = site.follow().await;
        for version in 1..20 {
            let asked = version % 3 == 0;
            site.choose(SHOP, version, asked).await;
            follower.barrier().await.unwrap();
            assert_eq!(settings.crossings().contains(&SHOP), asked, "{version}");
        }
    }

    #[tokio::test]
    async fn a_late_copy_of_an_older_version_changes_nothing() {
        let site = Site::new().await;
        let (settings, follower) = site.follow().await;
        site.choose(SHOP, 3, true).await;
        follower.barrier().await.unwrap();
        site.choose(SHOP, 2, false).await;
        follower.barrier().await.unwrap();
        assert!(settings.crossings().contains(&SHOP));
    }

    #[tokio::test]
    async fn what_is_no_setting_is_passed_by() {
        let site = Site::new().await;
        let (settings, follower) = site.follow().await;
        site.choose(SHOP, 1, true).await;
        site.item(SHOP, 2, ConfigItem::Gone(DeviceId::new("d1").unwrap())).await;
        site.log.append(vec![Record::new(Topic::Config, "x", b"\xff\xff".as_slice())]).await.unwrap();
        site.choose(OTHER, 1, true).await;
        follower.barrier().await.unwrap();
        assert!(settings.crossings().contains(&SHOP) && settings.crossings().contains(&OTHER));
    }
}
