//! The body of `projects.messages.send` (<https://firebase.google.com/docs/reference/fcm/rest/v1/projects.messages>).

use std::collections::BTreeMap;

use bytes::Bytes;
use geopush_model::{Push, UnixMillis};
use serde::Serialize;

use crate::send::provider::{MAX_PAYLOAD, Unsendable};
use crate::send::{PUSH_ID, seconds_left};

/// "The maximum lifespan of a message is four weeks."
const MAX_TTL_S: i64 = 28 * 86_400;

#[derive(Serialize)]
struct Request<'a> {
    message: Message<'a>,
}

#[derive(Serialize)]
struct Message<'a> {
    token: &'a str,
    notification: Notification<'a>,
    data: BTreeMap<&'a str, &'a str>,
    android: Android<'a>,
    webpush: Headers<'a, 1>,
    apns: Headers<'a, 2>,
}

#[derive(Serialize)]
struct Notification<'a> {
    title: &'a str,
    body: &'a str,
}

/// No `collapse_key`: a device has room for four of them, and ours would all differ.
#[derive(Serialize)]
struct Android<'a> {
    priority: &'static str,
    ttl: String,
    notification: AndroidNotification<'a>,
}

/// A notification replaces the one with the same tag, so a push that was sent twice is shown once.
#[derive(Serialize)]
struct AndroidNotification<'a> {
    tag: &'a str,
}

#[derive(Serialize)]
struct Headers<'a, const N: usize> {
    #[serde(serialize_with = "as_map")]
    headers: [(&'static str, &'a str); N],
}

fn as_map<S: serde::Serializer, const N: usize>(
    headers: &[(&'static str, &str); N],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_map(headers.iter().copied())
}

/// The body that sends `push` at `now`.
///
/// # Errors
/// [`Unsendable::TooLarge`]: notification and data count, keys and values, as FCM counts them.
pub fn body(push: &Push, now: UnixMillis) -> Result<Bytes, Unsendable> {
    let id = push.id.to_string();
    let ttl_s = seconds_left(push.expires_at, now).min(MAX_TTL_S);
    let ttl = ttl_s.to_string();
    let mut data: BTreeMap<&str, &str> =
        push.message.data.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    data.insert(PUSH_ID, &id);
    let notification = Notification { title: &push.message.title, body: &push.message.body };
    let shown = "title".len() + notification.title.len() + "body".len() + notification.body.len();
    let payload = shown + data.iter().map(|(key, value)| key.len() + value.len()).sum::<usize>();
    if payload > MAX_PAYLOAD {
        return Err(Unsendable::TooLarge);
    }
    let request = Request {
        message: Message {
            token: &push.token,
            notification,
            data,
            android: Android {
                priority: "high",
                ttl: format!("{ttl}s"),
                notification: AndroidNotification { tag: &id },
            },
            webpush: Headers { headers: [("TTL", &ttl)] },
            apns: Headers { headers: [("apns-priority", "10"), ("apns-collapse-id", &id)] },
        },
    };
    Ok(serde_json::to_vec(&request).expect("text and maps of text always serialise").into())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::send::testing::push;

    fn sent(push: &Push, now: i64) -> Value {
        serde_json::from_slice(&body(push, UnixMillis(now)).unwrap()).unwrap()
    }

    #[test]
    fn a_push_becomes_the_message_that_fcm_documents() {
        let mut push = push("device-token");
        push.message.data.insert("shop".into(), "7".into());
        push.created_at = UnixMillis(1_000);
        push.expires_at = UnixMillis(61_500);
        let id = push.id.to_string();
        let expected = json!({ "message": {
            "token": "device-token",
            "notification": { "title": "Hello", "body": "World" },
            "data": { "shop": "7", "geopush_push_id": id },
            "android": { "priority": "high", "ttl": "61s", "notification": { "tag": id } },
            "webpush": { "headers": { "TTL": "61" } },
            "apns": { "headers": { "apns-priority": "10", "apns-collapse-id": id } },
        }});
        assert_eq!(sent(&push, 1_000), expected);
    }

    #[test]
    fn a_ttl_is_at_most_four_weeks() {
        let mut push = push("t");
        push.expires_at = UnixMillis(i64::MAX);
        assert_eq!(sent(&push, 0)["message"]["android"]["ttl"], "2419200s");
    }

    #[test]
    fn a_payload_of_4096_bytes_is_sent_and_one_more_is_not() {
        let mut push = push("t");
        let fixed = "titlebodyHello".len() + PUSH_ID.len() + 36;
        push.message.body = "x".repeat(MAX_PAYLOAD - fixed);
        assert!(body(&push, UnixMillis(0)).is_ok());
        push.message.body.push('x');
        assert_eq!(body(&push, UnixMillis(0)), Err(Unsendable::TooLarge));
    }
}
