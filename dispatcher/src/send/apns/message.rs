//! A request to APNs (Apple's "Sending notification requests to APNs" and "Generating a remote notification").

use std::collections::BTreeMap;

use bytes::Bytes;
use geopush_model::Push;
use http::{HeaderMap, HeaderName, HeaderValue};
use serde::Serialize;

use crate::send::PUSH_ID;
use crate::send::provider::{MAX_PAYLOAD, Message, Unsendable};

#[derive(Serialize)]
struct Payload<'a> {
    aps: Aps<'a>,
    #[serde(flatten)]
    data: BTreeMap<&'a str, &'a str>,
}

#[derive(Serialize)]
struct Aps<'a> {
    alert: Alert<'a>,
}

#[derive(Serialize)]
struct Alert<'a> {
    title: &'a str,
    body: &'a str,
}

/// The request that sends `push` to an app's `topic`. The push's id is also the collapse id (36 of 64 bytes), so a
/// push that was sent twice is shown once.
///
/// # Errors
/// [`Unsendable`]
pub fn message(push: &Push, topic: &HeaderValue) -> Result<Message, Unsendable> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    if push.token.is_empty() || !push.token.bytes().all(plain) {
        return Err(Unsendable::BadToken);
    }
    let id = push.id.to_string();
    let body = payload(push, &id);
    if body.len() > MAX_PAYLOAD {
        return Err(Unsendable::TooLarge);
    }
    // 0 would mean: try once, store nothing.
    let expiration_s = push.expires_at.0.div_euclid(1000).max(1);
    let id = HeaderValue::try_from(id).expect("a UUID's text is visible ASCII");
    let headers = HeaderMap::from_iter([
        (HeaderName::from_static("apns-id"), id.clone()),
        (HeaderName::from_static("apns-collapse-id"), id),
        (HeaderName::from_static("apns-topic"), topic.clone()),
        (HeaderName::from_static("apns-push-type"), HeaderValue::from_static("alert")),
        (HeaderName::from_static("apns-priority"), HeaderValue::from_static("10")),
        (HeaderName::from_static("apns-expiration"), HeaderValue::from(expiration_s)),
    ]);
    Ok(Message { path: format!("/3/device/{}", push.token), headers, body })
}

/// `data` stands beside `aps`, which is Apple's own.
fn payload(push: &Push, id: &str) -> Bytes {
    let ours = |key: &&str| *key != "aps";
    let texts = push.message.data.iter().map(|(key, value)| (key.as_str(), value.as_str()));
    let mut data: BTreeMap<&str, &str> = texts.filter(|(key, _)| ours(key)).collect();
    data.insert(PUSH_ID, id);
    let alert = Alert { title: &push.message.title, body: &push.message.body };
    let payload = Payload { aps: Aps { alert }, data };
    serde_json::to_vec(&payload).expect("text and maps of text always serialise").into()
}

#[cfg(test)]
mod tests {
    use geopush_model::UnixMillis;
    use serde_json::{Value, json};

    use super::*;
    use crate::send::testing::push;

    const TOPIC: HeaderValue = HeaderValue::from_static("com.example.app");

    #[test]
    fn a_push_becomes_the_request_that_apple_documents() {
        let mut push = push("ab12");
        push.message.data.insert("shop".into(), "7".into());
        push.message.data.insert("aps".into(), "theirs".into());
        push.expires_at = UnixMillis(61_500);
        let id = push.id.to_string();
        let message = message(&push, &TOPIC).unwrap();
        assert_eq!(message.path, "/3/device/ab12");
        let headers: Vec<(&str, &str)> =
            message.headers.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
        for header in [
            ("apns-id", id.as_str()),
            ("apns-collapse-id", id.as_str()),
            ("apns-topic", "com.example.app"),
            ("apns-push-type", "alert"),
            ("apns-priority", "10"),
            ("apns-expiration", "61"),
        ] {
            assert!(headers.contains(&header), "{header:?}");
        }
        let payload: Value = serde_json::from_slice(&message.body).unwrap();
        let alert = json!({ "title": "Hello", "body": "World" });
        assert_eq!(payload, json!({ "aps": { "alert": alert }, "shop": "7", "geopush_push_id": id }));
    }

    #[test]
    fn a_payload_of_4096_bytes_is_sent_and_one_more_is_not() {
        let mut push = push("ab");
        push.message.body = String::new();
        let fixed = payload(&push, &push.id.to_string()).len();
        push.message.body = "x".repeat(MAX_PAYLOAD - fixed);
        assert_eq!(message(&push, &TOPIC).unwrap().body.len(), MAX_PAYLOAD);
        push.message.body.push('x');
        assert_eq!(message(&push, &TOPIC).err(), Some(Unsendable::TooLarge));
    }

    #[test]
    fn a_token_that_would_change_the_path_is_never_sent() {
        for token in ["", "../x", "a/b", "a b", "a?b", "ä"] {
            assert_eq!(message(&push(token), &TOPIC).err(), Some(Unsendable::BadToken), "{token}");
        }
    }
}
