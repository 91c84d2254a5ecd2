//! Transitions and deliveries.

use geopush_store::Timestamp;
use geopush_store::tables::{
    DeliveryByDeviceRow, DeliveryBySourceRow, DeviceMonthRow, SendRow, SourceHourRow, TransitionByDeviceRow,
    TransitionByZoneRow, ZoneDayRow, day_of, hour_of, id_shard, month_of,
};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::house::{House, NOW, house};
use crate::zones::circle;

const HOUR: i64 = 3_600_000;
const DAY: i64 = 24 * HOUR;

fn id(i: i64) -> Uuid {
    Uuid::new_v5(&Uuid::NAMESPACE_OID, &i.to_be_bytes())
}

/// Writes 30 transitions of one device in one zone, two days apart.
async fn transitions(house: &House) -> Uuid {
    house.put("/v1/devices/d", &json!({})).await;
    let zone = house.put("/v1/zones/external/shop", &json!({"name": "Shop", "shape": circle()})).await.json();
    let zone: Uuid = zone["id"].as_str().unwrap().parse().unwrap();
    let tenant = house.tenant.tenant.0;
    for i in 0..30 {
        let at = NOW + i * 2 * DAY;
        let by_device = TransitionByDeviceRow {
            tenant,
            device: "d".into(),
            month: month_of(at),
            incarnation: 1,
            seq: i + 1,
            id: id(i),
            zone,
            zone_external_id: Some("shop".into()),
            kind: "exit".into(),
            at: Timestamp(at),
            reason: Some("left".into()),
            initial: false,
            dwell_s: Some(7),
            zone_version: 3,
            fix_lat: 1.5,
            fix_lon: 2.5,
            fix_time: Timestamp(at),
            fix_accuracy_m: Some(4.5),
        };
        let by_zone = TransitionByZoneRow {
            tenant,
            zone,
            day: day_of(at),
            shard: id_shard(id(i)),
            at: Timestamp(at),
            id: id(i),
            incarnation: 1,
            seq: i + 1,
            device: "d".into(),
            zone_external_id: Some("shop".into()),
            kind: "exit".into(),
            reason: Some("left".into()),
            initial: false,
            dwell_s: Some(7),
            zone_version: 3,
            fix_lat: 1.5,
            fix_lon: 2.5,
            fix_time: Timestamp(at),
            fix_accuracy_m: Some(4.5),
        };
        house.store.put(by_device).await.unwrap();
        house.store.put(by_zone).await.unwrap();
        let month =
            DeviceMonthRow { tenant, device: "d".into(), kind: "transitions".into(), month: month_of(at) };
        house.store.put(month).await.unwrap();
        house.store.put(ZoneDayRow { tenant, zone, day: day_of(at) }).await.unwrap();
    }
    zone
}

#[tokio::test]
async fn transitions_are_told_by_device_and_by_zone() {
    let house = house().await;
    let zone = transitions(&house).await;
    let by_device = "/v1/devices/d/transitions".to_owned();
    let by_zone = format!("/v1/transitions?zone_id={zone}");
    let wanted = json!({
        "id": id(0), "seq": 1, "device_id": "d", "zone_id": zone, "zone_external_id": "shop", "kind": "exit",
        "at": "2026-01-01T00:00:00.000Z", "reason": "left", "initial": false, "dwell_s": 7, "zone_version": 3,
        "fix": {"lat": 1.5, "lon": 2.5, "time": "2026-01-01T00:00:00.000Z", "accuracy_m": 4.5}
    });
    for path in [&by_device, &by_zone] {
        house.whole_at_every_cut(path, 30, "seq").await;
        let (all, _) = house.pages(path, 7, "asc").await;
        assert_eq!(all[0], wanted, "{path}");
        // From inclusive, to exclusive.
        let joint = if path.contains('?') { '&' } else { '?' };
        let range = format!("{path}{joint}from=2026-01-03T00:00:00Z&to=2026-02-02T00:00:00.000Z");
        let seqs: Vec<i64> =
            house.pages(&range, 4, "asc").await.0.iter().map(|t| t["seq"].as_i64().unwrap()).collect();
        assert_eq!(seqs, (2..=16).collect::<Vec<_>>(), "{range}");
        let none = format!("{path}{joint}from=2025-01-01T00:00:00Z&to=2026-01-01T00:00:00Z");
        assert_eq!(house.get(&none).await.ok(), json!({"data": [], "next_cursor": null}));
        let wrong = house.get(&format!("{path}{joint}from=yesterday")).await;
        assert_eq!(wrong.pointers(), ["/query/from"]);
    }
    for path in ["/v1/transitions", "/v1/transitions?zone_id=", "/v1/transitions?zone_id=shop"] {
        assert_eq!(house.get(path).await.pointers(), ["/query/zone_id"], "{path}");
    }
    assert_eq!(house.get(&format!("/v1/transitions?zone_id={}", id(99))).await.problem().0, 404);
    assert_eq!(house.get("/v1/devices/nobody/transitions").await.problem().0, 404);
    // What happened to a device is told after its deletion too.
    assert_eq!(house.ask("DELETE /v1/devices/d", &[], "").await.status, 204);
    assert_eq!(house.pages(&by_device, 1000, "asc").await.0.len(), 30);
}

/// Writes 30 deliveries of one send to one device, 40 minutes apart.
async fn deliveries(house: &House, send: Uuid) {
    house.put("/v1/devices/d", &json!({})).await;
    let tenant = house.tenant.tenant.0;
    let row = SendRow {
        tenant,
        send,
        app: "shop".into(),
        audience: None,
        message: String::new(),
        targeted: 30,
        shards: 1,
        spread_s: None,
        status: "running".into(),
        created_at: Timestamp(NOW),
        updated_at: Timestamp(NOW),
        version: 1,
    };
    house.store.put_if_absent(row).await.unwrap();
    for i in 0..30 {
        let at = NOW + i * 2 * HOUR / 3;
        let by_device = DeliveryByDeviceRow {
            tenant,
            device: "d".into(),
            month: month_of(at),
            created_at: Timestamp(at),
            push: id(i),
            campaign: None,
            send: Some(send),
            cause: send,
            provider: Some("fcm".into()),
            outcome: "accepted".into(),
            reason: None,
            attempts: 1,
            finished_at: Timestamp(at + 5),
            provider_message_id: Some("m".into()),
            app: Some("shop".into()),
            variant: None,
        };
        let by_source = DeliveryBySourceRow {
            tenant,
            source: send,
            hour: hour_of(at),
            shard: id_shard(id(i)),
            created_at: Timestamp(at),
            push: id(i),
            device: "d".into(),
            campaign: None,
            send: Some(send),
            cause: send,
            provider: Some("fcm".into()),
            outcome: "accepted".into(),
            reason: None,
            attempts: 1,
            finished_at: Timestamp(at + 5),
            provider_message_id: Some("m".into()),
            app: Some("shop".into()),
            variant: None,
        };
        house.store.put(by_device).await.unwrap();
        house.store.put(by_source).await.unwrap();
        let month =
            DeviceMonthRow { tenant, device: "d".into(), kind: "deliveries".into(), month: month_of(at) };
        house.store.put(month).await.unwrap();
        house.store.put(SourceHourRow { tenant, source: send, hour: hour_of(at) }).await.unwrap();
    }
}

#[tokio::test]
async fn deliveries_are_told_by_device_and_by_source() {
    let house = house().await;
    let send = Uuid::from_u128(77);
    deliveries(&house, send).await;
    let wanted = json!({
        "push_id": id(0), "campaign_id": null, "send_id": send, "device_id": "d", "cause_id": send, "provider": "fcm",
        "outcome": "accepted", "reason": null, "attempts": 1, "created_at": "2026-01-01T00:00:00.000Z",
        "finished_at": "2026-01-01T00:00:00.005Z", "provider_message_id": "m"
    });
    for path in ["/v1/devices/d/deliveries".to_owned(), format!("/v1/deliveries?send_id={send}")] {
        house.whole_at_every_cut(&path, 30, "push_id").await;
        let (all, _) = house.pages(&path, 7, "asc").await;
        assert_eq!(all[0], wanted, "{path}");
        let joint = if path.contains('?') { '&' } else { '?' };
        let range = format!("{path}{joint}from=2026-01-01T00:40:00Z&to=2026-01-01T04:00:00Z");
        let ids: Vec<Value> =
            house.pages(&range, 2, "desc").await.0.iter().map(|d| d["push_id"].clone()).collect();
        assert_eq!(ids, (1..6).rev().map(|i| json!(id(i))).collect::<Vec<_>>(), "{range}");
    }
    for query in ["", "?campaign_id=x", "?send_id=x", &format!("?send_id={send}&campaign_id={send}")] {
        assert_eq!(house.get(&format!("/v1/deliveries{query}")).await.problem().0, 422, "{query}");
    }
    assert_eq!(house.get(&format!("/v1/deliveries?campaign_id={send}")).await.problem().0, 404);
    let other =
        house.ask_with(&house.other.secret_key, &format!("GET /v1/deliveries?send_id={send}"), &[], "").await;
    assert_eq!(other.problem().0, 404);
    assert_eq!(house.get("/v1/devices/nobody/deliveries").await.problem().0, 404);
}
