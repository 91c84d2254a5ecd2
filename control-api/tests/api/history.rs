//! Transitions.

use geopush_store::Timestamp;
use geopush_store::tables::{
    DeviceMonthRow, TransitionByDeviceRow, TransitionByZoneRow, ZoneDayRow, day_of, id_shard, month_of,
};
use serde_json::json;
use uuid::Uuid;

use crate::house::{House, NOW, house};
use crate::zones::circle;

const DAY: i64 = 24 * 3_600_000;

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
