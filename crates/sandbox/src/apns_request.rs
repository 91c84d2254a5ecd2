//! What APNs accepts as a request, and the reasons it refuses one for: Apple's tables as data.
//!
//! After Apple's "Sending notification requests to APNs" and "Handling notification responses from APNs".
//! Where Apple doesn't say which of several mistakes it names first, the order here is: path, provider token,
//! headers, topic, device token, payload.

use hyper::HeaderMap;
use serde_json::{Map, Value};
use uuid::Uuid;

/// Apple's reasons, with the status of each.
pub(crate) const REASONS: [(&str, u16); 33] = [
    ("BadCollapseId", 400),
    ("BadDeviceToken", 400),
    ("BadExpirationDate", 400),
    ("BadMessageId", 400),
    ("BadPriority", 400),
    ("BadTopic", 400),
    ("DeviceTokenNotForTopic", 400),
    ("DuplicateHeaders", 400),
    ("IdleTimeout", 400),
    ("InvalidPushType", 400),
    ("MissingDeviceToken", 400),
    ("MissingTopic", 400),
    ("PayloadEmpty", 400),
    ("TopicDisallowed", 400),
    ("BadCertificate", 403),
    ("BadCertificateEnvironment", 403),
    ("BadEnvironmentKeyIdInToken", 403),
    ("BadEnvironmentKeyInToken", 403),
    ("ExpiredProviderToken", 403),
    ("Forbidden", 403),
    ("InvalidProviderToken", 403),
    ("MissingProviderToken", 403),
    ("UnrelatedKeyIdInToken", 403),
    ("BadPath", 404),
    ("MethodNotAllowed", 405),
    ("ExpiredToken", 410),
    ("Unregistered", 410),
    ("PayloadTooLarge", 413),
    ("TooManyProviderTokenUpdates", 429),
    ("TooManyRequests", 429),
    ("InternalServerError", 500),
    ("ServiceUnavailable", 503),
    ("Shutdown", 503),
];

/// The reason meant when a fault names a status alone; none for 400, which has too many.
const DEFAULT_REASONS: [(u16, &str); 8] = [
    (403, "InvalidProviderToken"),
    (404, "BadPath"),
    (405, "MethodNotAllowed"),
    (410, "Unregistered"),
    (413, "PayloadTooLarge"),
    (429, "TooManyRequests"),
    (500, "InternalServerError"),
    (503, "ServiceUnavailable"),
];

pub(crate) fn status_of(reason: &str) -> Option<u16> {
    REASONS.iter().find(|row| row.0 == reason).map(|row| row.1)
}

pub(crate) fn default_reason(status: u16) -> Option<&'static str> {
    DEFAULT_REASONS.iter().find(|row| row.0 == status).map(|row| row.1)
}

/// A kind of push: its name, what its topic adds to the bundle id, and its largest payload in bytes.
#[derive(Debug)]
pub(crate) struct PushType {
    name: &'static str,
    topic_suffix: &'static str,
    max_payload: usize,
}

const fn push_type(name: &'static str, topic_suffix: &'static str, max_payload: usize) -> PushType {
    PushType { name, topic_suffix, max_payload }
}

const PUSH_TYPES: [PushType; 11] = [
    push_type("alert", "", 4096),
    push_type("background", "", 4096),
    push_type("complication", ".complication", 4096),
    push_type("controls", ".push-type.controls", 4096),
    push_type("fileprovider", ".pushkit.fileprovider", 4096),
    push_type("liveactivity", ".push-type.liveactivity", 4096),
    push_type("location", ".location-query", 4096),
    push_type("mdm", "", 4096),
    push_type("pushtotalk", ".voip-ptt", 4096),
    push_type("voip", ".voip", 5120),
    push_type("widgets", ".push-type.widgets", 4096),
];

const ONCE: [&str; 7] = [
    "apns-id",
    "apns-expiration",
    "apns-priority",
    "apns-topic",
    "apns-collapse-id",
    "apns-push-type",
    "authorization",
];

pub(crate) fn is_push_type(name: &str) -> bool {
    PUSH_TYPES.iter().any(|known| known.name == name)
}

/// The device token in a path.
pub(crate) fn device_token(path: &str) -> Result<&str, &'static str> {
    match path.strip_prefix("/3/device") {
        Some("" | "/") => Err("MissingDeviceToken"),
        Some(rest) => match rest.strip_prefix('/') {
            Some(token) if !token.contains('/') => Ok(token),
            _ => Err("BadPath"),
        },
        None => Err("BadPath"),
    }
}

/// The `apns-id` to echo: the request's, when it is a UUID in its canonical form.
pub(crate) fn apns_id(headers: &HeaderMap) -> Result<Option<String>, &'static str> {
    let Some(id) = headers.get("apns-id") else { return Ok(None) };
    let id = id.to_str().map_err(|_| "BadMessageId")?;
    let canonical = id.len() == 36 && Uuid::try_parse(id).is_ok();
    if canonical { Ok(Some(id.to_owned())) } else { Err("BadMessageId") }
}

/// Checks the headers of a push to the app whose bundle id is `topic`; gives its kind.
pub(crate) fn check_headers(headers: &HeaderMap, topic: &str) -> Result<&'static PushType, &'static str> {
    if ONCE.iter().any(|name| headers.get_all(*name).iter().nth(1).is_some()) {
        return Err("DuplicateHeaders");
    }
    let text = |name: &str, reason| match headers.get(name) {
        Some(value) => value.to_str().map(Some).map_err(|_| reason),
        None => Ok(None),
    };
    apns_id(headers)?;
    if let Some(expiration) = text("apns-expiration", "BadExpirationDate")?
        && expiration.parse::<u64>().is_err()
    {
        return Err("BadExpirationDate");
    }
    let priority = text("apns-priority", "BadPriority")?;
    if priority.is_some_and(|priority| !["1", "5", "10"].contains(&priority)) {
        return Err("BadPriority");
    }
    if headers.get("apns-collapse-id").is_some_and(|id| id.len() > 64) {
        return Err("BadCollapseId");
    }
    let name = text("apns-push-type", "InvalidPushType")?.unwrap_or("alert");
    let push_type = PUSH_TYPES.iter().find(|known| known.name == name).ok_or("InvalidPushType")?;
    // "background: always use priority 5. Using priority 10 is an error."
    if name == "background" && priority == Some("10") {
        return Err("BadPriority");
    }
    check_topic(text("apns-topic", "BadTopic")?, push_type, topic)?;
    Ok(push_type)
}

fn check_topic(given: Option<&str>, push_type: &PushType, topic: &str) -> Result<(), &'static str> {
    let given = given.ok_or("MissingTopic")?;
    let letter = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    if given.is_empty() || !given.bytes().all(letter) {
        return Err("BadTopic");
    }
    match given.strip_prefix(topic) {
        Some(suffix) if suffix == push_type.topic_suffix => Ok(()),
        // The right app, but not the topic of this kind of push.
        Some(suffix) if suffix.is_empty() || PUSH_TYPES.iter().any(|known| known.topic_suffix == suffix) => {
            Err("TopicDisallowed")
        }
        _ => Err("DeviceTokenNotForTopic"),
    }
}

/// A device token's form: hex digits, of a length that leaves room for those to come.
pub(crate) fn check_device_token(token: &str) -> Result<(), &'static str> {
    let hex = (64..=200).contains(&token.len()) && token.bytes().all(|byte| byte.is_ascii_hexdigit());
    let bad = token.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("bad0"));
    if hex && !bad { Ok(()) } else { Err("BadDeviceToken") }
}

/// Whether the app was removed from this device.
pub(crate) fn is_dead(token: &str) -> bool {
    token.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("dead"))
}

/// A payload is a JSON object with `aps` (`mdm` for device management).
pub(crate) fn check_payload(payload: &[u8], push_type: &PushType) -> Result<(), &'static str> {
    if payload.len() > push_type.max_payload {
        return Err("PayloadTooLarge");
    }
    let payload: Map<String, Value> = serde_json::from_slice(payload).map_err(|_| "PayloadEmpty")?;
    let needed = if push_type.name == "mdm" { payload.get("mdm") } else { payload.get("aps") };
    match needed {
        Some(Value::Object(_)) => Ok(()),
        Some(Value::String(_)) if push_type.name == "mdm" => Ok(()),
        _ => Err("PayloadEmpty"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOPIC: &str = "com.example.app";

    #[test]
    fn each_kind_of_push_has_its_own_topic() {
        for (name, topic, expected) in [
            ("alert", TOPIC.to_owned(), Ok(())),
            ("voip", format!("{TOPIC}.voip"), Ok(())),
            ("liveactivity", format!("{TOPIC}.push-type.liveactivity"), Ok(())),
            ("voip", TOPIC.to_owned(), Err("TopicDisallowed")),
            ("alert", format!("{TOPIC}.voip"), Err("TopicDisallowed")),
            ("alert", format!("{TOPIC}2"), Err("DeviceTokenNotForTopic")),
            ("alert", "com.other".to_owned(), Err("DeviceTokenNotForTopic")),
            ("alert", "not a topic".to_owned(), Err("BadTopic")),
        ] {
            let push_type = PUSH_TYPES.iter().find(|known| known.name == name).unwrap();
            assert_eq!(check_topic(Some(&topic), push_type, TOPIC), expected, "{name} to {topic}");
        }
    }

    #[test]
    fn paths_lead_to_a_device_token_or_to_apples_reason() {
        for (path, expected) in [
            ("/3/device/abc", Ok("abc")),
            ("/3/device/", Err("MissingDeviceToken")),
            ("/3/device", Err("MissingDeviceToken")),
            ("/3/device/abc/def", Err("BadPath")),
            ("/3/devices/abc", Err("BadPath")),
            ("/2/device/abc", Err("BadPath")),
            ("/", Err("BadPath")),
        ] {
            assert_eq!(device_token(path), expected, "{path}");
        }
    }
}
