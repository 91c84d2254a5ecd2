//! `/v1/apps/{app}`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use graviola::signing::rsa::{KeySize, SigningKey};
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use serde_json::{Value, json};

use crate::house::{NOW_TEXT, house, house_with};

fn pem(der: &[u8]) -> String {
    format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", STANDARD.encode(der))
}

fn apns() -> Value {
    let random = ring::rand::SystemRandom::new();
    let key = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
    json!({"team_id": "TEAM", "key_id": "KEY", "topic": "com.shop", "private_key": pem(key.as_ref()),
        "environment": "sandbox"})
}

pub fn fcm() -> Value {
    let mut buffer = [0; 2048];
    let key = SigningKey::generate(KeySize::Rsa2048).unwrap();
    json!({"service_account": {"type": "service_account", "project_id": "p", "client_email": "e",
        "private_key": pem(key.to_pkcs8_der(&mut buffer).unwrap())}})
}

#[tokio::test]
async fn an_app_is_told_without_its_secrets() {
    let house = house().await;
    assert_eq!(house.get("/v1/apps/shop").await.problem().0, 404);
    let body = json!({"fcm": fcm(), "apns": apns()});
    let made = house.put("/v1/apps/shop", &body).await;
    assert_eq!((made.status, made.header("etag")), (201, "\"1\""), "{}", made.text);
    let wanted = json!({
        "app": "shop",
        "fcm": {"service_account": {"project_id": "p", "client_email": "e",
            "token_uri": "https://oauth2.googleapis.com/token"}},
        "apns": {"team_id": "TEAM", "key_id": "KEY", "topic": "com.shop", "environment": "sandbox"},
        "version": 1, "created_at": NOW_TEXT, "updated_at": NOW_TEXT
    });
    assert_eq!(made.json(), wanted);
    let read = house.get("/v1/apps/shop").await;
    assert_eq!(read.ok(), wanted);
    assert!(!read.text.contains("PRIVATE") && !read.text.contains("private_key"));

    house.clock.advance(1_000);
    let again = house
        .ask("PUT /v1/apps/shop", &[("if-match", "\"1\"")], json!({"apns": apns()}).to_string())
        .await
        .ok();
    assert_eq!(
        (&again["version"], &again["fcm"], &again["created_at"]),
        (&json!(2), &Value::Null, &json!(NOW_TEXT))
    );
    let stale = house.ask("PUT /v1/apps/shop", &[("if-match", "\"1\"")], body.to_string()).await;
    assert_eq!(stale.problem().0, 412);
    let other = house.ask_with(&house.other.secret_key, "GET /v1/apps/shop", &[], "").await;
    assert_eq!(other.problem().0, 404);
}

#[tokio::test]
async fn what_is_wrong_with_credentials_is_named() {
    let house = house().await;
    let with = |path: &[&str], value: Value| {
        let mut body = json!({"apns": apns(), "fcm": {"service_account": {"project_id": "p", "client_email": "e", "private_key": "x"}}});
        let mut at = &mut body;
        for name in path {
            at = &mut at[*name];
        }
        *at = value;
        body
    };
    for (body, pointers) in [
        (json!({}), &[""][..]),
        (json!([]), &[""]),
        (json!({"apns": {}}), &["/apns/topic"]),
        (
            json!({"apns": {"topic": "com.shop", "private_key": "x", "environment": "sandbox"}}),
            &["/apns/team_id", "/apns/key_id", "/apns/private_key"],
        ),
        (
            json!({"apns": {"topic": "com.shop", "private_key": apns()["private_key"], "environment": "sandbox",
                "certificate": "x", "key_id": "KEY"}}),
            &["/apns/key_id", "/apns/certificate"],
        ),
        (json!({"fcm": {"service_account": {}}}), &["/fcm/service_account/project_id"]),
        (json!({"sms": {}}), &["/sms"]),
        (with(&["apns", "environment"], json!("moon")), &["/apns/environment"]),
        (with(&["apns", "colour"], json!("red")), &["/apns/colour"]),
        (with(&["apns", "per_minute"], json!(0)), &["/apns/per_minute"]),
        (
            with(&["apns", "private_key"], json!("x")),
            &["/fcm/service_account/private_key", "/apns/private_key"],
        ),
        (
            with(&["apns", "base_url"], json!("https://127.0.0.1:1")),
            &["/apns/base_url", "/fcm/service_account/private_key"],
        ),
        (
            with(&["fcm", "service_account", "token_uri"], json!("https://me.example/token")),
            &["/fcm/service_account/token_uri", "/fcm/service_account/private_key"],
        ),
    ] {
        assert_eq!(house.put("/v1/apps/shop", &body).await.pointers(), pointers);
    }
    for name in ["a%20b", "a%2Fb", "%C3%A9", &"x".repeat(65)] {
        let answer = house.put(&format!("/v1/apps/{name}"), &json!({"apns": apns()})).await;
        assert_eq!(answer.pointers(), ["/path/app"], "{name}");
    }
}

#[tokio::test]
async fn an_app_may_be_held_to_a_rate() {
    let house = house().await;
    let mut apns = apns();
    apns["per_minute"] = 600.into();
    let made = house.put("/v1/apps/shop", &json!({"apns": apns})).await;
    assert_eq!((made.status, &made.json()["apns"]["per_minute"]), (201, &json!(600)));
    assert_eq!(house.get("/v1/apps/shop").await.json()["apns"]["per_minute"], 600);
}

#[tokio::test]
async fn addresses_are_taken_where_the_operator_allows_them() {
    let house = house_with(&[("allow-provider-urls", "true")]).await;
    let mut apns = apns();
    apns["base_url"] = "https://127.0.0.1:1".into();
    let made = house.put("/v1/apps/shop", &json!({"apns": apns})).await;
    assert_eq!((made.status, &made.json()["apns"]["base_url"]), (201, &json!("https://127.0.0.1:1")));
}
