//! The control address: what was sent, faults, and the files that are written.

mod client;

use client::{PATIENCE, Phones, device, sandbox};
use serde_json::{Value, json};

#[tokio::test]
async fn sent_pages_through_what_both_providers_took() {
    let mut phones = Phones::new().await;
    for n in 0..3 {
        let message = json!({ "token": format!("t{n}"), "data": { "geopush_push_id": format!("p{n}") } });
        assert_eq!(phones.fcm(&message).await.unwrap().status, 200);
    }
    phones.apns(&device("ab"), &json!({ "aps": { "alert": "hi" }, "geopush_push_id": "p3" })).await.unwrap();
    assert!(phones.sandbox.wait_for_sent(4, PATIENCE).await);

    let all = phones.sent("?after=").await;
    assert_eq!(all, phones.sent("").await);
    let of = |page: &Value, name: &str| -> Vec<Value> {
        page["data"].as_array().unwrap().iter().map(|sent| sent[name].clone()).collect()
    };
    assert_eq!(of(&all, "provider"), ["fcm", "fcm", "fcm", "apns"]);
    assert_eq!(of(&all, "push_id"), ["p0", "p1", "p2", "p3"]);
    assert_eq!(of(&all, "seq"), [1, 2, 3, 4]);
    let received_at = all["data"][0]["received_at"].as_str().unwrap();
    assert!(received_at.ends_with('Z') && received_at.len() == 24, "{received_at}");

    let first = phones.sent("?limit=3").await;
    assert_eq!(of(&first, "push_id"), ["p0", "p1", "p2"]);
    let rest = phones.sent(&format!("?after={}", first["next_after"].as_str().unwrap())).await;
    assert_eq!(of(&rest, "push_id"), ["p3"]);
    let none = phones.sent(&format!("?after={}", rest["next_after"].as_str().unwrap())).await;
    assert_eq!((of(&none, "seq").len(), &none["next_after"]), (0, &rest["next_after"]));
    assert_eq!(of(&phones.sent("?after=2020-01-01T00:00:00Z").await, "seq").len(), 4);
    assert_eq!(of(&phones.sent("?after=2200-01-01T00:00:00Z").await, "seq").len(), 0);
    assert_eq!(phones.sent("?after=soon").await["status"], 422);
    assert_eq!(phones.sent("?limit=0").await["status"], 422);
}

#[tokio::test]
async fn a_fault_is_listed_until_used_up_or_deleted() {
    let mut phones = Phones::new().await;
    let added = phones.fault(&json!({ "provider": "fcm", "status": 503, "times": 2 })).await;
    assert_eq!((added.status, &added.json()["times"]), (201, &json!(2)));
    assert_eq!(phones.fcm(&json!({ "token": "t" })).await.unwrap().status, 503);
    let listed = phones.control.request("GET", "/faults", &[], "").await.unwrap().json();
    assert_eq!(
        listed["data"],
        json!([{ "provider": "fcm", "status": 503, "delay_ms": 0, "action": "respond", "times": 1 }])
    );
    assert_eq!(phones.control.request("DELETE", "/faults", &[], "").await.unwrap().status, 204);
    assert_eq!(phones.fcm(&json!({ "token": "t" })).await.unwrap().status, 200);
}

#[tokio::test]
async fn a_fault_that_cannot_be_is_refused_with_what_is_wrong() {
    let mut phones = Phones::new().await;
    for (fault, says) in [
        (json!({}), "provider"),
        (json!({ "provider": "wns", "status": 500 }), "wns"),
        (json!({ "provider": "fcm", "status": "500" }), "500"),
        (json!({ "provider": "fcm", "status": 500, "tokn": "t" }), "tokn"),
        (json!({ "provider": "fcm", "action": "explode" }), "explode"),
        (json!({ "provider": "fcm", "status": 99 }), "`status` is 99"),
        (json!({ "provider": "fcm", "status": 500, "times": 0 }), "`times` is 0"),
        (json!({ "provider": "fcm", "status": 500, "delay_ms": -1 }), "-1"),
        (json!({ "provider": "apns", "status": 400 }), "give `reason`"),
    ] {
        let reply = phones.fault(&fault).await;
        assert_eq!(reply.status, 422, "{fault}: {}", reply.text);
        assert!(reply.json()["detail"].as_str().unwrap().contains(says), "{fault}: {}", reply.text);
    }
    assert_eq!(phones.control.request("POST", "/faults", &[], "{").await.unwrap().status, 400);
    assert_eq!(phones.fcm(&json!({ "token": "t" })).await.unwrap().status, 200);
}

#[tokio::test]
async fn the_files_hold_what_a_client_needs() {
    let sandbox = sandbox().await;
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().join("not/yet/there");
    sandbox.write(&dir).unwrap();
    let read = |name: &str| std::fs::read_to_string(dir.join(name)).unwrap();
    let json = |name: &str| -> Value { serde_json::from_str(&read(name)).unwrap() };
    assert_eq!(read("ca.pem"), sandbox.ca_pem());
    assert_eq!(read("apns-key.p8"), sandbox.apns_key_pem());
    assert_eq!(&json("service-account.json"), sandbox.service_account_json());
    let written = json("sandbox.json");
    for (name, url) in [
        ("fcm_url", sandbox.fcm_url()),
        ("apns_url", sandbox.apns_url()),
        ("control_url", sandbox.control_url()),
    ] {
        assert_eq!(written[name], url);
    }
    assert_eq!(written["token_uri"], format!("{}/token", sandbox.fcm_url()));
    assert_eq!(written["app"], sandbox.app_json());
    assert_eq!(json("app.json"), sandbox.app_json());
    assert_eq!(written["app"]["fcm"]["service_account"]["token_uri"], written["token_uri"]);
    assert_eq!(written["app"]["apns"]["private_key"], sandbox.apns_key_pem());
    let certificate = sandbox.certified_app_json();
    let parts =
        ["certificate", "private_key"].map(|name| certificate["apns"][name].as_str().unwrap().to_owned());
    assert_eq!(read("apns-certificate.pem"), parts.concat());
    assert_eq!(std::fs::read_dir(&dir).unwrap().count(), 6);
}

#[tokio::test]
async fn a_stopped_sandbox_answers_no_more() {
    let mut phones = Phones::new().await;
    let url = phones.sandbox.fcm_url().strip_prefix("https://").unwrap().to_owned();
    assert_eq!(phones.fcm(&json!({ "token": "t" })).await.unwrap().status, 200);
    phones.sandbox.stop().await;
    let ended = tokio::time::timeout(PATIENCE, phones.fcm.connection).await;
    assert!(ended.is_ok(), "the connection is closed");
    tokio::net::TcpStream::connect(url).await.expect_err("nobody listens");
}
