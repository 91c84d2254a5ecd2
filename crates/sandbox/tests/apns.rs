//! APNs's stand-in, from outside: what it takes, and the exact reasons for what it doesn't.

mod client;

use client::{Client, Phones, apns_bearer, device, ecdsa, es256, now_s, sandbox, tls};
use geopush_sandbox::{APNS_KEY_ID, APNS_TEAM_ID, APNS_TOPIC};
use ring::signature::ECDSA_P256_SHA256_ASN1_SIGNING;
use serde_json::{Value, json};

const ID: &str = "8f0b0d8e-1c3f-4d5e-9a7b-0123456789ab";

#[tokio::test]
async fn a_right_push_is_taken_and_shows_as_sent() {
    let mut phones = Phones::new().await;
    let (_, bearer) = phones.bearers();
    let headers = [
        ("authorization", bearer.as_str()),
        ("apns-topic", APNS_TOPIC),
        ("apns-id", ID),
        ("apns-push-type", "alert"),
        ("apns-priority", "10"),
        ("apns-expiration", "0"),
        ("apns-collapse-id", "c"),
    ];
    let payload = json!({ "aps": { "alert": { "title": "Welcome", "body": "Come in" } }, "k": "v" });
    let path = format!("/3/device/{}", device("ab"));
    let reply = phones.apns.request("POST", &path, &headers, payload.to_string()).await.unwrap();
    assert_eq!((reply.status, reply.text.as_str(), reply.header("apns-id")), (200, "", Some(ID)));
    let sent = phones.sandbox.latest(1);
    assert_eq!((sent[0].token.as_str(), sent[0].push_id.as_deref()), (device("ab").as_str(), Some(ID)));
    assert_eq!((sent[0].title.as_str(), sent[0].body.as_str()), ("Welcome", "Come in"));
    assert_eq!(Value::from(sent[0].data.clone()), json!({ "k": "v" }));
}

#[tokio::test]
async fn a_push_without_an_id_is_given_one() {
    let mut phones = Phones::new().await;
    let reply = phones.apns(&device("ab"), &json!({ "aps": {} })).await.unwrap();
    assert_eq!(reply.header("apns-id").unwrap().len(), 36);
}

#[tokio::test]
async fn a_wrong_push_gets_apples_reason() {
    let mut phones = Phones::new().await;
    let (_, bearer) = phones.bearers();
    let key = phones.sandbox.apns_key_pem().to_owned();
    let stranger = sandbox().await;
    let now = now_s();
    let signed = |header: Value, claims: Value| format!("bearer {}", es256(&key, &header, &claims));
    let header = json!({ "alg": "ES256", "kid": APNS_KEY_ID });
    let expired = apns_bearer(&key, now - 3601);
    let nearly_expired = apns_bearer(&key, now - 3500);
    let ahead = apns_bearer(&key, now + 3600);
    let foreign = apns_bearer(stranger.apns_key_pem(), now);
    let other_key =
        signed(json!({ "alg": "ES256", "kid": "OTHER" }), json!({ "iss": APNS_TEAM_ID, "iat": now }));
    let other_team = signed(header.clone(), json!({ "iss": "OTHER", "iat": now }));
    let in_der =
        ecdsa(&ECDSA_P256_SHA256_ASN1_SIGNING, &key, &header, &json!({ "iss": APNS_TEAM_ID, "iat": now }));
    let in_der = format!("bearer {in_der}");
    let undated = signed(header, json!({ "iss": APNS_TEAM_ID }));
    let good = json!({ "aps": { "alert": "hi" } }).to_string();
    let big = |len: usize| json!({ "aps": { "alert": "x".repeat(len - 20) } }).to_string();
    let path = |token: &str| format!("/3/device/{token}");
    let ours = path(&device("ab"));
    let voip = format!("{APNS_TOPIC}.voip");
    let long_id = "c".repeat(65);

    type Change<'a> = Vec<(&'a str, Option<&'a str>)>;
    struct Row<'a> {
        method: &'a str,
        path: String,
        /// Headers changed: without a value, left out.
        change: Change<'a>,
        body: String,
        expected: (u16, &'a str),
    }
    let row =
        |change, expected| Row { method: "POST", path: ours.clone(), change, body: good.clone(), expected };
    let ok = (200, "");
    #[rustfmt::skip]
    let rows = [
        row(vec![], ok),
        Row { method: "GET", ..row(vec![], (405, "MethodNotAllowed")) },
        Row { method: "PUT", ..row(vec![], (405, "MethodNotAllowed")) },
        Row { path: "/3/devices/abc".to_owned(), ..row(vec![], (404, "BadPath")) },
        Row { path: "/2/device/abc".to_owned(), ..row(vec![], (404, "BadPath")) },
        Row { path: "/3/device/".to_owned(), ..row(vec![], (400, "MissingDeviceToken")) },
        row(vec![("authorization", None)], (403, "MissingProviderToken")),
        row(vec![("authorization", Some("Basic abc"))], (403, "MissingProviderToken")),
        row(vec![("authorization", Some("bearer abc"))], (403, "InvalidProviderToken")),
        row(vec![("authorization", Some(&foreign))], (403, "InvalidProviderToken")),
        row(vec![("authorization", Some(&other_key))], (403, "InvalidProviderToken")),
        row(vec![("authorization", Some(&other_team))], (403, "InvalidProviderToken")),
        row(vec![("authorization", Some(&in_der))], ok),
        row(vec![("authorization", Some(&undated))], (403, "InvalidProviderToken")),
        row(vec![("authorization", Some(&ahead))], (403, "InvalidProviderToken")),
        row(vec![("authorization", Some(&expired))], (403, "ExpiredProviderToken")),
        row(vec![("authorization", Some(&expired))], (403, "ExpiredProviderToken")),
        row(vec![("authorization", Some(&nearly_expired))], ok),
        row(vec![("apns-topic", None)], (400, "MissingTopic")),
        row(vec![("apns-topic", Some("com.example.other"))], (400, "DeviceTokenNotForTopic")),
        row(vec![("apns-topic", Some("not a topic"))], (400, "BadTopic")),
        row(vec![("apns-topic", Some(&voip))], (400, "TopicDisallowed")),
        row(vec![("apns-topic", Some(&voip)), ("apns-push-type", Some("voip"))], ok),
        row(vec![("apns-id", Some("not-a-uuid"))], (400, "BadMessageId")),
        row(vec![("apns-expiration", Some("tomorrow"))], (400, "BadExpirationDate")),
        row(vec![("apns-expiration", Some("-1"))], (400, "BadExpirationDate")),
        row(vec![("apns-priority", Some("7"))], (400, "BadPriority")),
        row(vec![("apns-priority", Some("1"))], ok),
        row(vec![("apns-push-type", Some("background")), ("apns-priority", Some("10"))], (400, "BadPriority")),
        row(vec![("apns-push-type", Some("background")), ("apns-priority", Some("5"))], ok),
        row(vec![("apns-push-type", Some("shout"))], (400, "InvalidPushType")),
        row(vec![("apns-collapse-id", Some(&long_id))], (400, "BadCollapseId")),
        row(vec![("apns-collapse-id", Some(&long_id[1..]))], ok),
        Row { path: path("abc"), ..row(vec![], (400, "BadDeviceToken")) },
        Row { path: path(&device("xyz")), ..row(vec![], (400, "BadDeviceToken")) },
        Row { path: path(&device("bad0")), ..row(vec![], (400, "BadDeviceToken")) },
        Row { path: path(&"a".repeat(201)), ..row(vec![], (400, "BadDeviceToken")) },
        Row { path: path(&device("dead")), ..row(vec![], (410, "Unregistered")) },
        Row { body: "".to_owned(), ..row(vec![], (400, "PayloadEmpty")) },
        Row { body: "not json".to_owned(), ..row(vec![], (400, "PayloadEmpty")) },
        Row { body: "{}".to_owned(), ..row(vec![], (400, "PayloadEmpty")) },
        Row { body: big(4096), ..row(vec![], ok) },
        Row { body: big(4097), ..row(vec![], (413, "PayloadTooLarge")) },
        Row { body: big(100_000), ..row(vec![], (413, "PayloadTooLarge")) },
        Row { body: big(5120), ..row(vec![("apns-topic", Some(&voip)), ("apns-push-type", Some("voip"))], ok) },
        Row { body: big(5121), ..row(vec![("apns-topic", Some(&voip)), ("apns-push-type", Some("voip"))], (413, "PayloadTooLarge")) },
    ];
    let mut accepted = 0;
    for Row { method, path, change, body, expected } in rows {
        let mut headers = vec![("authorization", bearer.as_str()), ("apns-topic", APNS_TOPIC)];
        headers.retain(|(name, _)| change.iter().all(|(changed, _)| changed != name));
        headers.extend(change.iter().filter_map(|(name, value)| Some((*name, (*value)?))));
        let sent_ms = jiff::Timestamp::now().as_millisecond();
        let reply = phones.apns.request(method, &path, &headers, body.clone()).await.unwrap();
        let what = format!("{method} {path} {change:?} {} bytes: {}", body.len(), reply.text);
        let reply_body = reply.json();
        assert_eq!((reply.status, reply_body["reason"].as_str().unwrap_or("")), expected, "{what}");
        assert_eq!(reply.header("apns-id").map(str::len), Some(36), "{what}");
        let timestamp = reply_body["timestamp"].as_i64();
        assert_eq!(timestamp.is_some_and(|at| at >= sent_ms), reply.status == 410, "{what}");
        accepted += u64::from(reply.status == 200);
    }
    assert_eq!(phones.sandbox.sent_count(), accepted);
}

#[tokio::test]
async fn a_header_given_twice_is_refused() {
    let mut phones = Phones::new().await;
    let (_, bearer) = phones.bearers();
    let headers = [
        ("authorization", bearer.as_str()),
        ("apns-topic", APNS_TOPIC),
        ("apns-priority", "5"),
        ("apns-priority", "5"),
    ];
    let path = format!("/3/device/{}", device("ab"));
    let reply = phones.apns.request("POST", &path, &headers, r#"{"aps":{}}"#).await.unwrap();
    assert_eq!((reply.status, reply.json()["reason"].as_str()), (400, Some("DuplicateHeaders")));
}

#[tokio::test]
async fn apns_speaks_http2_only() {
    let sandbox = sandbox().await;
    tls(sandbox.apns_url(), sandbox.ca_pem(), &["http/1.1"]).await.expect_err("the handshake fails");
    // A client that names no protocol may know that it is HTTP/2.
    tls(sandbox.apns_url(), sandbox.ca_pem(), &[]).await.expect("the handshake succeeds");
}

#[tokio::test]
async fn only_its_own_authority_vouches_for_a_sandbox() {
    let (sandbox, stranger) = (sandbox().await, sandbox().await);
    for url in [sandbox.fcm_url(), sandbox.apns_url()] {
        tls(url, stranger.ca_pem(), &["h2"]).await.expect_err("a stranger's root is not trusted");
        let by_name = url.replace("127.0.0.1", "localhost");
        Client::h2(&by_name, sandbox.ca_pem()).await;
    }
}
