//! The rows, the presence and the positions, through kills and outages.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use geopush_geometry::Position;
use geopush_log::{Record, Topic};
use geopush_model::{
    CampaignId, DeadToken, Delivery, DeviceEntry, DeviceState, ExitReason, Fix, Outcome, Reason, SendId,
    Source, Transition, TransitionKind, UnixMillis, Wire as _,
};
use geopush_store::tables::{
    DeliveryByDeviceRow, DeviceMonthRow, DevicePositionRow, PRESENCE_SHARDS, PresenceByDeviceRow,
    PresenceByZoneRow, SHARDS, TransitionByDeviceRow, TransitionByZoneRow, ZoneDayRow, day_of, device_shard,
    hour_of, id_shard, month_of,
};
use uuid::Uuid;

use crate::house::{APP, House, NOW, TENANT, ZONE, id, key, transition, transition_record};
use crate::scene::{OUTCOMES, all, delivery, delivery_record, rows_of_source, totals};

const ENTER: TransitionKind = TransitionKind::Enter;
const LEFT: TransitionKind = TransitionKind::Exit(ExitReason::Left);

/// Waits until everything before this marker in its partition has been recorded, and this too.
async fn recorded_up_to(house: &House, marker: &Transition) {
    let (partition, clustering) = (
        (TENANT.0, marker.device.as_str().to_owned(), month_of(marker.at.0)),
        (marker.incarnation.0, i64::try_from(marker.seq).unwrap()),
    );
    house
        .eventually("the marker's row", async || {
            house.store.get::<TransitionByDeviceRow>(&partition, &clustering).await.unwrap()
        })
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn totals_are_what_the_rows_add_up_to_through_ten_kills() {
    let mut house = House::new().await;
    let campaign = Source::Campaign(CampaignId(Uuid::from_u128(1)));
    let send = Source::Send(SendId(Uuid::from_u128(2)));
    let mut expected: BTreeMap<Uuid, BTreeMap<&str, i64>> = BTreeMap::new();
    for round in 0..10_u128 {
        house.start_record();
        for n in 0..100 {
            let n = round * 100 + n;
            let source = if n % 3 == 0 { send } else { campaign };
            let outcome = OUTCOMES[usize::try_from(n % 4).unwrap()];
            *expected.entry(source.id()).or_default().entry(outcome.as_str()).or_default() += 1;
            let record = delivery_record(&delivery(&format!("d{}", n % 7), n, source, outcome));
            // A sender that never learned whether it was written writes it again.
            let times = if n % 10 == 0 { 2 } else { 1 };
            house.append(vec![record; times]).await;
        }
        // Some of it is recorded, and some of that perhaps not committed.
        let half = usize::try_from(round).unwrap() * 50;
        house
            .eventually("half of the rows", async || {
                (rows_of_source(&house, campaign.id()).await.len() >= half).then_some(())
            })
            .await;
        house.kill().await;
    }
    house.start_record();
    for source in [campaign, send] {
        let wanted = &expected[&source.id()];
        house
            .eventually("the totals", async || (&totals(&house, source.id()).await == wanted).then_some(()))
            .await;
        let mut rows: BTreeMap<&str, i64> = BTreeMap::new();
        let found = rows_of_source(&house, source.id()).await;
        for row in &found {
            *rows.entry(Outcome::parse(&row.outcome).unwrap().as_str()).or_default() += 1;
        }
        assert_eq!(&rows, wanted);
    }
    house.stop().await;
    for source in [campaign, send] {
        assert_eq!(&totals(&house, source.id()).await, &expected[&source.id()], "and nothing is added later");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_delivery_is_found_by_source_and_by_device() {
    let mut house = House::new().await;
    house.start_record();
    let send = Source::Send(SendId(Uuid::from_u128(2)));
    let accepted = delivery("d1", 70, send, Outcome::Accepted);
    house.append([delivery_record(&accepted)]).await;
    house.eventually("the totals", async || totals(&house, send.id()).await.get("accepted").copied()).await;
    house.stop().await;

    let by_source = rows_of_source(&house, send.id()).await;
    assert_eq!(by_source.len(), 1);
    let row = &by_source[0];
    assert_eq!((row.hour, row.shard), (hour_of(accepted.created_at.0), id_shard(accepted.push.0)));
    assert_eq!(
        (row.push, row.device.as_str(), row.send, row.campaign),
        (accepted.push.0, "d1", Some(send.id()), None)
    );
    assert_eq!(
        (row.outcome.as_str(), row.reason.as_deref(), row.provider.as_deref()),
        ("accepted", None, Some("fcm"))
    );
    assert_eq!(
        (row.provider_message_id.as_deref(), row.attempts, row.app.as_deref()),
        (Some("m70"), 1, Some(APP))
    );

    let months = all::<DeviceMonthRow>(&house, (TENANT.0, "d1".into(), "deliveries".into())).await;
    assert_eq!(months.iter().map(|row| row.month).collect::<Vec<_>>(), [month_of(NOW)]);
    let by_device = all::<DeliveryByDeviceRow>(&house, (TENANT.0, "d1".into(), month_of(NOW))).await;
    assert_eq!(
        (by_device.len(), by_device[0].push, by_device[0].cause),
        (1, accepted.push.0, Uuid::from_u128(70))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transition_is_found_by_zone_and_by_device() {
    let mut house = House::new().await;
    house.start_record();
    let exit = Transition { dwell_s: Some(60), ..transition("d1", 2, LEFT, 60) };
    house.append([transition_record(&transition("d1", 1, ENTER, 0)), transition_record(&exit)]).await;
    recorded_up_to(&house, &exit).await;
    house.stop().await;

    let days = all::<ZoneDayRow>(&house, (TENANT.0, ZONE.0)).await;
    assert_eq!(days.iter().map(|row| row.day).collect::<Vec<_>>(), [day_of(NOW)]);
    let mut by_zone = Vec::new();
    for shard in 0..SHARDS {
        by_zone.extend(all::<TransitionByZoneRow>(&house, (TENANT.0, ZONE.0, day_of(NOW), shard)).await);
    }
    assert_eq!(by_zone.len(), 2);
    let row = by_zone.iter().find(|row| row.id == exit.id.0).unwrap();
    assert_eq!((row.kind.as_str(), row.reason.as_deref(), row.dwell_s), ("exit", Some("left"), Some(60)));
    assert_eq!((row.fix_lat, row.fix_lon, row.seq, row.device.as_str()), (41.3, 2.1, 2, "d1"));

    let months = all::<DeviceMonthRow>(&house, (TENANT.0, "d1".into(), "transitions".into())).await;
    assert_eq!(months.len(), 1);
    let by_device = all::<TransitionByDeviceRow>(&house, (TENANT.0, "d1".into(), months[0].month)).await;
    assert_eq!(by_device.iter().map(|row| row.seq).collect::<Vec<_>>(), [1, 2]);
}

async fn present(house: &House, device: &str) -> (bool, bool) {
    let by_device = all::<PresenceByDeviceRow>(house, (TENANT.0, device.to_owned())).await;
    let of_zone = (TENANT.0, ZONE.0, device_shard(device, PRESENCE_SHARDS));
    let by_zone = all::<PresenceByZoneRow>(house, of_zone).await;
    (by_device.iter().any(|row| row.zone == ZONE.0), by_zone.iter().any(|row| row.device == device))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn presence_ends_right_however_often_it_is_replayed() {
    let mut house = House::new().await;
    let devices: Vec<String> = (0..20).map(|i| format!("d{i}")).collect();
    let mut seq = 0;
    for round in 0..8_usize {
        house.start_record();
        let mut last = Vec::new();
        for kind in [ENTER, LEFT, ENTER, LEFT, ENTER] {
            seq += 1;
            // Half of the devices stay outside after the last exit.
            for (i, device) in devices.iter().enumerate().filter(|(i, _)| !(seq % 5 == 0 && i % 2 == 1)) {
                let t = transition(device, seq, kind, i64::try_from(seq).unwrap());
                house.append([transition_record(&t)]).await;
                last.push((i, t));
            }
        }
        let (_, seen) = &last[last.len() * round / 8];
        recorded_up_to(&house, seen).await;
        house.kill().await;
    }
    house.start_record();
    for (i, device) in devices.iter().enumerate() {
        let last = if i % 2 == 1 { seq - 1 } else { seq };
        let kind = if i % 2 == 1 { LEFT } else { ENTER };
        recorded_up_to(&house, &transition(device, last, kind, i64::try_from(last).unwrap())).await;
    }
    house.stop().await;
    for (i, device) in devices.iter().enumerate() {
        let inside = i % 2 == 0;
        assert_eq!(present(&house, device).await, (inside, inside), "{device}");
    }
    let rows = all::<PresenceByDeviceRow>(&house, (TENANT.0, "d0".into())).await;
    assert_eq!(
        (rows[0].since.0, rows[0].seq, rows[0].zone_external_id.as_deref()),
        (NOW + 40_000, 40, Some("shop-1"))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn positions_come_from_devices_own_records_and_from_buckets() {
    let mut house = House::new().await;
    house.start_record();
    let entry = |device: &str, lon: f64, s: i64| DeviceEntry {
        tenant: TENANT,
        device: id(device),
        incarnation: UnixMillis(NOW),
        seq: 0,
        last_fix: Fix {
            accuracy_m: Some(12.0),
            ..Fix::at(Position::new(lon, 41.3).unwrap(), UnixMillis(NOW + s))
        },
        last_received: UnixMillis(NOW + s + 1),
        memberships: vec![],
    };
    let own = DeviceState { devices: vec![entry("d1", 1.0, 1)], as_of: 1 };
    let bucket = DeviceState { devices: vec![entry("d1", 2.0, 2), entry("d2", 3.0, 3)], as_of: 2 };
    let own = Record::new(Topic::DeviceState, key("d1").to_bytes(), own.encode());
    let bucket = Record::new(Topic::DeviceState, "#1", bucket.encode());
    let tombstone = Record::tombstone(Topic::DeviceState, key("d3").to_bytes());
    house.append([own, bucket, tombstone].map(|record| record.at(0))).await;
    let row = house
        .eventually("the last position", async || {
            house.store.get::<DevicePositionRow>(&(TENANT.0, "d2".into()), &()).await.unwrap()
        })
        .await;
    assert_eq!((row.lon, row.lat, row.accuracy_m), (3.0, 41.3, Some(12.0)));
    let row = house.store.get::<DevicePositionRow>(&(TENANT.0, "d1".into()), &()).await.unwrap().unwrap();
    assert_eq!((row.lon, row.time.0, row.received_at.0), (2.0, NOW + 2, NOW + 3));

    // The bucket goes when its last device does; a device goes by its own key.
    let gone = [
        Record::tombstone(Topic::DeviceState, "#1"),
        Record::tombstone(Topic::DeviceState, key("d1").to_bytes()),
    ];
    house.append(gone.map(|record| record.at(0))).await;
    house
        .eventually("the removal", async || {
            let row = house.store.get::<DevicePositionRow>(&(TENANT.0, "d1".into()), &()).await.unwrap();
            row.is_none().then_some(())
        })
        .await;
    assert!(house.store.get::<DevicePositionRow>(&(TENANT.0, "d2".into()), &()).await.unwrap().is_some());
    house.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_token_goes_unless_the_device_has_another_by_now_or_has_registered_it_since() {
    let mut house = House::new().await;
    house.furnish(&["d1", "d2", "d3"]).await;
    house.start_record();
    let campaign = Source::Campaign(CampaignId(Uuid::from_u128(1)));
    let registered = house.devices.get(TENANT, &id("d3")).await.unwrap().unwrap().token_at.unwrap();
    let dead = |device: &str, token: &str, n| Delivery {
        dead_token: Some(DeadToken { token: token.to_owned(), at: registered.plus_ms(60_000) }),
        reason: Some(Reason::DeadToken),
        ..delivery(device, n, campaign, Outcome::Failed)
    };
    let dead_before = DeadToken { token: "token of d3".to_owned(), at: registered.plus_ms(-1) };
    let records = [
        dead("d2", "an older token", 1),
        dead("stranger", "token of d1", 2),
        dead("d1", "token of d1", 3),
        Delivery { dead_token: Some(dead_before), ..dead("d3", "", 4) },
    ];
    house.append(records.iter().map(delivery_record)).await;
    house
        .eventually("the totals", async || {
            (totals(&house, campaign.id()).await.get("failed") == Some(&4)).then_some(())
        })
        .await;
    house.stop().await;
    let token = async |device| house.devices.get(TENANT, &id(device)).await.unwrap().unwrap().push_token;
    assert_eq!(token("d1").await, None);
    assert_eq!(token("d2").await.as_deref(), Some("token of d2"));
    assert_eq!(token("d3").await.as_deref(), Some("token of d3"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_read_is_put_aside() {
    let mut house = House::new().await;
    house.start_record();
    let garbage = Record::new(Topic::Transitions, key("d1").to_bytes(), "no protobuf");
    let good = transition("d1", 1, ENTER, 0);
    house.append([garbage, transition_record(&good)]).await;
    recorded_up_to(&house, &good).await;
    house.stop().await;
    assert_eq!(house.records(Topic::Rejected).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_is_down_means_lag_and_never_loss() {
    let mut house = House::new().await;
    house.start_record();
    let send = Source::Send(SendId(Uuid::from_u128(2)));
    house.append([delivery_record(&delivery("d1", 1, send, Outcome::Accepted))]).await;
    let accepted = async |house: &House, n| {
        let counted = async || (totals(house, send.id()).await.get("accepted") == Some(&n)).then_some(());
        house.eventually("the totals", counted).await;
    };
    accepted(&house, 1).await;
    assert!(house.health.report().is_ready());

    house.store_is_down.store(true, Ordering::SeqCst);
    house.append((2..=50).map(|n| delivery_record(&delivery("d1", n, send, Outcome::Accepted)))).await;
    house
        .eventually("the word that it is not ready", async || {
            (!house.health.report().is_ready()).then_some(())
        })
        .await;
    let report = house.health.report();
    assert!(report.parts["record"].as_ref().unwrap().contains("the store failed"), "{report:?}");

    house.store_is_down.store(false, Ordering::SeqCst);
    accepted(&house, 50).await;
    house
        .eventually("the word that it is ready", async || house.health.report().is_ready().then_some(()))
        .await;
    house.stop().await;
    assert_eq!(rows_of_source(&house, send.id()).await.len(), 50);
}
