//! Changes reach the row and the topic, both or neither, on the embedded default.
#![allow(clippy::unwrap_used, reason = "a failing helper fails its test")]

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use geopush_embedded::Database;
use geopush_geometry::Shape;
use geopush_log::{Cursor, EmbeddedLog, Received, SharedLog, Topic, Until};
use geopush_model::{
    Config, ConfigItem, DeadToken, DeviceId, Ping, PingKind, TenantId, TenantSettings, UnixMillis, Weight,
    Wire as _, Zone, ZoneId,
};
use geopush_registry::{
    AppCredentials, Change, ChangeError, DeviceError, Devices, Directory, KnownDevices, NewKey, Platform,
    Publisher, Registration, Sealer, app_row, create_tenant, set_weight, with_settings, zone_row,
};
use geopush_store::tables::{DEVICE_BUCKETS, IntentRow, TenantRow, ZoneRow};
use geopush_store::{EmbeddedStore, Store, StoreError, Timestamp};
use serde_json::json;
use uuid::Uuid;

const TENANT: TenantId = TenantId(Uuid::from_u128(1));
const NOW: UnixMillis = UnixMillis(1_000_000);

struct House {
    store: Store,
    log: SharedLog,
    publisher: Publisher,
    _dir: tempfile::TempDir,
}

async fn house() -> House {
    let dir = tempfile::tempdir().unwrap();
    let database = Database::open(dir.path()).unwrap();
    let log: SharedLog = Arc::new(EmbeddedLog::open(database.clone(), 8).await.unwrap());
    let store = Store::new(Arc::new(EmbeddedStore::new(database)));
    store.migrate().await.unwrap();
    let publisher = Publisher::new(store.clone(), Arc::clone(&log), || NOW);
    House { store, log, publisher, _dir: dir }
}

fn zone(version: i64) -> Zone {
    let shape = serde_json::json!({"type": "circle", "center": [2.1, 41.3], "radius_m": 50});
    Zone {
        external_id: Some("shop".into()),
        tags: vec!["a".into()],
        version,
        ..Zone::new(
            TENANT,
            ZoneId::of_external(TENANT, "shop"),
            &format!("v{version}"),
            Shape::from_json(&shape).unwrap(),
            NOW,
        )
    }
}

async fn records(log: &SharedLog, topic: Topic) -> Vec<Received> {
    let mut all = Vec::new();
    for partition in 0..log.partitions(topic) {
        let from = vec![Cursor { topic, partition, offset: 0 }];
        let mut reader = log.read(from, Until::Now).await.unwrap();
        while !reader.done() {
            all.extend(reader.next(Duration::from_secs(5)).await.unwrap().into_iter().flat_map(|(_, r)| r));
        }
    }
    all
}

async fn intents(store: &Store) -> usize {
    let mut count = 0;
    for shard in 0..4 {
        let page = geopush_store::Page {
            from: None,
            to: None,
            after: None,
            direction: geopush_store::Direction::Ascending,
            limit: 100,
        };
        count += store.page::<IntentRow>(&(shard,), &page).await.unwrap().len();
    }
    count
}

#[tokio::test]
async fn a_change_reaches_the_row_and_the_topic_and_a_stale_one_neither() {
    let house = house().await;
    house.publisher.create(zone_row(&zone(1))).await.unwrap();
    let again = house.publisher.create(zone_row(&zone(1))).await;
    assert!(matches!(again, Err(ChangeError::Conflict)));
    house.publisher.replace(zone_row(&zone(2)), 1).await.unwrap();
    let stale = house.publisher.replace(zone_row(&zone(3)), 1).await;
    assert!(matches!(stale, Err(ChangeError::Conflict)));

    let published = records(&house.log, Topic::Zones).await;
    assert_eq!(published.len(), 1, "compaction keeps the last version");
    assert_eq!(Zone::decode(published[0].value.as_ref().unwrap()).unwrap(), zone(2));
    assert_eq!(intents(&house.store).await, 0);
}

#[tokio::test]
async fn what_a_crash_left_between_row_and_topic_is_published_by_the_sweeper() {
    let house = house().await;
    // The crash: the intent and the row are there, the record is not.
    let row = zone_row(&zone(1));
    let intent = IntentRow {
        shard: 1,
        kind: "zone".into(),
        entity: format!("{}\n{}", Uuid::from_u128(5), row.zone),
        tenant: TENANT.0,
        created_at: Timestamp(NOW.0),
    };
    house.store.put(intent).await.unwrap();
    assert!(house.store.put_if_absent(row).await.unwrap());

    assert_eq!(house.publisher.sweep().await.unwrap(), 0, "it may still be under way");
    assert_eq!(records(&house.log, Topic::Zones).await.len(), 0);
    let later = Publisher::new(house.store.clone(), Arc::clone(&house.log), || NOW.plus_ms(30_001));
    assert_eq!(later.sweep().await.unwrap(), 1);
    let published = records(&house.log, Topic::Zones).await;
    assert_eq!(Zone::decode(published[0].value.as_ref().unwrap()).unwrap(), zone(1));
    assert_eq!(intents(&house.store).await, 0);
}

#[tokio::test]
async fn a_change_so_slow_that_the_sweeper_takes_it_for_dead_writes_no_row() {
    /// Each look at the clock is a minute later than the one before.
    fn slow() -> UnixMillis {
        static LOOKS: AtomicI64 = AtomicI64::new(0);
        NOW.plus_ms(60_000 * LOOKS.fetch_add(1, Ordering::Relaxed))
    }
    let house = house().await;
    let slow = Publisher::new(house.store.clone(), Arc::clone(&house.log), slow);
    let late = slow.create(zone_row(&zone(1))).await;
    assert!(matches!(late, Err(ChangeError::Store(StoreError::Unavailable(_)))), "{late:?}");
    assert_eq!(slow.sweep().await.unwrap(), 1);
    // Nobody has it, and it can be made again.
    house.publisher.create(zone_row(&zone(1))).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn however_changes_race_the_topic_ends_with_the_current_row() {
    let house = house().await;
    house.publisher.create(zone_row(&zone(1))).await.unwrap();
    let mut racers = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let (publisher, store) = (house.publisher.clone(), house.store.clone());
        racers.spawn(async move {
            let mut won = 0;
            while won < 10 {
                let key = zone_row(&zone(0));
                let row: ZoneRow = store.get(&(key.tenant, key.bucket), &(key.zone,)).await.unwrap().unwrap();
                let next = zone_row(&zone(row.version + 1));
                match publisher.replace(next, row.version).await {
                    Ok(()) => won += 1,
                    Err(ChangeError::Conflict) => {}
                    Err(e) => panic!("{e}"),
                }
            }
        });
    }
    racers.join_all().await;
    let published = records(&house.log, Topic::Zones).await;
    let last = Zone::decode(published.last().unwrap().value.as_ref().unwrap()).unwrap();
    assert_eq!(last.version, 81);
}

#[tokio::test]
async fn many_changes_are_each_for_themselves() {
    let house = house().await;
    let mut zones: Vec<Zone> = (0..300).map(|i| Zone { id: ZoneId(Uuid::from_u128(i)), ..zone(1) }).collect();
    house.publisher.create(zone_row(&zones[7])).await.unwrap();
    zones[9].version = 2;
    let changes = zones.iter().map(|z| match z.version {
        2 => Change::Replace(zone_row(z), 1),
        _ => Change::Create(zone_row(z)),
    });
    let results = house.publisher.change_all(changes.collect()).await;
    for (i, result) in results.iter().enumerate() {
        assert_eq!(result.is_err(), i == 7 || i == 9, "{i}: {result:?}");
    }
    assert_eq!(records(&house.log, Topic::Zones).await.len(), 299);
    assert_eq!(intents(&house.store).await, 0);
}

#[tokio::test]
async fn a_tenants_settings_reach_its_row_and_its_record() {
    let house = house().await;
    let tenant = create_tenant(&house.publisher, "Shop", NOW).await.unwrap().tenant;
    let published = async || {
        let records = records(&house.log, Topic::Config).await;
        let of_the_tenant = records.iter().find(|record| record.key == tenant.to_string()).unwrap();
        Config::decode(of_the_tenant.value.as_ref().unwrap()).unwrap()
    };
    let settings = |detect_crossings| {
        let name = "Shop".into();
        ConfigItem::Tenant(TenantSettings { name, detect_crossings, ..TenantSettings::default() })
    };
    assert_eq!(published().await, Config { tenant, version: 1, item: settings(false) });

    let row: TenantRow = house.store.get(&(tenant.0,), &()).await.unwrap().unwrap();
    // The middle one is as a row from before there was a choice reads.
    for (version, setting) in [(2, Some(true)), (3, None), (4, Some(true))] {
        let next = TenantRow { detect_crossings: setting, version, ..row.clone() };
        house.publisher.replace(next, version - 1).await.unwrap();
        let wanted = Config { tenant, version, item: settings(setting == Some(true)) };
        assert_eq!(published().await, wanted);
    }
}

#[tokio::test]
async fn a_tenants_weight_is_the_operators_and_stays_when_the_tenant_chooses() {
    let house = house().await;
    let directory = Directory::follow(house.log.clone(), None).await.unwrap();
    let tenant = create_tenant(&house.publisher, "Acme", NOW).await.unwrap().tenant;
    let weight = async || {
        directory.barrier().await.unwrap();
        directory.settings(tenant).unwrap().weight
    };
    assert_eq!(weight().await, Weight::default());
    let three = Weight::new(3).unwrap();
    assert!(set_weight(&house.publisher, tenant, three, NOW).await.unwrap());
    assert_eq!(weight().await, three);
    let row: TenantRow = house.store.get(&(tenant.0,), &()).await.unwrap().unwrap();
    let chosen = TenantSettings { name: "Acme & Söhne".into(), ..TenantSettings::default() };
    house.publisher.replace(with_settings(&row, &chosen, NOW), row.version).await.unwrap();
    assert_eq!(weight().await, three);
    assert!(!set_weight(&house.publisher, TENANT, three, NOW).await.unwrap(), "there is no such tenant");
}

#[tokio::test]
async fn the_directory_knows_keys_and_apps_as_soon_as_they_are_answered() {
    let house = house().await;
    let sealer = Sealer::from_hex(&"07".repeat(32)).unwrap();
    let directory = Directory::follow(Arc::clone(&house.log), sealer.clone()).await.unwrap();
    let made = create_tenant(&house.publisher, "Shop", NOW).await.unwrap();
    let none = AppCredentials { fcm: None, apns: None };
    house.publisher.create(app_row(&sealer, made.tenant, "shop", &none, 1, [NOW, NOW])).await.unwrap();
    directory.barrier().await.unwrap();

    let secret = directory.authenticate(&made.secret_key).unwrap();
    assert_eq!((secret.tenant, secret.kind), (made.tenant, geopush_model::KeyKind::Secret));
    let publishable = directory.authenticate(&made.publishable_key).unwrap();
    assert_eq!((publishable.tenant, publishable.kind), (made.tenant, geopush_model::KeyKind::Publishable));
    assert_eq!(directory.authenticate(&NewKey::draw(secret.kind).text), None);
    let (version, credentials) = directory.app(made.tenant, "shop").unwrap();
    assert_eq!((version, &*credentials), (1, &none));
    assert!(directory.app(TENANT, "shop").is_none(), "another tenant's app");

    // A process that starts later, with another key, knows the same but can't open the credentials.
    let other = Sealer::from_hex(&"08".repeat(32)).unwrap();
    let late = Directory::follow(Arc::clone(&house.log), other).await.unwrap();
    assert_eq!(late.authenticate(&made.secret_key), Some(secret));
    assert!(late.app(made.tenant, "shop").is_none() && late.app_providers(made.tenant, "shop").is_some());
}

#[tokio::test]
async fn a_device_lives_and_dies_and_its_version_never_goes_back() {
    let house = house().await;
    let devices = Devices::new(house.store.clone(), Arc::clone(&house.log), KnownDevices::new(100));
    let id = DeviceId::new("d1").unwrap();
    devices.ensure(TENANT, &id, NOW).await.unwrap();
    devices.ensure(TENANT, &id, NOW).await.unwrap();
    let known = devices.get(TENANT, &id).await.unwrap().unwrap();
    assert_eq!((known.version, known.push_consent, known.push_token), (1, true, None));

    let register = |device: &mut geopush_registry::Device| {
        device.platform = Some(Platform::Android);
        device.push_token = Some("t1".into());
    };
    let (registered, made) = devices.upsert(TENANT, &id, None, NOW.plus_ms(5), register).await.unwrap();
    assert_eq!((registered.version, made, registered.token_at), (2, false, Some(NOW.plus_ms(5))));
    let (same, _) = devices.upsert(TENANT, &id, Some(2), NOW.plus_ms(9), register).await.unwrap();
    assert_eq!(
        (same.token_at, same.created_at),
        (Some(NOW.plus_ms(5)), NOW),
        "a change of something else is no registration"
    );
    let stale = devices.upsert(TENANT, &id, Some(2), NOW, register).await;
    assert!(matches!(stale, Err(DeviceError::Conflict)));

    let again = Registration::from_json(&json!({ "push_token": "t1" })).unwrap();
    let registered_at = NOW.plus_ms(20);
    let anew =
        devices.upsert(TENANT, &id, None, registered_at, |device| again.apply(device)).await.unwrap().0;
    assert_eq!((anew.version, anew.token_at), (4, Some(registered_at)), "the same token, registered anew");
    let dead = |token: &str, at| DeadToken { token: token.to_owned(), at };
    for dead in [dead("t0", NOW.plus_ms(99)), dead("t1", NOW.plus_ms(19))] {
        assert!(!devices.drop_token_if(TENANT, &id, &dead, NOW).await.unwrap(), "{dead:?}");
    }
    assert!(devices.drop_token_if(TENANT, &id, &dead("t1", registered_at), NOW).await.unwrap());
    assert_eq!(devices.get(TENANT, &id).await.unwrap().unwrap().push_token, None);

    assert!(devices.delete(TENANT, &id, None, NOW).await.unwrap());
    assert!(!devices.delete(TENANT, &id, None, NOW).await.unwrap());
    assert_eq!(devices.get(TENANT, &id).await.unwrap(), None);
    let told = records(&house.log, Topic::Pings).await;
    assert_eq!(Ping::decode(told[0].value.as_ref().unwrap()).unwrap().kind, PingKind::Forget);
    assert_eq!(told.len(), 1);

    devices.ensure(TENANT, &id, NOW).await.unwrap();
    let reborn = devices.get(TENANT, &id).await.unwrap().unwrap();
    assert_eq!((reborn.version, reborn.platform), (7, None), "nothing of the deleted device is left");
    let keys = [
        geopush_model::DeviceKey { tenant: TENANT, device: id.clone() },
        geopush_model::DeviceKey { tenant: TENANT, device: DeviceId::new("nobody").unwrap() },
    ];
    let many = devices.get_many(&keys).await.unwrap();
    assert_eq!((many[0].as_ref(), many[1].as_ref()), (Some(&reborn), None));
}

#[tokio::test]
async fn a_device_that_another_process_deletes_is_made_anew_by_its_next_ping() {
    let house = house().await;
    let sealer = Sealer::from_hex(&"07".repeat(32)).unwrap();
    let directory = Directory::follow(Arc::clone(&house.log), sealer).await.unwrap();
    let phones = Devices::new(house.store.clone(), Arc::clone(&house.log), directory.known_devices());
    let merchants = Devices::new(house.store.clone(), Arc::clone(&house.log), KnownDevices::new(100));
    let id = DeviceId::new("d1").unwrap();
    for version in [1, 3] {
        phones.ensure(TENANT, &id, NOW).await.unwrap();
        assert_eq!(phones.get(TENANT, &id).await.unwrap().unwrap().version, version);
        assert!(merchants.delete(TENANT, &id, None, NOW).await.unwrap());
        directory.barrier().await.unwrap();
    }
}

#[tokio::test]
async fn a_key_that_another_process_has_just_made_opens_here() {
    let house = house().await;
    let sealer = Sealer::from_hex(&"07".repeat(32)).unwrap();
    let directory = Directory::follow(Arc::clone(&house.log), sealer).await.unwrap();
    for _ in 0..20 {
        let made = create_tenant(&house.publisher, "Shop", NOW).await.unwrap();
        assert_eq!(directory.principal(&made.secret_key).await.unwrap().tenant, made.tenant);
    }
    assert_eq!(directory.principal("gp_sk_nobodys").await, None);
}

#[tokio::test]
async fn the_pages_of_all_buckets_are_the_devices_that_are_there() {
    let house = house().await;
    let devices = Devices::new(house.store.clone(), Arc::clone(&house.log), KnownDevices::new(100));
    let id = |i: usize| DeviceId::new(&format!("d{i:02}")).unwrap();
    for i in 0..50 {
        devices.ensure(TENANT, &id(i), NOW).await.unwrap();
    }
    devices.ensure(TenantId(Uuid::from_u128(2)), &id(99), NOW).await.unwrap();
    assert!(devices.delete(TENANT, &id(7), None, NOW).await.unwrap());
    for limit in [1, 3, 100] {
        let mut found = Vec::new();
        for bucket in 0..DEVICE_BUCKETS {
            let mut after = None;
            loop {
                let page = devices.page(TENANT, bucket, after.as_ref(), limit).await.unwrap();
                assert!(page.devices.len() <= limit && page.unreadable == 0);
                found.extend(page.devices.into_iter().map(|device| device.device));
                after = page.next;
                if after.is_none() {
                    break;
                }
            }
        }
        found.sort();
        assert_eq!(found, (0..50).filter(|i| *i != 7).map(id).collect::<Vec<_>>(), "by {limit}");
    }
}
