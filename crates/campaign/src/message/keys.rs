//! The keys of `data`.

use std::collections::BTreeMap;

use super::{Errors, MessageErrorCode, escaped};

/// Keys of `data` that a provider or GeoPush has for itself.
/// FCM: <https://firebase.google.com/docs/reference/fcm/rest/v1/projects.messages> (`data`); APNs: `aps`.
const RESERVED: [&str; 3] = ["from", "message_type", "aps"];
/// So do keys that begin so.
const RESERVED_PREFIXES: [&str; 3] = ["google", "gcm", "geopush_"];

pub(super) fn check(data: &BTreeMap<String, String>, errors: &mut Errors) {
    for key in data.keys() {
        let pointer = || format!("/data/{}", escaped(key));
        if key.is_empty() {
            errors.note(pointer(), MessageErrorCode::InvalidKey, "a key has at least one character");
        } else if is_reserved(key) {
            errors.note(pointer(), MessageErrorCode::ReservedKey, reserved());
        }
    }
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
