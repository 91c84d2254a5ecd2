//! `/v1/devices` and presence.

use geopush_log::Topic;
use geopush_model::{Ping, PingKind, Wire as _};
use geopush_store::Timestamp;
use geopush_store::tables::{DevicePositionRow, PresenceByDeviceRow};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::house::{NOW, NOW_TEXT, house};

#[tokio::test]
async fn a_device_is_created_changed_read_and_deleted() {
    let house = house().await;
    let path = "/v1/devices/d%2F1%20%C3%A9";
    assert_eq!(house.get(path).await.problem().0, 404);
    let full = json!({
        "platform": "ios", "app": "shop", "push_token": "t", "locale": "en-GB", "timezone": "Europe/Madrid",
        "attributes": {"plan": "gold", "n": [1, 2.5, null]}, "tags": ["vip"], "consents": {"push": true, "location": false}
    });
    let made = house.put(path, &full).await;
    assert_eq!((made.status, made.header("etag")), (201, "\"1\""));
    let mut wanted = full.clone();
    wanted["device_id"] = "d/1 é".into();
    wanted["version"] = 1.into();
    (wanted["created_at"], wanted["updated_at"]) = (NOW_TEXT.into(), NOW_TEXT.into());
    assert_eq!(made.json(), wanted);
    assert_eq!(house.get(path).await.ok(), wanted);

    // What is left out stays; what was read may be sent back.
    house.clock.advance(1);
    let changed = house.put(path, &json!({"push_token": null})).await.ok();
    assert_eq!(
        (&changed["push_token"], &changed["app"], &changed["version"]),
        (&Value::Null, &json!("shop"), &json!(2))
    );
    assert_eq!(changed["updated_at"], "2026-01-01T00:00:00.001Z");
    assert_eq!(house.put(path, &changed).await.ok()["version"], 3);

    let with = |call: &str, tag: &'static str| {
        let (house, call) = (&house, format!("{call} {path}"));
        async move { house.ask(&call, &[("if-match", tag)], if call.starts_with('P') { "{}" } else { "" }).await }
    };
    assert_eq!(with("PUT", "\"2\"").await.problem().0, 412);
    assert_eq!(with("PUT", "\"3\"").await.ok()["version"], 4);
    assert_eq!(with("PUT", "*").await.ok()["version"], 5);
    assert_eq!(with("DELETE", "\"4\"").await.problem().0, 412);
    assert_eq!(with("DELETE", "\"5\"").await.status, 204);
    assert_eq!(with("DELETE", "*").await.problem().0, 404);
    assert_eq!(with("PUT", "*").await.problem().0, 412);
    assert_eq!(house.get(path).await.problem().0, 404);
    let pings = house.records(Topic::Pings).await;
    let ping = Ping::decode(pings[0].value.as_ref().unwrap()).unwrap();
    assert!(ping.kind == PingKind::Forget && ping.device.as_str() == "d/1 é");
    let back = house.put(path, &json!({})).await;
    assert_eq!((back.status, &back.json()["version"]), (201, &json!(7)));
}

#[tokio::test]
async fn wrong_devices_are_refused() {
    let house = house().await;
    assert_eq!(
        house.put("/v1/devices/d", &json!({"platform": "symbian", "x": 1})).await.pointers(),
        ["/platform", "/x"]
    );
    assert_eq!(house.put("/v1/devices/d", &json!([])).await.pointers(), [""]);
    let long = format!("/v1/devices/{}", "x".repeat(129));
    assert_eq!(house.put(&long, &json!({})).await.pointers(), ["/path/device_id"]);
    assert_eq!(house.get(&long).await.problem().0, 404);
    assert_eq!(house.put("/v1/devices/d", &json!({})).await.status, 201);
    for call in [
        "GET /v1/devices/d",
        "DELETE /v1/devices/d",
        "GET /v1/devices/d/presence",
        "GET /v1/devices/d/transitions",
        "GET /v1/devices/d/deliveries",
    ] {
        assert_eq!(house.ask_with(&house.other.secret_key, call, &[], "").await.problem().0, 404, "{call}");
    }
}

#[tokio::test]
async fn devices_are_listed_by_id_whole_at_every_cut() {
    let house = house().await;
    for i in 0..20 {
        assert_eq!(house.put(&format!("/v1/devices/d{i:02}"), &json!({})).await.status, 201);
    }
    for i in [0, 7, 8, 19] {
        assert_eq!(house.ask(&format!("DELETE /v1/devices/d{i:02}"), &[], "").await.status, 204);
    }
    house.whole_at_every_cut("/v1/devices", 16, "device_id").await;
    let (listed, _) = house.pages("/v1/devices", 5, "asc").await;
    assert!(listed.is_sorted_by_key(|device| device["device_id"].as_str().unwrap().to_owned()));
}

#[tokio::test]
async fn presence_tells_the_zones_and_the_last_fix() {
    let house = house().await;
    assert_eq!(house.get("/v1/devices/d/presence").await.problem().0, 404);
    house.put("/v1/devices/d", &json!({})).await;
    assert_eq!(house.get("/v1/devices/d/presence").await.ok(), json!({"data": [], "last_fix": null}));
    let tenant = house.tenant.tenant.0;
    for i in 1..=2 {
        let row = PresenceByDeviceRow {
            tenant,
            device: "d".into(),
            zone: Uuid::from_u128(i),
            zone_external_id: (i == 1).then(|| "shop".into()),
            since: Timestamp(NOW),
            incarnation: 0,
            seq: 1,
        };
        house.store.put(row).await.unwrap();
    }
    let position = DevicePositionRow {
        tenant,
        device: "d".into(),
        lat: 41.3,
        lon: 2.1,
        time: Timestamp(NOW),
        accuracy_m: None,
        received_at: Timestamp(NOW),
    };
    house.store.put(position).await.unwrap();
    assert_eq!(
        house.get("/v1/devices/d/presence").await.ok(),
        json!({
            "data": [
                {"zone_id": Uuid::from_u128(1), "zone_external_id": "shop", "since": NOW_TEXT},
                {"zone_id": Uuid::from_u128(2), "zone_external_id": null, "since": NOW_TEXT}
            ],
            "last_fix": {"lat": 41.3, "lon": 2.1, "time": NOW_TEXT, "accuracy_m": null}
        })
    );
}
