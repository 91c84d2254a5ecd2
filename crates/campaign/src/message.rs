//! What a message may say.

use std::collections::BTreeMap;

use serde_json::json;

/// The most that title, body and data may have together, as JSON, in bytes. Both providers take payloads of 4,096
/// bytes; the rest is for what the sender adds: the push's id and the frame round it.
pub const MAX_MESSAGE_BYTES: usize = 3_584;

/// Keys of `data` that a provider or GeoPush has for itself.
/// FCM: <https://firebase.google.com/docs/reference/fcm/rest/v1/projects.messages> (`data`); APNs: `aps`.
const RESERVED: [&str; 3] = ["from", "message_type", "aps"];
/// So do keys that begin so.
const RESERVED_PREFIXES: [&str; 3] = ["google", "gcm", "geopush_"];

/// One thing that is wrong with a message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{pointer}: {detail}")]
pub struct MessageError {
    /// Where, as a JSON pointer (RFC 6901) from the message on; the message itself is empty.
    pub pointer: String,
    /// What kind of error.
    pub code: MessageErrorCode,
    /// What to write instead, for people.
    pub detail: String,
}

/// The kinds of errors: a closed list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageErrorCode {
    /// Neither title nor body: there is nothing to show.
    Required,
    /// A key of `data` that is not the merchant's to use.
    ReservedKey,
    /// An empty key of `data`.
    InvalidKey,
    /// More than a provider takes.
    TooLarge,
}

impl MessageErrorCode {
    /// As the API writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Required => "required",
            Self::ReservedKey => "reserved_key",
            Self::InvalidKey => "invalid_key",
            Self::TooLarge => "too_large",
        }
    }
}

/// Everything that is wrong with a message; nothing, if both providers will take it.
pub fn check_message(title: &str, body: &str, data: &BTreeMap<String, String>) -> Vec<MessageError> {
    let mut errors = Vec::new();
    let mut note =
        |pointer: String, code, detail: String| errors.push(MessageError { pointer, code, detail });
    if title.is_empty() && body.is_empty() {
        note(String::new(), MessageErrorCode::Required, "give a title, a body or both".to_owned());
    }
    for key in data.keys() {
        let pointer = || format!("/data/{}", key.replace('~', "~0").replace('/', "~1"));
        if key.is_empty() {
            note(pointer(), MessageErrorCode::InvalidKey, "a key has at least one character".to_owned());
        } else if is_reserved(key) {
            note(pointer(), MessageErrorCode::ReservedKey, reserved());
        }
    }
    let bytes = json!({ "title": title, "body": body, "data": data }).to_string().len();
    if bytes > MAX_MESSAGE_BYTES {
        note(
            String::new(),
            MessageErrorCode::TooLarge,
            format!(
                "{bytes} bytes as JSON; shorten it to {MAX_MESSAGE_BYTES}, so that every provider takes it"
            ),
        );
    }
    errors
}

/// Whatever the case: APNs would take `From`, but the same message goes to FCM.
fn is_reserved(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    RESERVED.contains(&key.as_str()) || RESERVED_PREFIXES.iter().any(|prefix| key.starts_with(prefix))
}

fn reserved() -> String {
    format!(
        "choose another key: {} are reserved, and so is what begins with {}",
        RESERVED.join(", "),
        RESERVED_PREFIXES.join(", ")
    )
}
