//! `/v1/campaigns/{id}/preview`.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::apps::fcm;
use crate::house::{House, house};
use crate::zones::circle;

async fn campaign(house: &House, more: &Value) -> String {
    let mut campaign = json!({"name": "Hello", "app": "shop", "trigger": {"type": "zone", "on": "enter"},
        "message": {"title": "Hi"}});
    campaign.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let made = house.post("/v1/campaigns", &campaign).await;
    assert_eq!(made.status, 201, "{}", made.text);
    format!("{}/preview", made.header("location"))
}

async fn ready() -> House {
    let house = house().await;
    assert_eq!(house.put("/v1/apps/shop", &json!({"fcm": fcm()})).await.status, 201);
    let device = json!({"platform": "android", "app": "shop", "push_token": "t", "locale": "es-MX",
        "timezone": "Asia/Tokyo", "attributes": {"name": "Ana"}, "tags": ["vip"]});
    assert_eq!(house.put("/v1/devices/d", &device).await.status, 201);
    house
}

#[tokio::test]
async fn a_preview_fills_in_what_the_device_would_be_shown() {
    let house = ready().await;
    let zone =
        house.post("/v1/zones", &json!({"name": "Shop", "shape": circle(), "metadata": {"floor": 2}})).await;
    let path = campaign(
        &house,
        &json!({"message": {
            "title": "Hi {{ device.attributes.name }}",
            "body": "{{ transition.kind }} {{ zone.name }} {{ zone.metadata.floor }}",
            "translations": {"es": {"title": "Hola {{ device.attributes.name }}", "body": "{{ zone.name }}"}},
            "link": "shop://{{ device.id }}", "data": {"k": "{{ device.platform }}"}
        }}),
    )
    .await;
    let at = json!({"device_id": "d", "zone_id": zone.json()["id"]});
    let answer = house.post(&path, &at).await.ok();
    assert_eq!(
        answer,
        json!({
            "message": {"title": "Hola Ana", "body": "Shop", "data": {"k": "android"}, "link": "shop://d"},
            "template_error": null, "variant": null, "in_audience": true, "reasons": []
        })
    );
    house.put("/v1/devices/d", &json!({"locale": null})).await;
    assert_eq!(house.post(&path, &at).await.ok()["message"]["body"], "enter Shop 2");
    let nowhere = house.post(&path, &json!({"device_id": "d"})).await.ok();
    assert_eq!((&nowhere["message"], &nowhere["reasons"]), (&Value::Null, &json!(["template"])));
    assert_eq!(nowhere["template_error"]["pointer"], "/message/body");

    let trigger = json!({"type": "event", "name": "order_shipped"});
    let message = json!({"body": "{{ event.name }}: {{ event.properties.order }}"});
    let variants = json!([{"name": "only", "weight": 1, "message": message}]);
    let path = campaign(&house, &json!({"trigger": trigger, "variants": variants})).await;
    let of = json!({"device_id": "d", "properties": {"order": "A-17"}});
    let answer = house.post(&path, &of).await.ok();
    assert_eq!(
        (&answer["message"]["body"], &answer["variant"]),
        (&json!("order_shipped: A-17"), &json!("only"))
    );
    let answer = house.post(&path, &json!({"device_id": "d"})).await.ok();
    assert_eq!(answer["template_error"]["pointer"], "/variants/0/message/body");
}

#[tokio::test]
async fn a_preview_tells_what_would_suppress_the_push_now() {
    let house = ready().await;
    // It is midnight, UTC; nine o'clock in Tokyo.
    let cases = [
        (json!({"starts_at": "2026-01-01T00:00:00Z", "ends_at": "2026-01-01T00:00:00.001Z"}), json!([])),
        (json!({"starts_at": "2026-01-01T00:00:00.001Z"}), json!(["hours"])),
        (json!({"ends_at": "2026-01-01T00:00:00Z"}), json!(["hours"])),
        (json!({"hours": {"from": "09:00", "to": "10:00", "weekdays": ["thu"]}}), json!([])),
        (json!({"hours": {"from": "00:00", "to": "01:00"}}), json!(["hours"])),
        (json!({"audience": {"tag": "vip"}}), json!([])),
        (json!({"audience": {"tag": "new"}}), json!(["audience"])),
        (json!({"holdout_percent": 100}), json!(["holdout"])),
        (json!({"app": "other"}), json!(["no_app"])),
    ];
    for (more, reasons) in cases {
        let answer = house.post(&campaign(&house, &more).await, &json!({"device_id": "d"})).await.ok();
        assert_eq!(answer["reasons"], reasons, "{more}");
    }
    let asks = json!({"audience": {"not": {"visited": {"zone_id": Uuid::nil(), "within_s": 60}}}});
    let answer = house.post(&campaign(&house, &asks).await, &json!({"device_id": "d"})).await.ok();
    assert_eq!((&answer["in_audience"], &answer["reasons"]), (&Value::Null, &json!([])));

    let path = campaign(&house, &json!({})).await;
    let loud = campaign(&house, &json!({"ignores_quiet_hours": true})).await;
    let quiet = json!({"detect_crossings": false, "quiet_hours": {"from": "22:00", "to": "09:30"}});
    house.put("/v1/settings", &quiet).await.ok();
    assert_eq!(house.post(&path, &json!({"device_id": "d"})).await.ok()["reasons"], json!(["quiet_hours"]));
    assert_eq!(house.post(&loud, &json!({"device_id": "d"})).await.ok()["reasons"], json!([]));
    house.put("/v1/devices/d", &json!({"push_token": null, "consents": {"push": false}})).await;
    let answer = house.post(&path, &json!({"device_id": "d"})).await.ok();
    assert_eq!(answer["reasons"], json!(["no_consent", "no_token", "quiet_hours"]));
}

#[tokio::test]
async fn a_preview_is_of_what_there_is() {
    let house = ready().await;
    let path = campaign(&house, &json!({})).await;
    for (body, pointers) in [
        (json!({}), &["/device_id"][..]),
        (json!({"device_id": "nobody"}), &["/device_id"]),
        (json!({"device_id": "d", "zone_id": "x"}), &["/zone_id"]),
        (json!({"device_id": "d", "zone_id": Uuid::nil()}), &["/zone_id"]),
        (json!({"device_id": "d", "properties": 1, "zone": 1}), &["/properties", "/zone"]),
    ] {
        assert_eq!(house.post(&path, &body).await.pointers(), pointers, "{body}");
    }
    let call = format!("POST {path}");
    let theirs = house.ask_with(&house.other.secret_key, &call, &[], r#"{"device_id":"d"}"#).await;
    assert_eq!(theirs.problem().0, 404);
}
