//! Faults, as the pushes that meet them see them.

mod client;

use std::time::Instant;

use client::{PATIENCE, Phones, SEND, device};
use geopush_sandbox::APNS_TOPIC;
use serde_json::{Value, json};

fn apns_payload() -> Value {
    json!({ "aps": { "alert": "hi" } })
}

#[tokio::test]
async fn a_fault_answers_as_the_provider_would() {
    let mut phones = Phones::new().await;
    let details = |code: &str| json!([{ "@type": "type.googleapis.com/google.firebase.fcm.v1.FcmError", "errorCode": code }]);
    let rows = [
        (json!({ "status": 503 }), 503, "UNAVAILABLE", details("UNAVAILABLE")),
        (json!({ "reason": "UNAVAILABLE" }), 503, "UNAVAILABLE", details("UNAVAILABLE")),
        (json!({ "status": 500, "reason": "INTERNAL" }), 500, "INTERNAL", details("INTERNAL")),
        (json!({ "reason": "UNREGISTERED" }), 404, "NOT_FOUND", details("UNREGISTERED")),
        (
            json!({ "reason": "THIRD_PARTY_AUTH_ERROR" }),
            401,
            "UNAUTHENTICATED",
            details("THIRD_PARTY_AUTH_ERROR"),
        ),
        (json!({ "status": 400 }), 400, "INVALID_ARGUMENT", details("INVALID_ARGUMENT")),
        (json!({ "status": 403 }), 403, "PERMISSION_DENIED", Value::Null),
        (json!({ "status": 404 }), 404, "NOT_FOUND", Value::Null),
        (json!({ "status": 429, "reason": "RESOURCE_EXHAUSTED" }), 429, "RESOURCE_EXHAUSTED", Value::Null),
        (json!({ "status": 418, "reason": "NEW_CODE" }), 418, "UNKNOWN", details("NEW_CODE")),
    ];
    for (mut fault, status, canonical, details) in rows {
        fault["provider"] = "fcm".into();
        assert_eq!(phones.fault(&fault).await.status, 201, "{fault}");
        let reply = phones.fcm(&json!({ "token": "t" })).await.unwrap();
        let error = &reply.json()["error"];
        assert_eq!(
            (reply.status, error["status"].as_str()),
            (status, Some(canonical)),
            "{fault}: {}",
            reply.text
        );
        assert_eq!(error["details"], details, "{fault}: {}", reply.text);
    }
    phones.fault(&json!({ "provider": "fcm", "reason": "QUOTA_EXCEEDED", "retry_after_s": 7 })).await;
    let reply = phones.fcm(&json!({ "token": "t" })).await.unwrap();
    assert_eq!((reply.status, reply.header("retry-after")), (429, Some("7")));
    assert_eq!(reply.json()["error"]["details"][0]["errorCode"], "QUOTA_EXCEEDED");
    phones.fault(&json!({ "provider": "fcm", "status": 401 })).await;
    let reply = phones.fcm(&json!({ "token": "t" })).await.unwrap();
    assert!(reply.header("www-authenticate").unwrap().contains("invalid_token"));

    for (fault, status, body) in [
        (json!({ "status": 503 }), 503, json!({ "reason": "ServiceUnavailable" })),
        (json!({ "reason": "Shutdown" }), 503, json!({ "reason": "Shutdown" })),
        (json!({ "status": 429 }), 429, json!({ "reason": "TooManyRequests" })),
        (json!({ "reason": "ExpiredProviderToken" }), 403, json!({ "reason": "ExpiredProviderToken" })),
        (json!({ "status": 410, "timestamp": 5 }), 410, json!({ "reason": "Unregistered", "timestamp": 5 })),
        (
            json!({ "reason": "ExpiredToken", "timestamp": 6 }),
            410,
            json!({ "reason": "ExpiredToken", "timestamp": 6 }),
        ),
    ] {
        let mut fault = fault;
        fault["provider"] = "apns".into();
        assert_eq!(phones.fault(&fault).await.status, 201, "{fault}");
        let reply = phones.apns(&device("ab"), &apns_payload()).await.unwrap();
        assert_eq!((reply.status, reply.json()), (status, body), "{fault}");
    }
    assert_eq!(phones.sandbox.sent_count(), 0);
}

#[tokio::test]
async fn a_fault_meets_only_its_token_and_only_pushes_that_are_right() {
    let mut phones = Phones::new().await;
    phones.fault(&json!({ "provider": "apns", "token": device("AB"), "status": 500, "times": 2 })).await;
    assert_eq!(phones.apns(&device("cd"), &apns_payload()).await.unwrap().status, 200);
    assert_eq!(phones.fcm(&json!({ "token": device("AB") })).await.unwrap().status, 200);
    assert_eq!(phones.apns(&device("ab"), &json!({})).await.unwrap().status, 400);
    assert_eq!(phones.apns(&device("ab"), &apns_payload()).await.unwrap().status, 500);
    assert_eq!(phones.apns(&device("ab"), &apns_payload()).await.unwrap().status, 500);
    assert_eq!(phones.apns(&device("ab"), &apns_payload()).await.unwrap().status, 200);
}

#[tokio::test]
async fn a_delay_holds_only_its_own_push() {
    let mut phones = Phones::new().await;
    let (bearer, _) = phones.bearers();
    phones.fault(&json!({ "provider": "fcm", "token": "slow", "delay_ms": 1500 })).await;
    let start = Instant::now();
    let mut other = phones.fcm.another();
    let slow = tokio::spawn(async move {
        let body = json!({ "message": { "token": "slow" } }).to_string();
        other.request("POST", SEND, &[("authorization", &bearer)], body).await.unwrap().status
    });
    assert_eq!(phones.fcm(&json!({ "token": "quick" })).await.unwrap().status, 200);
    let quick = start.elapsed();
    assert_eq!(slow.await.unwrap(), 200);
    assert!(start.elapsed().as_millis() >= 1500);
    assert!(quick.as_millis() < 1500, "{quick:?}");
    let order: Vec<_> = phones.sandbox.latest(2).into_iter().map(|sent| sent.token).collect();
    assert_eq!(order, ["quick", "slow"]);
}

#[tokio::test]
async fn goaway_ends_a_connection_after_answering_what_is_under_way() {
    let mut phones = Phones::new().await;
    let (_, bearer) = phones.bearers();
    phones.fault(&json!({ "provider": "apns", "token": device("51"), "delay_ms": 300 })).await;
    phones.fault(&json!({ "provider": "apns", "token": device("90"), "action": "goaway" })).await;
    let headers =
        |bearer: &str| [("authorization", bearer.to_owned()), ("apns-topic", APNS_TOPIC.to_owned())];
    let mut other = phones.apns.another();
    let slow = tokio::spawn(async move {
        let headers = headers(&bearer);
        let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let path = format!("/3/device/{}", device("51"));
        other.request("POST", &path, &headers, apns_payload().to_string()).await.map(|reply| reply.status)
    });
    // The slow push has taken its fault once only the other's is left.
    loop {
        let waiting = phones.control.request("GET", "/faults", &[], "").await.unwrap().json();
        if waiting["data"].as_array().unwrap().len() == 1 {
            break;
        }
    }
    assert_eq!(phones.apns(&device("90"), &apns_payload()).await.unwrap().status, 200);
    assert_eq!(slow.await.unwrap().unwrap(), 200);
    let ended = tokio::time::timeout(PATIENCE, &mut phones.apns.connection).await;
    ended.expect("the connection ends").unwrap().expect("and ends in order");
    phones.apns(&device("ab"), &apns_payload()).await.expect_err("it takes nothing new");
    phones.reconnect().await;
    assert_eq!(phones.apns(&device("ab"), &apns_payload()).await.unwrap().status, 200);
    assert_eq!(phones.sandbox.sent_count(), 3);
}

#[tokio::test]
async fn goaway_can_come_with_an_error() {
    let mut phones = Phones::new().await;
    phones.fault(&json!({ "provider": "apns", "action": "goaway", "reason": "Shutdown" })).await;
    let reply = phones.apns(&device("ab"), &apns_payload()).await.unwrap();
    assert_eq!((reply.status, reply.json()), (503, json!({ "reason": "Shutdown" })));
    tokio::time::timeout(PATIENCE, phones.apns.connection)
        .await
        .expect("the connection ends")
        .unwrap()
        .unwrap();
}

#[tokio::test]
async fn drop_cuts_the_connection_without_an_answer() {
    let mut phones = Phones::new().await;
    phones.fault(&json!({ "provider": "fcm", "action": "drop" })).await;
    phones.fault(&json!({ "provider": "apns", "action": "drop", "status": 200 })).await;
    phones.fcm(&json!({ "token": "t" })).await.expect_err("no answer");
    assert_eq!(phones.sandbox.sent_count(), 0, "not taken");
    phones.apns(&device("ab"), &apns_payload()).await.expect_err("no answer");
    assert_eq!(phones.sandbox.sent_count(), 1, "taken, unseen");
    for connection in [phones.fcm.connection, phones.apns.connection] {
        let _either_way = tokio::time::timeout(PATIENCE, connection).await.expect("the connection ends");
    }
}

#[tokio::test]
async fn a_fault_can_save_a_token_that_would_fail() {
    let mut phones = Phones::new().await;
    phones.fault(&json!({ "provider": "fcm", "status": 200 })).await;
    phones.fault(&json!({ "provider": "apns", "delay_ms": 1 })).await;
    assert_eq!(phones.fcm(&json!({ "token": "unregistered" })).await.unwrap().status, 200);
    assert_eq!(phones.apns(&device("dead"), &apns_payload()).await.unwrap().status, 410);
}
