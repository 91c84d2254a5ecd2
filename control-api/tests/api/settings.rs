//! `/v1/settings`.

use geopush_log::Topic;
use geopush_model::{Config, ConfigItem, TenantSettings, Wire as _};
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
    let wanted = json!({"name": "Shop", "detect_crossings": false, "version": 1,
        "created_at": NOW_TEXT, "updated_at": NOW_TEXT});
    assert_eq!(first.ok(), wanted);

    house.clock.advance(1_000);
    let on = house.put("/v1/settings", &json!({"detect_crossings": true})).await;
    assert_eq!(on.header("etag"), "\"2\"");
    let wanted = json!({"name": "Shop", "detect_crossings": true, "version": 2,
        "created_at": NOW_TEXT, "updated_at": "2026-01-01T00:00:01.000Z"});
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
