//! What FCM accepts as a message: the API's schema as data, then FCM's own rules.
//!
//! The schema is that of the FCM HTTP v1 API (`projects.messages.send`); as in any proto3 JSON, a field may be
//! written in snake_case or lowerCamelCase.

use std::borrow::Cow;

use serde_json::{Map, Value};

use crate::fcm_options;
use crate::fcm_refusal::Refusal;
use Kind::{Boolean, Duration, Enum, Free, Integer, Number, Object, Text, TextMap, Texts, Timestamp};

/// A device's message, in bytes of keys and values.
const MAX_PAYLOAD: usize = 4096;
/// A topic's message.
const MAX_TOPIC_PAYLOAD: usize = 2048;
/// Four weeks.
const MAX_TTL_S: f64 = 2_419_200.0;

enum Kind {
    Text,
    Boolean,
    Integer,
    Number,
    Duration,
    Timestamp,
    Texts,
    /// A map of strings to strings.
    TextMap,
    /// Any JSON object.
    Free,
    Enum(&'static str, &'static [&'static str]),
    Object(&'static str, &'static [Field]),
}

type Field = (&'static str, Kind);

const REQUEST: &[Field] = &[("message", Object("Message", MESSAGE)), ("validate_only", Boolean)];

const MESSAGE: &[Field] = &[
    ("name", Text),
    ("data", TextMap),
    ("notification", Object("Notification", &[("title", Text), ("body", Text), ("image", Text)])),
    ("android", Object("AndroidConfig", ANDROID)),
    ("webpush", Object("WebpushConfig", WEBPUSH)),
    ("apns", Object("ApnsConfig", APNS)),
    ("fcm_options", Object("FcmOptions", LABEL)),
    ("fid", Text),
    ("token", Text),
    ("topic", Text),
    ("condition", Text),
];

const LABEL: &[Field] = &[("analytics_label", Text)];

const ANDROID: &[Field] = &[
    ("collapse_key", Text),
    ("priority", Enum("AndroidConfig.AndroidMessagePriority", &["NORMAL", "HIGH"])),
    ("ttl", Duration),
    ("restricted_package_name", Text),
    ("data", TextMap),
    ("notification", Object("AndroidNotification", ANDROID_NOTIFICATION)),
    ("fcm_options", Object("AndroidFcmOptions", LABEL)),
    ("direct_boot_ok", Boolean),
    ("bandwidth_constrained_ok", Boolean),
    ("restricted_satellite_ok", Boolean),
];

const ANDROID_NOTIFICATION: &[Field] = &[
    ("title", Text),
    ("body", Text),
    ("icon", Text),
    ("color", Text),
    ("sound", Text),
    ("tag", Text),
    ("click_action", Text),
    ("body_loc_key", Text),
    ("body_loc_args", Texts),
    ("title_loc_key", Text),
    ("title_loc_args", Texts),
    ("channel_id", Text),
    ("ticker", Text),
    ("sticky", Boolean),
    ("event_time", Timestamp),
    ("local_only", Boolean),
    ("notification_priority", Enum("AndroidNotification.NotificationPriority", PRIORITIES)),
    ("default_sound", Boolean),
    ("default_vibrate_timings", Boolean),
    ("default_light_settings", Boolean),
    ("vibrate_timings", Texts),
    ("visibility", Enum("AndroidNotification.Visibility", VISIBILITIES)),
    ("notification_count", Integer),
    ("light_settings", Object("LightSettings", LIGHT)),
    ("image", Text),
    (
        "proxy",
        Enum("AndroidNotification.Proxy", &["PROXY_UNSPECIFIED", "ALLOW", "DENY", "IF_PRIORITY_LOWERED"]),
    ),
    ("bypass_proxy_notification", Boolean),
];

const PRIORITIES: &[&str] = &[
    "PRIORITY_UNSPECIFIED",
    "PRIORITY_MIN",
    "PRIORITY_LOW",
    "PRIORITY_DEFAULT",
    "PRIORITY_HIGH",
    "PRIORITY_MAX",
];

const VISIBILITIES: &[&str] = &["VISIBILITY_UNSPECIFIED", "PRIVATE", "PUBLIC", "SECRET"];

const LIGHT: &[Field] = &[
    ("color", Object("Color", &[("red", Number), ("green", Number), ("blue", Number), ("alpha", Number)])),
    ("light_on_duration", Duration),
    ("light_off_duration", Duration),
];

const WEBPUSH: &[Field] = &[
    ("headers", TextMap),
    ("data", TextMap),
    ("notification", Free),
    ("fcm_options", Object("WebpushFcmOptions", &[("link", Text), ("analytics_label", Text)])),
];

const APNS: &[Field] = &[
    ("headers", TextMap),
    ("payload", Free),
    ("fcm_options", Object("ApnsFcmOptions", &[("analytics_label", Text), ("image", Text)])),
    ("live_activity_token", Text),
];

/// Where an accepted message goes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// A registration token, or the Firebase installation id that is to replace it; and which of them.
    Device { field: &'static str, id: String },
    /// A topic or a condition.
    Many,
}

/// A message that FCM would take.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Message {
    pub target: Target,
    pub validate_only: bool,
}

/// Checks a request's body as FCM does: JSON, then the schema, then its own rules.
pub(crate) fn check(body: &[u8]) -> Result<Message, Refusal> {
    let request: Value = match serde_json::from_slice(body) {
        Ok(request) => request,
        Err(_) if body.is_empty() => Value::Object(Map::new()),
        Err(error) => return Err(Refusal::malformed(&format!("{error}."))),
    };
    let Value::Object(request) = request else {
        return Err(Refusal::malformed("Root element must be a message."));
    };
    let mut violations = Vec::new();
    members(&request, "", REQUEST, &mut violations);
    if !violations.is_empty() {
        return Err(Refusal::schema(&violations));
    }
    let empty = Map::new();
    let message = field(&request, "message").and_then(Value::as_object).unwrap_or(&empty);
    let target = target(message)?;
    keys(message)?;
    ttl(message)?;
    fcm_options::check(message)?;
    size(message, &target)?;
    let validate_only = field(&request, "validate_only").and_then(Value::as_bool).unwrap_or(false);
    Ok(Message { target, validate_only })
}

/// The snake_case form of a field's name.
fn snake(name: &str) -> Cow<'_, str> {
    if !name.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Cow::Borrowed(name);
    }
    let mut snake = String::with_capacity(name.len() + 4);
    for letter in name.chars() {
        if letter.is_ascii_uppercase() {
            snake.push('_');
        }
        snake.push(letter.to_ascii_lowercase());
    }
    Cow::Owned(snake)
}

/// A member by its snake_case name, however it is written; JSON's null is absence.
pub(crate) fn field<'a>(object: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    let found = object.get(name).or_else(|| {
        name.contains('_')
            .then(|| object.iter().find(|(key, _)| snake(key) == name).map(|(_, value)| value))?
    });
    found.filter(|value| !value.is_null())
}

fn members(
    object: &Map<String, Value>,
    path: &str,
    fields: &[Field],
    violations: &mut Vec<(String, String)>,
) {
    for (name, value) in object {
        let Some((name, kind)) = fields.iter().find(|(known, _)| *known == snake(name)) else {
            let at = if path.is_empty() { String::new() } else { format!(" at '{path}'") };
            let text =
                format!("Invalid JSON payload received. Unknown name \"{name}\"{at}: Cannot find field.");
            violations.push((path.to_owned(), text));
            continue;
        };
        // proto3 JSON: null is the field's absence.
        if value.is_null() {
            continue;
        }
        let path = if path.is_empty() { (*name).to_owned() } else { format!("{path}.{name}") };
        if let Some(found) = fits(value, &path, kind, violations) {
            violations.push(found);
        }
    }
}

/// The violation of a value that isn't of its kind; what an object's members break is added to `violations`.
fn fits(
    value: &Value,
    path: &str,
    kind: &Kind,
    violations: &mut Vec<(String, String)>,
) -> Option<(String, String)> {
    let wrong = |path: &str, kind: &str, value: &Value| {
        (path.to_owned(), format!("Invalid value at '{path}' ({kind}), {value}"))
    };
    let number = |value: &Value, whole: bool| match value {
        Value::Number(number) => !whole || number.as_f64().is_some_and(|number| number.fract() == 0.0),
        Value::String(text) => text.parse::<f64>().is_ok_and(|number| !whole || number.fract() == 0.0),
        _ => false,
    };
    match (kind, value) {
        (Text, Value::String(_)) | (Boolean, Value::Bool(_)) | (Free, Value::Object(_)) => None,
        (Text, value) => Some(wrong(path, "TYPE_STRING", value)),
        (Boolean, value) => Some(wrong(path, "TYPE_BOOL", value)),
        (Free, value) => Some(wrong(path, "type.googleapis.com/google.protobuf.Struct", value)),
        (Integer, value) => (!number(value, true)).then(|| wrong(path, "TYPE_INT32", value)),
        (Number, value) => (!number(value, false)).then(|| wrong(path, "TYPE_FLOAT", value)),
        (Duration, value) => (value.as_str().and_then(seconds).is_none())
            .then(|| wrong(path, "type.googleapis.com/google.protobuf.Duration", value)),
        (Timestamp, value) => (value.as_str().is_none_or(|text| text.parse::<jiff::Timestamp>().is_err()))
            .then(|| wrong(path, "type.googleapis.com/google.protobuf.Timestamp", value)),
        (Texts, Value::Array(items)) => items
            .iter()
            .enumerate()
            .find(|(_, item)| !item.is_string())
            .map(|(at, item)| wrong(&format!("{path}[{at}]"), "TYPE_STRING", item)),
        (TextMap, Value::Object(entries)) => entries
            .values()
            .enumerate()
            .find(|(_, item)| !item.is_string())
            .map(|(at, item)| wrong(&format!("{path}[{at}].value"), "TYPE_STRING", item)),
        (Texts | TextMap, value) => Some(wrong(path, "TYPE_STRING", value)),
        (Enum(name, values), value) => {
            let known = |text: &str| values.iter().any(|known| known.eq_ignore_ascii_case(text));
            let fits = value.as_str().is_some_and(known) || value.is_u64();
            (!fits).then(|| wrong(path, &format!("type.googleapis.com/google.firebase.fcm.v1.{name}"), value))
        }
        (Object(_, fields), Value::Object(object)) => {
            members(object, path, fields, violations);
            None
        }
        (Object(name, _), value) => {
            Some(wrong(path, &format!("type.googleapis.com/google.firebase.fcm.v1.{name}"), value))
        }
    }
}

/// A protobuf duration in JSON: seconds, with the suffix `s`.
fn seconds(text: &str) -> Option<f64> {
    let number = text.strip_suffix('s')?;
    let digits = number.strip_prefix('-').unwrap_or(number);
    let plain = digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    if plain { number.parse().ok() } else { None }
}

fn target(message: &Map<String, Value>) -> Result<Target, Refusal> {
    let set: Vec<_> = ["fid", "token", "topic", "condition"]
        .into_iter()
        .filter_map(|name| field(message, name).and_then(Value::as_str).map(|value| (name, value)))
        .collect();
    match set.as_slice() {
        [(name @ ("fid" | "token"), id)] if !id.is_empty() => {
            let field = if *name == "fid" { "message.fid" } else { "message.token" };
            Ok(Target::Device { field, id: (*id).to_owned() })
        }
        [(name @ "topic", topic)] if !topic.is_empty() => {
            let topic = topic.strip_prefix("/topics/").unwrap_or(topic);
            let letter = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~%".contains(&byte);
            match topic.bytes().all(letter) {
                true => Ok(Target::Many),
                false => Err(Refusal::argument(&format!("message.{name}"), "Invalid topic name.")),
            }
        }
        [("condition", condition)] if !condition.is_empty() => Ok(Target::Many),
        [] | [_] => Err(Refusal::argument("message", "Recipient of the message is not set.")),
        [_, (second, _), ..] => {
            let text = format!(
                "Invalid value at 'message' (oneof), oneof field 'target' is already set. Cannot set '{second}'"
            );
            Err(Refusal::schema(&[("message".to_owned(), text)]))
        }
    }
}

/// Keys of `data` that FCM uses itself.
fn keys(message: &Map<String, Value>) -> Result<(), Refusal> {
    let reserved = |key: &str| {
        ["from", "message_type"].contains(&key) || key.starts_with("google") || key.starts_with("gcm")
    };
    for (path, data) in
        [("message.data", data(message, None)), ("message.android.data", data(message, Some("android")))]
    {
        if let Some(key) = data.into_iter().flatten().map(|(key, _)| key).find(|key| reserved(key)) {
            return Err(Refusal::argument(path, &format!("Invalid data payload key: {key}")));
        }
    }
    Ok(())
}

fn data<'a>(message: &'a Map<String, Value>, of: Option<&str>) -> Option<&'a Map<String, Value>> {
    let holder = match of {
        Some(name) => field(message, name)?.as_object()?,
        None => message,
    };
    field(holder, "data")?.as_object()
}

fn ttl(message: &Map<String, Value>) -> Result<(), Refusal> {
    let android = field(message, "android").and_then(Value::as_object);
    let ttl = android.and_then(|android| field(android, "ttl")).and_then(Value::as_str).and_then(seconds);
    match ttl {
        Some(ttl) if !(0.0..=MAX_TTL_S).contains(&ttl) => {
            Err(Refusal::argument("message.android.ttl", "Invalid TTL: it must be between 0s and 2419200s."))
        }
        _ => Ok(()),
    }
}

/// Bytes of the keys and values of a JSON value.
fn weight(value: &Value) -> usize {
    match value {
        Value::Null => 0,
        Value::String(text) => text.len(),
        Value::Array(items) => items.iter().map(weight).sum(),
        Value::Object(members) => members.iter().map(|(key, value)| key.len() + weight(value)).sum(),
        value => value.to_string().len(),
    }
}

/// What a phone would be handed: data and notification, for Android, for the web, and for Apple's devices.
fn size(message: &Map<String, Value>, target: &Target) -> Result<(), Refusal> {
    let most = if *target == Target::Many { MAX_TOPIC_PAYLOAD } else { MAX_PAYLOAD };
    let common = ["data", "notification"].map(|name| field(message, name).map_or(0, weight));
    let own = |platform: &str, name: &str| {
        let platform = field(message, platform).and_then(Value::as_object);
        platform.and_then(|platform| field(platform, name)).map(weight)
    };
    let shown = |platform| {
        own(platform, "data").unwrap_or(common[0]) + own(platform, "notification").unwrap_or(0).max(common[1])
    };
    for (field, platform, size) in [
        ("message", "Android", shown("android")),
        ("message.webpush", "Webpush", shown("webpush")),
        ("message.apns.payload", "APNs", own("apns", "payload").unwrap_or(0)),
    ] {
        if size > most {
            return Err(Refusal::argument(field, &format!("{platform} message is too big")));
        }
    }
    Ok(())
}
