//! `/v1/settings`.

use geopush_log::Topic;
use geopush_model::{
    Caps, Config, ConfigItem, DailyWindow, QuietHours, QuietHoursThen, TenantSettings, Weight, Wire as _,
};
use geopush_store::tables::TenantRow;
use serde_json::json;

use crate::house::{House, NOW_TEXT, house};

/// The tenant's record on the topic.
async fn published(house: &House) -> (i64, ConfigItem) {
    let tenant = house.tenant.tenant;
    let records = house.records(Topic::Config).await;
    let of_the_tenant = records.iter().filter(|record| record.key == tenant.to_string());
    let config = Config::decode(of_the_tenant.last().unwrap().value.as_ref().unwrap()).unwrap();
    assert_eq!(config.tenant, tenant);
    (config.version, config.item)
}

fn item(name: &str, detect_crossings: bool) -> ConfigItem {
    ConfigItem::Tenant(TenantSettings { name: name.into(), detect_crossings, ..TenantSettings::default() })
}

#[tokio::test]
async fn a_tenant_reads_and_replaces_its_settings_alone() {
    let house = house().await;
    let first = house.get("/v1/settings").await;
    assert_eq!(first.header("etag"), "\"1\"");
    let none = json!({"per_hour": null, "per_day": null, "per_week": null});
    let wanted = json!({"name": "Shop", "detect_crossings": false, "timezone": null, "quiet_hours": null,
        "caps": none, "quota_per_day": null, "version": 1, "created_at": NOW_TEXT, "updated_at": NOW_TEXT});
    assert_eq!(first.ok(), wanted);

    house.clock.advance(1_000);
    let on = house.put("/v1/settings", &json!({"detect_crossings": true})).await;
    assert_eq!(on.header("etag"), "\"2\"");
    let wanted = json!({"name": "Shop", "detect_crossings": true, "timezone": null, "quiet_hours": null,
        "caps": none, "quota_per_day": null, "version": 2, "created_at": NOW_TEXT,
        "updated_at": "2026-01-01T00:00:01.000Z"});
    assert_eq!(on.ok(), wanted);
    assert_eq!(house.get("/v1/settings").await.ok(), wanted);
    assert_eq!(published(&house).await, (2, item("Shop", true)), "followers know it before it is answered");

    // What was read may be sent back, with what changes.
    let mut body = wanted;
    body["name"] = "Käse & Söhne".into();
    let renamed = house.put("/v1/settings", &body).await.ok();
    assert_eq!(
        (&renamed["name"], &renamed["detect_crossings"], &renamed["version"]),
        (&json!("Käse & Söhne"), &json!(true), &json!(3))
    );
    assert_eq!(published(&house).await, (3, item("Käse & Söhne", true)));

    let other = house.ask_with(&house.other.secret_key, "GET /v1/settings", &[], "").await.ok();
    assert_eq!((&other["name"], &other["detect_crossings"]), (&json!("Other"), &json!(false)));
    assert!(house.dependencies.directory.authenticate(&house.tenant.secret_key).is_some());
}

#[tokio::test]
async fn every_choice_is_published_reads_back_and_is_none_again_when_left_out() {
    let house = house().await;
    let chosen = json!({
        "detect_crossings": false, "timezone": "Europe/Madrid",
        "quiet_hours": {"from": "22:00", "to": "07:30", "then": "drop"},
        "caps": {"per_hour": 1, "per_day": 4, "per_week": 200}, "quota_per_day": 1_000_000
    });
    let answer = house.put("/v1/settings", &chosen).await.ok();
    for (member, value) in chosen.as_object().unwrap() {
        assert_eq!(answer[member], *value, "{member}");
    }
    let (from, to) = ("22:00".parse().unwrap(), "07:30".parse().unwrap());
    let settings = TenantSettings {
        name: "Shop".into(),
        detect_crossings: false,
        timezone: Some("Europe/Madrid".into()),
        quiet_hours: Some(QuietHours { window: DailyWindow { from, to }, then: QuietHoursThen::Drop }),
        caps: Caps { per_hour: Some(1), per_day: Some(4), per_week: Some(200) },
        quota_per_day: Some(1_000_000),
        weight: Weight::default(),
    };
    assert_eq!(published(&house).await, (2, ConfigItem::Tenant(settings)));
    assert_eq!(house.get("/v1/settings").await.ok(), answer);
    let mut again = house.put("/v1/settings", &answer).await.ok();
    again["version"] = 2.into();
    assert_eq!(again, answer, "what was read may be sent back");

    let some = json!({"detect_crossings": false, "timezone": "europe/madrid", "caps": {"per_day": 3},
        "quiet_hours": {"from": "22:00", "to": "22:00"}});
    let answer = house.put("/v1/settings", &some).await.ok();
    assert_eq!(answer["timezone"], "Europe/Madrid", "as IANA writes it");
    assert_eq!(answer["caps"], json!({"per_hour": null, "per_day": 3, "per_week": null}));
    assert_eq!(answer["quiet_hours"]["then"], "hold");
    assert_eq!(answer["quota_per_day"], json!(null));
    house.put("/v1/settings", &json!({"detect_crossings": false, "caps": null})).await.ok();
    assert_eq!(published(&house).await, (5, item("Shop", false)));
}

#[tokio::test]
async fn if_match_is_heeded_where_it_is_sent() {
    let house = house().await;
    let body = json!({"detect_crossings": true}).to_string();
    for (tag, status, version) in [("\"1\"", 200, 2), ("\"1\"", 412, 2), ("*", 200, 3), ("W/\"3\"", 412, 3)] {
        let answer = house.ask("PUT /v1/settings", &[("if-match", tag)], body.clone()).await;
        assert_eq!(answer.status, status, "{tag}: {}", answer.text);
        assert_eq!(published(&house).await.0, version, "{tag}");
    }
}

#[tokio::test]
async fn what_is_wrong_with_settings_is_named() {
    let house = house().await;
    for (body, pointers) in [
        (json!([]), &[""][..]),
        (json!({}), &["/detect_crossings"]),
        (json!({"detect_crossings": null}), &["/detect_crossings"]),
        (json!({"detect_crossings": "yes"}), &["/detect_crossings"]),
        (json!({"name": "", "detect_crossings": true}), &["/name"]),
        (json!({"name": "x".repeat(257), "detect_crossings": true}), &["/name"]),
        (json!({"name": 3, "detect_crossing": true}), &["/name", "/detect_crossings", "/detect_crossing"]),
        (json!({"detect_crossings": true, "tenant": "a"}), &["/tenant"]),
        (json!({"detect_crossings": true, "timezone": "Mars/Olympus"}), &["/timezone"]),
        (json!({"detect_crossings": true, "timezone": "UTC+2"}), &["/timezone"]),
        (json!({"detect_crossings": true, "quiet_hours": "22:00-08:00"}), &["/quiet_hours"]),
        (json!({"detect_crossings": true, "quiet_hours": {}}), &["/quiet_hours/from", "/quiet_hours/to"]),
        (
            json!({"detect_crossings": true, "quiet_hours": {"from": "24:00", "to": 8, "then": "wait", "days": []}}),
            &["/quiet_hours/from", "/quiet_hours/to", "/quiet_hours/then", "/quiet_hours/days"],
        ),
        (
            json!({"detect_crossings": true, "caps": {"per_hour": 0, "per_day": 201, "per_week": "7", "per_year": 1}}),
            &["/caps/per_hour", "/caps/per_day", "/caps/per_week", "/caps/per_year"],
        ),
        (json!({"detect_crossings": true, "caps": [1, 2, 3]}), &["/caps"]),
        (json!({"detect_crossings": true, "quota_per_day": 0}), &["/quota_per_day"]),
        (json!({"detect_crossings": true, "quota_per_day": 1.5}), &["/quota_per_day"]),
    ] {
        assert_eq!(house.put("/v1/settings", &body).await.pointers(), pointers, "{body}");
    }
    assert_eq!(house.ask("PUT /v1/settings", &[], "{").await.problem().0, 400);
    assert_eq!(published(&house).await, (1, item("Shop", false)), "nothing of it was taken");
}

#[tokio::test]
async fn a_tenant_from_before_there_was_a_choice_may_choose() {
    let house = house().await;
    let key = (house.tenant.tenant.0,);
    let row: TenantRow = house.store.get(&key, &()).await.unwrap().unwrap();
    let old = TenantRow { detect_crossings: None, version: 2, ..row };
    assert!(house.store.put_if_version(old, 1).await.unwrap());
    assert_eq!(house.get("/v1/settings").await.ok()["detect_crossings"], false);
    house.put("/v1/settings", &json!({"detect_crossings": true})).await.ok();
    assert_eq!(published(&house).await, (3, item("Shop", true)));
}
