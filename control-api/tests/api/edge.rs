//! What holds for every route: keys, rates, sizes, unknown paths.

use axum::body::Body;
use axum::http::Request;
use geopush_control_api::openapi;
use serde_json::json;

use crate::house::{house, house_with};

/// Every route of the document, with some value in its path.
fn calls() -> Vec<String> {
    let document = openapi();
    let mut calls = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        let id = "00000000-0000-0000-0000-000000000001";
        let path = path.replace("{id}", id).replace("{push_id}", id);
        let path = path.replace("{device_id}", "d").replace("{external_id}", "e").replace("{app}", "a");
        calls.extend(
            item.as_object().unwrap().keys().map(|method| format!("{} {path}", method.to_uppercase())),
        );
    }
    calls
}

#[tokio::test]
async fn no_route_is_open_to_others_than_holders_of_a_secret_key() {
    let house = house().await;
    let calls = calls();
    assert!(calls.len() > 30, "{calls:?}");
    for call in calls {
        let (method, path) = call.split_once(' ').unwrap();
        let bare = Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
        let bare = house.send(bare).await;
        assert_eq!(bare.problem(), (401, "unauthorized".to_owned()), "{call}");
        assert_eq!(bare.header("www-authenticate"), "Bearer");
        assert_eq!(house.ask_with("gp_sk_wrong", &call, &[], "").await.problem().0, 401, "{call}");
        let phone = house.ask_with(&house.tenant.publishable_key, &call, &[], "").await;
        assert_eq!(phone.problem(), (403, "forbidden".to_owned()), "{call}");
        let known = house.ask(&call, &[], "").await;
        assert!(![401, 403, 405, 500].contains(&known.status), "{call}: {}", known.text);
    }
}

#[tokio::test]
async fn unknown_paths_and_methods_are_problems() {
    let house = house().await;
    assert_eq!(house.get("/v1/nothing").await.problem().0, 404);
    let answer = house.ask("PATCH /v1/zones", &[], "").await;
    assert_eq!(answer.problem().0, 405);
    assert!(answer.header("allow").contains("POST"));
    assert_eq!(house.get("/v1/devices/%FF").await.problem().0, 400);
    assert_eq!(house.get("/v1/zones?limit=1&limit=2").await.problem().0, 400);
}

#[tokio::test]
async fn bodies_are_bounded_and_must_be_json() {
    let house = house_with(&[
        ("api-max-body", "1KiB"),
        ("api-max-send-body", "2KiB"),
        ("api-max-import-body", "4KiB"),
    ])
    .await;
    for (call, size) in
        [("PUT /v1/devices/d", 1), ("POST /v1/zones", 1), ("POST /v1/sends", 2), ("POST /v1/zones/import", 4)]
    {
        let body = |bytes: usize| format!("\"{}\"", "x".repeat(bytes - 2));
        assert_eq!(house.ask(call, &[], body(size * 1024)).await.problem().0, 422, "{call}");
        assert_eq!(house.ask(call, &[], body(size * 1024 + 1)).await.problem().0, 413, "{call}");
        let keyed = house.ask(call, &[("idempotency-key", "k")], body(size * 1024 + 1)).await;
        assert_eq!(keyed.problem().0, 413, "{call}");
        let text =
            Request::builder().method(call.split(' ').next().unwrap()).uri(call.split(' ').nth(1).unwrap());
        let text = text
            .header("authorization", format!("Bearer {}", house.tenant.secret_key))
            .header("content-type", "text/csv");
        assert_eq!(house.send(text.body(Body::from("a,b")).unwrap()).await.problem().0, 415, "{call}");
    }
}

#[tokio::test]
async fn a_tenant_that_asks_too_often_is_told_to_wait() {
    let house = house_with(&[("api-requests-per-second", "2")]).await;
    let first = house.get("/v1/zones").await;
    assert_eq!((first.status, first.header("ratelimit-policy")), (200, "\"tenant\";q=2;w=1"));
    assert_eq!(first.header("ratelimit"), "\"tenant\";r=1;t=1");
    house.get("/v1/zones").await;
    let mut last = house.get("/v1/zones").await;
    for _ in 0..100 {
        if last.status == 429 {
            break;
        }
        last = house.get("/v1/zones").await;
    }
    assert_eq!(last.problem(), (429, "too_many_requests".to_owned()));
    assert_eq!((last.header("retry-after"), last.header("ratelimit")), ("1", "\"tenant\";r=0;t=1"));
    assert_eq!(house.ask_with(&house.other.secret_key, "GET /v1/zones", &[], "").await.status, 200);
    let unbounded = house_with(&[("api-requests-per-second", "0")]).await;
    let answer = unbounded.get("/v1/zones").await;
    assert_eq!((answer.ok(), answer.header("ratelimit")), (json!({"data": [], "next_cursor": null}), ""));
}
