//! A request to APNs (Apple's "Sending notification requests to APNs" and "Generating a remote notification").

use std::collections::BTreeMap;

use bytes::Bytes;
use geopush_model::Push;
use http::{HeaderMap, HeaderName, HeaderValue};
use serde::Serialize;

use crate::send::aps::{self, Aps};
use crate::send::provider::{MAX_PAYLOAD, Message, Unsendable};
use crate::send::{LINK, PUSH_ID};

/// The data member by which the app's extension knows the picture to load.
const IMAGE: &str = "geopush_image";

#[derive(Serialize)]
struct Payload<'a> {
    aps: Aps<'a>,
    #[serde(flatten)]
    data: BTreeMap<&'a str, &'a str>,
}

/// The request that sends `push` to an app's `topic`.
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
    let ascii =
        |text: &str| HeaderValue::from_str(text).expect("a UUID's text and a collapse id are visible ASCII");
    let headers = HeaderMap::from_iter([
        (HeaderName::from_static("apns-id"), unindexed(ascii(&id))),
        (
            HeaderName::from_static("apns-collapse-id"),
            unindexed(ascii(aps::collapse_id(&push.message).unwrap_or(&id))),
        ),
        (HeaderName::from_static("apns-topic"), topic.clone()),
        (HeaderName::from_static("apns-push-type"), HeaderValue::from_static(aps::push_type(&push.message))),
        (HeaderName::from_static("apns-priority"), HeaderValue::from_static(aps::priority(&push.message))),
        (HeaderName::from_static("apns-expiration"), unindexed(HeaderValue::from(expiration_s))),
    ]);
    Ok(Message { path: format!("/3/device/{}", push.token), headers, body })
}

/// What is another with nearly every push has no place in HPACK's table, where it would push out what repeats (Apple asks
/// for the same; h2 never indexes `:path` and `authorization`).
fn unindexed(mut value: HeaderValue) -> HeaderValue {
    value.set_sensitive(true);
    value
}

/// `data` stands beside `aps`, which is Apple's own.
fn payload(push: &Push, id: &str) -> Bytes {
    let message = &push.message;
    let ours = |key: &&str| *key != "aps";
    let texts = message.data.iter().map(|(key, value)| (key.as_str(), value.as_str()));
    let mut data: BTreeMap<&str, &str> = texts.filter(|(key, _)| ours(key)).collect();
    data.extend(message.image.as_deref().map(|image| (IMAGE, image)));
    data.extend(message.link.as_deref().map(|link| (LINK, link)));
    data.insert(PUSH_ID, id);
    let payload = Payload { aps: Aps::of(message), data };
    serde_json::to_vec(&payload).expect("text and maps of text always serialise").into()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use geopush_model::UnixMillis;
    use serde_json::{Value, json};

    use super::*;
    use crate::send::testing::push;

    const TOPIC: HeaderValue = HeaderValue::from_static("com.example.app");

    #[test]
    fn a_push_becomes_the_request_that_apple_documents() {
        let mut push = push("ab12");
        Arc::make_mut(&mut push.message).data.insert("shop".into(), "7".into());
        Arc::make_mut(&mut push.message).data.insert("aps".into(), "theirs".into());
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
    fn only_headers_that_repeat_have_a_place_in_hpacks_table() {
        let headers = message(&push("ab12"), &TOPIC).unwrap().headers;
        let mut indexed: Vec<_> = headers
            .iter()
            .filter(|(_, value)| !value.is_sensitive())
            .map(|(name, _)| name.as_str())
            .collect();
        indexed.sort_unstable();
        assert_eq!(indexed, ["apns-priority", "apns-push-type", "apns-topic"]);
    }

    fn sent(push: &Push) -> (HeaderMap, Value) {
        let message = message(push, &TOPIC).unwrap();
        (message.headers, serde_json::from_slice(&message.body).unwrap())
    }

    #[test]
    fn every_option_has_its_place() {
        let mut push = push("ab12");
        push.message = serde_json::from_value(json!({
            "title": "Hello", "body": "World", "image": "https://cdn.example/a.png", "link": "shop://7",
            "data": { "shop": "7" },
            "apns": { "badge": 3, "sound": "coin.caf", "thread_id": "offers", "category": "OFFER", "subtitle": "Today",
                "interruption_level": "time-sensitive", "priority": 5, "collapse_id": "offers" },
        }))
        .unwrap();
        let (headers, payload) = sent(&push);
        let expected = json!({
            "aps": {
                "alert": { "title": "Hello", "subtitle": "Today", "body": "World" },
                "badge": 3, "sound": "coin.caf", "thread-id": "offers", "category": "OFFER",
                "interruption-level": "time-sensitive", "mutable-content": 1,
            },
            "shop": "7", "geopush_image": "https://cdn.example/a.png", "geopush_link": "shop://7",
            "geopush_push_id": push.id.to_string(),
        });
        assert_eq!(payload, expected);
        assert_eq!(
            (&headers["apns-priority"], &headers["apns-collapse-id"]),
            (&"5".parse().unwrap(), &"offers".parse().unwrap())
        );
    }

    #[test]
    fn a_background_push_shows_nothing_at_priority_5() {
        let mut push = push("ab12");
        Arc::make_mut(&mut push.message).apns = serde_json::from_value(json!({
            "push_type": "background", "priority": 10, "badge": 3, "sound": "default", "mutable_content": true,
        }))
        .unwrap();
        let (headers, payload) = sent(&push);
        assert_eq!(payload["aps"], json!({ "content-available": 1 }));
        assert_eq!(
            (&headers["apns-push-type"], &headers["apns-priority"]),
            (&"background".parse().unwrap(), &"5".parse().unwrap())
        );
    }

    #[test]
    fn a_collapse_id_that_apple_refuses_gives_way_to_the_pushs_own() {
        let mut push = push("ab12");
        for (given, taken) in
            [("x".repeat(64), true), ("x".repeat(65), false), ("a\nb".into(), false), (String::new(), false)]
        {
            Arc::make_mut(&mut push.message).apns.collapse_id = Some(given.clone());
            let expected = if taken { given } else { push.id.to_string() };
            assert_eq!(sent(&push).0["apns-collapse-id"], expected);
        }
    }

    #[test]
    fn a_payload_of_4096_bytes_is_sent_and_one_more_is_not() {
        let mut push = push("ab");
        Arc::make_mut(&mut push.message).body = "x".into();
        let fixed = payload(&push, &push.id.to_string()).len() - 1;
        Arc::make_mut(&mut push.message).body = "x".repeat(MAX_PAYLOAD - fixed);
        assert_eq!(message(&push, &TOPIC).unwrap().body.len(), MAX_PAYLOAD);
        Arc::make_mut(&mut push.message).body.push('x');
        assert_eq!(message(&push, &TOPIC).err(), Some(Unsendable::TooLarge));
    }

    #[test]
    fn a_token_that_would_change_the_path_is_never_sent() {
        for token in ["", "../x", "a/b", "a b", "a?b", "ä"] {
            assert_eq!(message(&push(token), &TOPIC).err(), Some(Unsendable::BadToken), "{token}");
        }
    }
}
