//! `/v1/campaigns`.

use geopush_log::Topic;
use geopush_model::{Campaign, CampaignStatus, Wire as _};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::house::{House, NOW_TEXT, house};

fn campaign() -> Value {
    json!({"name": "Hello", "app": "shop", "trigger": {"type": "zone", "on": "enter"}, "message": {"title": "Hi"}})
}

async fn published(house: &House) -> Campaign {
    let records = house.records(Topic::Campaigns).await;
    Campaign::decode(records.last().unwrap().value.as_ref().unwrap()).unwrap()
}

#[tokio::test]
async fn a_campaign_lives_from_draft_to_deletion() {
    let house = house().await;
    let made = house.post("/v1/campaigns", &campaign()).await;
    assert_eq!((made.status, made.header("etag")), (201, "\"1\""), "{}", made.text);
    let body = made.json();
    let path = format!("/v1/campaigns/{}", body["id"].as_str().unwrap());
    assert_eq!(made.header("location"), path);
    assert_eq!(
        body,
        json!({
            "id": body["id"], "name": "Hello", "app": "shop", "status": "draft",
            "trigger": {"type": "zone", "on": "enter", "zone_ids": [], "zone_tags": [], "max_age_s": 900,
                "on_initial": false},
            "starts_at": null, "ends_at": null, "hours": null, "cooldown_s": 0, "ignores_caps": false,
            "ignores_quiet_hours": false, "audience": null, "holdout_percent": 0,
            "message": {"title": "Hi", "body": "", "data": {}}, "variants": [], "version": 1,
            "created_at": NOW_TEXT, "updated_at": NOW_TEXT
        })
    );
    assert_eq!(house.get(&path).await.ok(), body);

    house.clock.advance(1_000);
    let active = house.ask(&format!("POST {path}/activate"), &[], "").await;
    assert_eq!((active.header("etag"), &active.ok()["status"]), ("\"2\"", &json!("active")));
    assert_eq!(house.ask(&format!("POST {path}/activate"), &[], "").await.ok(), active.json());
    assert_eq!(published(&house).await.status, CampaignStatus::Active);
    let stale = house.ask(&format!("POST {path}/pause"), &[("if-match", "\"1\"")], "").await;
    assert_eq!(stale.problem().0, 412);
    let paused = house.ask(&format!("POST {path}/pause"), &[("if-match", "\"2\"")], "").await.ok();
    assert_eq!((&paused["status"], &paused["version"]), (&json!("paused"), &json!(3)));

    let zone = Uuid::from_u128(5);
    let full = json!({
        "name": "Bye", "app": "shop.2", "cooldown_s": 60,
        "trigger": {"type": "zone", "on": "dwell", "zone_ids": [zone], "zone_tags": ["t"], "max_age_s": null,
            "on_initial": true},
        "audience": {"all": [{"tag": "vip"}, {"not": {"platform": "web"}}]},
        "message": {"title": "a", "body": "b\nc", "data": {"k": "v"}}
    });
    let put = |tag: &'static str| {
        let (house, call, body) = (&house, format!("PUT {path}"), full.to_string());
        async move {
            let headers: &[(&str, &str)] = if tag.is_empty() { &[] } else { &[("if-match", tag)] };
            house.ask(&call, headers, body).await
        }
    };
    assert_eq!(put("").await.problem().0, 428);
    assert_eq!(put("\"2\"").await.problem().0, 412);
    let replaced = put("\"3\"").await.ok();
    for (member, value) in full.as_object().unwrap() {
        assert_eq!(replaced[member], *value, "{member}");
    }
    assert_eq!((&replaced["status"], &replaced["version"]), (&json!("paused"), &json!(4)));
    assert_eq!(
        house.ask(&format!("PUT {path}"), &[("if-match", "*")], replaced.to_string()).await.ok(),
        replaced
    );

    let other = &house.other.secret_key;
    for call in [
        format!("GET {path}"),
        format!("DELETE {path}"),
        format!("PUT {path}"),
        format!("POST {path}/activate"),
        format!("POST {path}/pause"),
        format!("GET /v1/deliveries?campaign_id={}", body["id"].as_str().unwrap()),
    ] {
        let answer = house.ask_with(other, &call, &[("if-match", "*")], campaign().to_string()).await;
        assert_eq!(answer.problem().0, 404, "{call}");
    }
    assert_eq!(house.ask(&format!("DELETE {path}"), &[], "").await.problem().0, 428);
    assert_eq!(house.ask(&format!("DELETE {path}"), &[("if-match", "\"4\"")], "").await.status, 204);
    assert_eq!(house.get(&path).await.problem().0, 404);
    assert_eq!(house.ask(&format!("POST {path}/activate"), &[], "").await.problem().0, 404);
    assert!(published(&house).await.deleted);
}

#[tokio::test]
async fn campaigns_are_listed_whole_at_every_cut() {
    let house = house().await;
    for _ in 0..7 {
        assert_eq!(house.post("/v1/campaigns", &campaign()).await.status, 201);
    }
    let gone = house.pages("/v1/campaigns", 3, "asc").await.0[3]["id"].as_str().unwrap().to_owned();
    assert_eq!(
        house.ask(&format!("DELETE /v1/campaigns/{gone}"), &[("if-match", "*")], "").await.status,
        204
    );
    house.whole_at_every_cut("/v1/campaigns", 6, "id").await;
}

#[tokio::test]
async fn every_wrong_member_is_named_by_its_pointer() {
    let house = house().await;
    let with = |path: &[&str], value: Value| {
        let mut body = campaign();
        let mut at = &mut body;
        for name in path {
            at = &mut at[*name];
        }
        *at = value;
        body
    };
    let cases = [
        (json!([]), &[""][..]),
        (json!({}), &["/name", "/app", "/trigger", "/message"]),
        (with(&["name"], json!("")), &["/name"]),
        (with(&["name"], json!(5)), &["/name"]),
        (with(&["app"], json!("a b")), &["/app"]),
        (with(&["app"], json!("x".repeat(65))), &["/app"]),
        (with(&["colour"], json!("red")), &["/colour"]),
        (with(&["cooldown_s"], json!(-1)), &["/cooldown_s"]),
        (with(&["cooldown_s"], json!(31_536_001)), &["/cooldown_s"]),
        (with(&["cooldown_s"], json!(1.5)), &["/cooldown_s"]),
        (with(&["trigger"], json!("enter")), &["/trigger"]),
        (with(&["trigger"], json!({})), &["/trigger/type", "/trigger/on"]),
        (with(&["trigger", "type"], json!("time")), &["/trigger/type"]),
        (with(&["trigger", "on"], json!("cross")), &["/trigger/on"]),
        (with(&["trigger", "on"], json!(["enter"])), &["/trigger/on"]),
        (with(&["trigger", "zone_ids"], json!(["x", Uuid::nil()])), &["/trigger/zone_ids/0"]),
        (with(&["trigger", "zone_ids"], json!("x")), &["/trigger/zone_ids"]),
        (with(&["trigger", "zone_tags"], json!([1])), &["/trigger/zone_tags/0"]),
        (with(&["trigger", "max_age_s"], json!(-1)), &["/trigger/max_age_s"]),
        (with(&["trigger", "max_age_s"], json!("900")), &["/trigger/max_age_s"]),
        (with(&["trigger", "on_initial"], json!(1)), &["/trigger/on_initial"]),
        (with(&["trigger", "zones"], json!([])), &["/trigger/zones"]),
        (with(&["audience"], json!({"tag": ""})), &["/audience/tag"]),
        (
            with(&["audience"], json!({"all": [{"tag": "a"}, {"attr": "x", "op": "like", "value": 1}]})),
            &["/audience/all/1/op"],
        ),
        (with(&["audience"], json!("everyone")), &["/audience"]),
        (with(&["message"], json!({})), &["/message"]),
        (with(&["message"], json!("Hi")), &["/message"]),
        (with(&["message", "title"], json!(5)), &["/message/title"]),
        (with(&["message", "data"], json!({"a/b": 5})), &["/message/data/a~1b"]),
        (with(&["message", "data"], json!(["a"])), &["/message/data"]),
        (with(&["message", "data"], json!({"from": "me"})), &["/message/data/from"]),
        (with(&["message", "picture"], json!("x")), &["/message/picture"]),
        (with(&["message", "body"], json!("x".repeat(4_096))), &["/message"]),
    ];
    for (body, pointers) in cases {
        assert_eq!(house.post("/v1/campaigns", &body).await.pointers(), pointers, "{body}");
    }
    assert_eq!(house.get("/v1/campaigns").await.ok()["data"], json!([]));
}
