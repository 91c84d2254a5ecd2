//! Which messages both providers take.

use std::collections::BTreeMap;

use geopush_campaign::{MAX_MESSAGE_BYTES, check_message};

fn errors(title: &str, body: &str, data: &[(&str, &str)]) -> Vec<(String, &'static str)> {
    let data: BTreeMap<_, _> = data.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    check_message(title, body, &data).into_iter().map(|e| (e.pointer, e.code.as_str())).collect()
}

#[test]
fn a_message_shows_something() {
    assert_eq!(errors("Hi", "", &[]), []);
    assert_eq!(errors("", "there", &[("order", "7"), ("goggles", ""), ("fromage", "brie")]), []);
    assert_eq!(errors("", "", &[("order", "7")]), [(String::new(), "required")]);
}

#[test]
fn keys_of_the_providers_and_ours_are_refused() {
    for key in ["from", "From", "message_type", "aps", "google", "google.x", "gcm.n.e", "geopush_push_id"] {
        assert_eq!(errors("a", "b", &[(key, "x")]), [(format!("/data/{key}"), "reserved_key")]);
    }
    assert_eq!(errors("a", "b", &[("", "x")]), [("/data/".to_owned(), "invalid_key")]);
    assert_eq!(errors("a", "b", &[("gcm/~", "x")]), [("/data/gcm~1~0".to_owned(), "reserved_key")]);
}

#[test]
fn a_message_fits_into_every_payload_and_is_measured_as_json() {
    let frame = r#"{"body":"","data":{},"title":""}"#.len();
    let fits = "x".repeat(MAX_MESSAGE_BYTES - frame);
    assert_eq!(errors("", &fits, &[]), []);
    assert_eq!(errors("!", &fits, &[]), [(String::new(), "too_large")]);
    // Each of these is two bytes as JSON.
    assert_eq!(errors("", &"\n".repeat(MAX_MESSAGE_BYTES / 2), &[]), [(String::new(), "too_large")]);
}
