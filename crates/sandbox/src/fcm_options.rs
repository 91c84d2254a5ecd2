//! What FCM asks of single values beyond the schema, as a table: where, what, and what it says otherwise.
//!
//! After the FCM HTTP v1 reference `projects.messages`, member by member; headers for Apple's devices after Apple's
//! "Sending notification requests to APNs".

use serde_json::{Map, Value};

use crate::fcm_message::field;
use crate::fcm_refusal::Refusal;

type Row = (&'static [&'static str], fn(&str) -> bool, &'static str);

const LABEL: &str = "Invalid analytics label: it must match ^[a-zA-Z0-9-_.~%]{1,50}$";

const VALUES: [Row; 7] = [
    (&["fcm_options", "analytics_label"], is_label, LABEL),
    (&["android", "fcm_options", "analytics_label"], is_label, LABEL),
    (&["webpush", "fcm_options", "analytics_label"], is_label, LABEL),
    (&["apns", "fcm_options", "analytics_label"], is_label, LABEL),
    (&["android", "notification", "color"], is_color, "Invalid color: it must be of the form #rrggbb"),
    (&["webpush", "fcm_options", "link"], is_https, "Invalid link: it must be an HTTPS URL"),
    (&["apns", "fcm_options", "image"], is_https, "Invalid image: it must be an HTTPS URL"),
];

/// Headers that are handed on, by their names in lower case.
const HEADERS: [Row; 7] = [
    (&["webpush", "ttl"], is_whole, "TTL must be a number of seconds"),
    (&["webpush", "urgency"], is_urgency, "Urgency must be very-low, low, normal or high"),
    (&["apns", "apns-priority"], is_priority, "apns-priority must be 10, 5 or 1"),
    (&["apns", "apns-expiration"], is_whole, "apns-expiration must be a time in seconds"),
    (&["apns", "apns-collapse-id"], is_collapse_id, "apns-collapse-id must be of at most 64 bytes"),
    (&["apns", "apns-push-type"], is_push_type, "apns-push-type must be alert, background or the like"),
    (&["apns", "apns-id"], is_uuid, "apns-id must be a UUID"),
];

pub(crate) fn check(message: &Map<String, Value>) -> Result<(), Refusal> {
    for (path, fits, otherwise) in &VALUES {
        if at(message, path).and_then(Value::as_str).is_some_and(|text| !fits(text)) {
            return Err(Refusal::argument(&format!("message.{}", path.join(".")), otherwise));
        }
    }
    for (path, fits, otherwise) in &HEADERS {
        let [platform, name] = path else { continue };
        if header(message, platform, name).is_some_and(|text| !fits(text)) {
            return Err(Refusal::argument(&format!("message.{platform}.headers"), otherwise));
        }
    }
    let background = header(message, "apns", "apns-push-type") == Some("background");
    if background && header(message, "apns", "apns-priority") == Some("10") {
        let text = "apns-priority must not be 10 for a background push";
        return Err(Refusal::argument("message.apns.headers", text));
    }
    match at(message, &["apns", "payload"]) {
        Some(payload) if !payload["aps"].is_object() => {
            Err(Refusal::argument("message.apns.payload", "aps must be an object"))
        }
        _ => Ok(()),
    }
}

fn at<'a>(message: &'a Map<String, Value>, path: &[&str]) -> Option<&'a Value> {
    let (name, parents) = path.split_last()?;
    let parent = parents.iter().try_fold(message, |parent, name| field(parent, name)?.as_object())?;
    field(parent, name)
}

fn header<'a>(message: &'a Map<String, Value>, platform: &str, name: &str) -> Option<&'a str> {
    let headers = at(message, &[platform, "headers"])?.as_object()?;
    headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name))?.1.as_str()
}

fn is_label(text: &str) -> bool {
    let letter = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~%".contains(&byte);
    (1..=50).contains(&text.len()) && text.bytes().all(letter)
}

fn is_color(text: &str) -> bool {
    let digits = text.strip_prefix('#').unwrap_or_default();
    digits.len() == 6 && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn is_https(text: &str) -> bool {
    text.strip_prefix("https://").is_some_and(|rest| !rest.is_empty())
}

fn is_whole(text: &str) -> bool {
    text.parse::<u64>().is_ok()
}

fn is_urgency(text: &str) -> bool {
    ["very-low", "low", "normal", "high"].contains(&text)
}

fn is_priority(text: &str) -> bool {
    ["10", "5", "1"].contains(&text)
}

fn is_collapse_id(text: &str) -> bool {
    text.len() <= 64
}

fn is_push_type(text: &str) -> bool {
    crate::apns_request::is_push_type(text)
}

fn is_uuid(text: &str) -> bool {
    text.len() == 36 && uuid::Uuid::try_parse(text).is_ok()
}
