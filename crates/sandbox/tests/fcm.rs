//! FCM's stand-in, from outside: what it takes, and the exact errors for what it doesn't.

mod client;

use client::{Client, Phones, SCOPE, SEND, claims, fcm_bearer, form, now_s, rs256, sandbox};
use serde_json::{Value, json};

const FCM_ERROR: &str = "type.googleapis.com/google.firebase.fcm.v1.FcmError";

fn fcm_code(body: &Value) -> Option<&str> {
    let details = body["error"]["details"].as_array()?;
    details.iter().find(|detail| detail["@type"] == FCM_ERROR)?["errorCode"].as_str()
}

fn violation(body: &Value) -> Option<&Value> {
    let details = body["error"]["details"].as_array()?;
    let bad_request =
        details.iter().find(|detail| detail["@type"] == "type.googleapis.com/google.rpc.BadRequest")?;
    bad_request["fieldViolations"].get(0)
}

#[tokio::test]
async fn a_right_message_is_taken_and_shows_as_sent() {
    let mut phones = Phones::new().await;
    let message = json!({
        "token": "phone-1",
        "notification": { "title": "Welcome", "body": "Come in" },
        "data": { "geopush_push_id": "p-1", "k": "v" },
        "android": {
            "priority": "high", "ttl": "3600s", "collapseKey": "c", "notification": { "tag": "t", "channel_id": "c" },
        },
        "apns": { "headers": { "apns-priority": "10" }, "payload": { "aps": { "sound": "default" } } },
        "webpush": { "headers": { "TTL": "60" }, "fcm_options": { "link": "https://example.com" } },
    });
    let reply = phones.fcm(&message).await.unwrap();
    assert_eq!(reply.status, 200, "{}", reply.text);
    assert!(reply.header("content-type").unwrap().starts_with("application/json"));
    let name = reply.json()["name"].as_str().unwrap().to_owned();
    assert!(name.starts_with("projects/geopush-sandbox/messages/0:"), "{name}");

    let sent = phones.sandbox.latest(10);
    assert_eq!(sent.len(), 1);
    assert_eq!((sent[0].token.as_str(), sent[0].push_id.as_deref()), ("phone-1", Some("p-1")));
    assert_eq!((sent[0].title.as_str(), sent[0].body.as_str()), ("Welcome", "Come in"));
    assert_eq!(Value::from(sent[0].data.clone()), json!({ "geopush_push_id": "p-1", "k": "v" }));
}

#[tokio::test]
async fn a_message_only_validated_is_not_sent() {
    let mut phones = Phones::new().await;
    let (bearer, _) = phones.bearers();
    let body = json!({ "validate_only": true, "message": { "token": "phone-1" } });
    let reply =
        phones.fcm.request("POST", SEND, &[("authorization", &bearer)], body.to_string()).await.unwrap();
    assert_eq!(reply.json(), json!({ "name": "projects/geopush-sandbox/messages/fake_message_id" }));
    assert_eq!(phones.sandbox.sent_count(), 0);
}

#[tokio::test]
async fn topics_conditions_and_installation_ids_are_taken_too() {
    let mut phones = Phones::new().await;
    assert_eq!(phones.fcm(&json!({ "topic": "news" })).await.unwrap().status, 200);
    assert_eq!(phones.fcm(&json!({ "condition": "'a' in topics" })).await.unwrap().status, 200);
    assert_eq!(phones.fcm(&json!({ "fid": "an-installation" })).await.unwrap().status, 200);
    let tokens: Vec<_> = phones.sandbox.latest(3).into_iter().map(|sent| sent.token).collect();
    assert_eq!(tokens, ["/topics/news", "'a' in topics", "an-installation"]);
}

#[tokio::test]
async fn http1_clients_are_served_on_the_same_port() {
    let sandbox = sandbox().await;
    let mut client = Client::h1(sandbox.fcm_url(), sandbox.ca_pem()).await;
    let bearer = fcm_bearer(&mut client, sandbox.service_account_json(), SCOPE).await;
    let body = json!({ "message": { "token": "phone-1" } }).to_string();
    let reply = client.request("POST", SEND, &[("authorization", &bearer)], body).await.unwrap();
    assert_eq!(reply.status, 200, "{}", reply.text);
}

/// Sends each message, and expects status 400 with FCM's `code`, a violation of the field, and the text.
async fn refused_as_invalid(rows: &[(Value, &str, &str)], code: Option<&str>) {
    let mut phones = Phones::new().await;
    for (message, field, text) in rows {
        let reply = phones.fcm(message).await.expect("an answer");
        let body = reply.json();
        assert_eq!(reply.status, 400, "{message}: {body}");
        assert_eq!(body["error"]["code"], 400, "{message}: {body}");
        assert_eq!(body["error"]["status"], "INVALID_ARGUMENT", "{message}: {body}");
        assert_eq!(fcm_code(&body), code, "{message}: {body}");
        assert_eq!(violation(&body).expect("a violation")["field"], *field, "{message}: {body}");
        assert!(body["error"]["message"].as_str().expect("a text").starts_with(text), "{message}: {body}");
    }
    assert_eq!(phones.sandbox.sent_count(), 0);
}

#[tokio::test]
async fn a_message_that_breaks_the_schema_gets_googles_error() {
    let (v1, unknown) =
        ("type.googleapis.com/google.firebase.fcm.v1", "Invalid JSON payload received. Unknown name");
    let data = |data: Value| json!({ "token": "t", "data": data });
    let android = |android: Value| json!({ "token": "t", "android": android });
    let rows = [
        (json!({ "token": 12 }), "message.token", "Invalid value at 'message.token' (TYPE_STRING), 12"),
        (
            json!({ "token": "t", "topic": "n" }),
            "message",
            "Invalid value at 'message' (oneof), oneof field 'target' is already set. Cannot set 'topic'",
        ),
        (
            json!({ "token": "t", "titel": "x" }),
            "message",
            &format!("{unknown} \"titel\" at 'message': Cannot find field."),
        ),
        (
            json!({ "token": "t", "notification": { "tag": "x" } }),
            "message.notification",
            &format!("{unknown} \"tag\" at 'message.notification': Cannot find field."),
        ),
        (
            android(json!({ "notification": { "colour": "x" } })),
            "message.android.notification",
            &format!("{unknown} \"colour\" at 'message.android.notification'"),
        ),
        (
            data(json!({ "n": 12 })),
            "message.data[0].value",
            "Invalid value at 'message.data[0].value' (TYPE_STRING), 12",
        ),
        (
            data(json!({ "a": "x", "b": { "c": 1 } })),
            "message.data[1].value",
            "Invalid value at 'message.data[1].value' (TYPE_STRING)",
        ),
        (
            json!({ "token": "t", "notification": "hello" }),
            "message.notification",
            &format!("Invalid value at 'message.notification' ({v1}.Notification), \"hello\""),
        ),
        (
            android(json!({ "priority": "urgent" })),
            "message.android.priority",
            &format!(
                "Invalid value at 'message.android.priority' ({v1}.AndroidConfig.AndroidMessagePriority)"
            ),
        ),
        (
            android(json!({ "ttl": 60 })),
            "message.android.ttl",
            "Invalid value at 'message.android.ttl' (type.googleapis.com/google.protobuf.Duration), 60",
        ),
    ];
    refused_as_invalid(&rows, None).await;
}

#[tokio::test]
async fn a_message_that_breaks_fcms_own_rules_gets_its_error() {
    let data = |key: &str, len: usize| json!({ "token": "t", "data": { key: "x".repeat(len) } });
    let android = |android: Value| json!({ "token": "t", "android": android });
    let webpush_header =
        |name: &str, value: &str| json!({ "token": "t", "webpush": { "headers": { name: value } } });
    let apns = |headers: Value, aps: Value| json!({ "token": "t", "apns": { "headers": headers, "payload": { "aps": aps } } });
    let no_recipient = "Recipient of the message is not set.";
    let rows = [
        (json!({}), "message", no_recipient),
        (json!({ "token": "" }), "message", no_recipient),
        (json!({ "token": null }), "message", no_recipient),
        (json!({ "topic": "no spaces" }), "message.topic", "Invalid topic name."),
        (android(json!({ "ttl": "2419201s" })), "message.android.ttl", "Invalid TTL"),
        (android(json!({ "ttl": "-1s" })), "message.android.ttl", "Invalid TTL"),
        (data("from", 1), "message.data", "Invalid data payload key: from"),
        (data("message_type", 1), "message.data", "Invalid data payload key: message_type"),
        (data("google.x", 1), "message.data", "Invalid data payload key: google.x"),
        (android(json!({ "data": { "gcm": "x" } })), "message.android.data", "Invalid data payload key: gcm"),
        (data("k", 4096), "message", "Android message is too big"),
        (json!({ "topic": "n", "data": { "k": "x".repeat(2048) } }), "message", "Android message is too big"),
        (
            json!({ "token": "t", "apns": { "payload": { "aps": { "alert": "x".repeat(4096) } } } }),
            "message.apns.payload",
            "APNs message is too big",
        ),
        (
            json!({ "token": "t", "fcm_options": { "analytics_label": "spring sale" } }),
            "message.fcm_options.analytics_label",
            "Invalid analytics label",
        ),
        (
            android(json!({ "notification": { "color": "red" } })),
            "message.android.notification.color",
            "Invalid color",
        ),
        (
            json!({ "token": "t", "webpush": { "fcmOptions": { "link": "http://shop.example" } } }),
            "message.webpush.fcm_options.link",
            "Invalid link",
        ),
        (webpush_header("TTL", "soon"), "message.webpush.headers", "TTL must be"),
        (webpush_header("urgency", "now"), "message.webpush.headers", "Urgency must be"),
        (apns(json!({ "apns-priority": "7" }), json!({})), "message.apns.headers", "apns-priority must be"),
        (
            apns(json!({ "apns-push-type": "background", "apns-priority": "10" }), json!({})),
            "message.apns.headers",
            "apns-priority must not be 10",
        ),
        (
            apns(json!({ "apns-collapse-id": "x".repeat(65) }), json!({})),
            "message.apns.headers",
            "apns-collapse-id must be",
        ),
        (apns(json!({}), json!("hi")), "message.apns.payload", "aps must be an object"),
        (
            json!({ "token": "invalid-1" }),
            "message.token",
            "The registration token is not a valid FCM registration token",
        ),
    ];
    refused_as_invalid(&rows, Some("INVALID_ARGUMENT")).await;
    assert_eq!(Phones::new().await.fcm(&data("k", 4095)).await.unwrap().status, 200);
}

#[tokio::test]
async fn tokens_that_fail_do_so_with_their_own_codes() {
    let mut phones = Phones::new().await;
    for (token, status, canonical, code, text) in [
        ("unregistered-1", 404, "NOT_FOUND", "UNREGISTERED", "Requested entity was not found."),
        ("mismatch-1", 403, "PERMISSION_DENIED", "SENDER_ID_MISMATCH", "SenderId mismatch"),
    ] {
        let reply = phones.fcm(&json!({ "token": token })).await.unwrap();
        let details = json!([{ "@type": FCM_ERROR, "errorCode": code }]);
        let error = json!({ "code": status, "message": text, "status": canonical, "details": details });
        assert_eq!((reply.status, reply.json()), (status, json!({ "error": error })));
    }
    assert_eq!(phones.sandbox.sent_count(), 0);
}

#[tokio::test]
async fn a_wrong_request_gets_googles_error() {
    let mut phones = Phones::new().await;
    let (bearer, _) = phones.bearers();
    let account = phones.sandbox.service_account_json().clone();
    let elsewhere = fcm_bearer(&mut phones.fcm, &account, "https://www.googleapis.com/auth/drive").await;
    let good = json!({ "message": { "token": "t" } }).to_string();
    let (ours, other) = (SEND, "/v1/projects/other/messages:send");
    // method, path, bearer, body, status, what the body says
    let rows: [(&str, &str, &str, &str, u16, &str); 13] = [
        ("GET", ours, &bearer, "", 404, "Error 404 (Not Found)"),
        ("PUT", ours, &bearer, &good, 404, "Error 404 (Not Found)"),
        ("POST", "/v1/projects/geopush-sandbox/messages", &bearer, &good, 404, "Error 404 (Not Found)"),
        ("POST", "/fcm/send", &bearer, &good, 404, "Error 404 (Not Found)"),
        ("POST", ours, "", &good, 401, "CREDENTIALS_MISSING"),
        ("POST", ours, "Basic abc", &good, 401, "CREDENTIALS_MISSING"),
        ("POST", ours, "Bearer made-up", &good, 401, "UNAUTHENTICATED"),
        ("POST", ours, &elsewhere, &good, 403, "ACCESS_TOKEN_SCOPE_INSUFFICIENT"),
        ("POST", other, &bearer, &good, 403, "cloudmessaging.messages.create"),
        ("POST", ours, &bearer, "{", 400, "Invalid JSON payload received."),
        ("POST", ours, &bearer, "[]", 400, "Root element must be a message."),
        ("POST", ours, &bearer, "", 400, "Recipient of the message is not set."),
        ("POST", ours, &bearer, r#"{"to":"t"}"#, 400, r#"Unknown name \"to\": Cannot find field."#),
    ];
    for (method, path, bearer, body, status, says) in rows {
        let headers: &[_] = if bearer.is_empty() { &[] } else { &[("authorization", bearer)] };
        let reply = phones.fcm.request(method, path, headers, body.to_owned()).await.unwrap();
        assert_eq!(reply.status, status, "{method} {path} {body}: {}", reply.text);
        assert!(reply.text.contains(says), "{method} {path} {body}: {}", reply.text);
        let challenged = status == 401 || says == "ACCESS_TOKEN_SCOPE_INSUFFICIENT";
        assert_eq!(reply.header("www-authenticate").is_some(), challenged, "{method} {path} {says}");
    }
    assert_eq!(phones.sandbox.sent_count(), 0);
}

#[tokio::test]
async fn a_wrong_assertion_gets_no_token() {
    let sandbox = sandbox().await;
    let stranger = client::sandbox().await;
    let account = sandbox.service_account_json();
    let mut client = Client::h2(sandbox.fcm_url(), sandbox.ca_pem()).await;
    let header = json!({ "alg": "RS256", "typ": "JWT", "kid": account["private_key_id"] });
    let with = |name: &str, value: Value| {
        let mut claims = claims(account);
        claims[name] = value;
        form(&rs256(account, &header, &claims))
    };
    let now = now_s();
    let mut unsigned = rs256(account, &header, &claims(account));
    unsigned.truncate(unsigned.rfind('.').unwrap() + 1);
    let short_lived = "short-lived token";
    let rows = [
        (String::new(), "unsupported_grant_type", "Invalid grant_type: "),
        ("grant_type=password".to_owned(), "unsupported_grant_type", "Invalid grant_type: password"),
        (form("").replace("&assertion=", ""), "invalid_request", "assertion"),
        (form("abc"), "invalid_grant", "Invalid JWT"),
        (form(&unsigned), "invalid_grant", "Invalid JWT Signature."),
        (
            form(&rs256(stranger.service_account_json(), &header, &claims(account))),
            "invalid_grant",
            "Invalid JWT Signature.",
        ),
        (
            form(&rs256(account, &json!({ "alg": "none" }), &claims(account))),
            "invalid_grant",
            "Invalid JWT Signature.",
        ),
        (
            form(&rs256(account, &json!({ "alg": "RS256", "kid": "x" }), &claims(account))),
            "invalid_grant",
            "Invalid JWT Signature.",
        ),
        (with("iss", "who@example.com".into()), "invalid_grant", "account not found"),
        (with("aud", "https://example.com/token".into()), "invalid_grant", "audience"),
        (with("exp", (now + 3601).into()), "invalid_grant", short_lived),
        (with("exp", (now - 3600).into()), "invalid_grant", short_lived),
        (with("iat", (now + 3500).into()), "invalid_grant", short_lived),
        (with("iat", Value::Null), "invalid_grant", short_lived),
        (with("scope", Value::Null), "invalid_scope", "Invalid OAuth scope"),
        (with("scope", "everything".into()), "invalid_scope", "invalid=[everything]"),
    ];
    for (form, error, says) in rows {
        let reply = client.request("POST", "/token", &[], form.clone()).await.unwrap();
        let body = reply.json();
        assert_eq!((reply.status, body["error"].as_str()), (400, Some(error)), "{form}: {body}");
        assert!(body["error_description"].as_str().unwrap().contains(says), "{form}: {body}");
    }
    let reply = client
        .request("POST", "/token", &[], form(&rs256(account, &header, &claims(account))))
        .await
        .unwrap();
    assert_eq!(reply.json()["expires_in"], 3599);
    assert_eq!(reply.json()["token_type"], "Bearer");
}
