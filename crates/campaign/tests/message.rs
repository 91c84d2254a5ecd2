//! Which messages both providers take.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;

use geopush_campaign::{
    MAX_MESSAGE_BYTES, MAX_TRANSLATIONS, MAX_VARIANTS, MessageError, check_message, check_variants,
};
use geopush_model::{Message, Text, Variant};
use serde_json::{Value, json};

fn told(errors: Vec<MessageError>) -> Vec<(String, &'static str)> {
    errors.into_iter().map(|error| (error.pointer, error.code.as_str())).collect()
}

fn errors(title: &str, body: &str, data: &[(&str, &str)]) -> Vec<(String, &'static str)> {
    let data: BTreeMap<_, _> = data.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    let message = Message { title: title.into(), body: body.into(), data, ..Message::default() };
    told(check_message(&message))
}

/// The errors of a message with a title and these members.
fn errors_of(mut members: Value) -> Vec<(String, &'static str)> {
    members["title"] = "Hello".into();
    told(check_message(&serde_json::from_value(members).unwrap()))
}

#[test]
fn a_message_shows_something() {
    assert_eq!(errors("Hi", "", &[]), []);
    assert_eq!(errors("", "there", &[("order", "7"), ("goggles", ""), ("fromage", "brie")]), []);
    assert_eq!(errors("", "", &[("order", "7")]), [(String::new(), "required")]);
}

#[test]
fn a_message_that_wakes_the_app_may_show_nothing() {
    let background: Message =
        serde_json::from_value(json!({ "apns": { "push_type": "background" } })).unwrap();
    assert_eq!(check_message(&background), []);
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

#[test]
fn options_count_and_languages_count_one_at_a_time() {
    let frame = r#"{"body":"","data":{},"title":"","link":""}"#.len();
    let half = "x".repeat((MAX_MESSAGE_BYTES - frame) / 2);
    let texts = |body: &str| Text { title: String::new(), body: body.into() };
    let message = |body: &str, link: &str, es: &str| Message {
        body: body.into(),
        link: Some(link.into()),
        translations: BTreeMap::from([("es".to_owned(), texts(es))]),
        ..Message::default()
    };
    let link = format!("https:{}", &half[6..]);
    assert_eq!(told(check_message(&message(&half, &link, &half))), []);
    let long = format!("{half}xx");
    assert_eq!(told(check_message(&message(&long, &link, "hola"))), [(String::new(), "too_large")]);
    let spanish = told(check_message(&message("hi", &link, &long)));
    assert_eq!(spanish, [("/translations/es".to_owned(), "too_large")]);
}

#[test]
fn every_option_that_people_use_is_taken() {
    assert_eq!(
        errors_of(json!({
            "translations": { "es": { "title": "Hola" }, "pt-BR": { "body": "Oi" }, "zh-Hant-TW": { "title": "你好" } },
            "image": "https://cdn.example/a.png", "link": "shop://offers/7", "ttl_s": 2_419_200,
            "analytics_label": "spring-sale.2_%~",
            "android": { "priority": "normal", "collapse_key": "offers", "channel_id": "Offers", "direct_boot_ok": true,
                "sound": "default", "icon": "ic_bag", "color": "#A0b1C2" },
            "apns": { "badge": 0, "sound": "coin.caf", "thread_id": "offers", "category": "OFFER", "subtitle": "Today",
                "mutable_content": true, "interruption_level": "time-sensitive", "priority": 1,
                "collapse_id": "x".repeat(64) },
            "webpush": { "urgency": "high", "icon": "https://cdn.example/i.png" },
        })),
        []
    );
    for link in
        ["https://shop.example/a?b=c#d", "http://shop.example", "geo:41.4,2.2", "{{ zone.metadata.url }}"]
    {
        assert_eq!(errors_of(json!({ "link": link })), [], "{link}");
    }
    assert_eq!(errors_of(json!({ "image": "https://cdn.example/{{ zone.id }}.png" })), []);
}

#[test]
fn what_a_provider_would_refuse_is_named_by_its_pointer() {
    let long = "x".repeat(300);
    let cases = [
        (json!({ "ttl_s": 0 }), "/ttl_s", "out_of_range"),
        (json!({ "ttl_s": 2_419_201 }), "/ttl_s", "out_of_range"),
        (json!({ "image": "http://cdn.example/a.png" }), "/image", "invalid_url"),
        (json!({ "image": "a.png" }), "/image", "invalid_url"),
        (json!({ "image": "https://" }), "/image", "invalid_url"),
        (json!({ "image": "https:///a.png" }), "/image", "invalid_url"),
        (json!({ "link": "offers" }), "/link", "invalid_url"),
        (json!({ "link": "https://a b" }), "/link", "invalid_url"),
        (json!({ "link": "7up://x" }), "/link", "invalid_url"),
        (json!({ "link": format!("https://{}", "x".repeat(2_048)) }), "/link", "invalid_url"),
        (json!({ "webpush": { "icon": "//x" } }), "/webpush/icon", "invalid_url"),
        (json!({ "analytics_label": "" }), "/analytics_label", "invalid_value"),
        (json!({ "analytics_label": "spring sale" }), "/analytics_label", "invalid_value"),
        (json!({ "analytics_label": "x".repeat(51) }), "/analytics_label", "invalid_value"),
        (json!({ "android": { "color": "red" } }), "/android/color", "invalid_value"),
        (json!({ "android": { "color": "#ff00ff00" } }), "/android/color", "invalid_value"),
        (json!({ "android": { "channel_id": "" } }), "/android/channel_id", "invalid_value"),
        (json!({ "android": { "sound": long } }), "/android/sound", "invalid_value"),
        (json!({ "android": { "icon": "a\nb" } }), "/android/icon", "invalid_value"),
        (json!({ "android": { "collapse_key": "x".repeat(65) } }), "/android/collapse_key", "invalid_value"),
        (json!({ "apns": { "collapse_id": "x".repeat(65) } }), "/apns/collapse_id", "invalid_value"),
        (json!({ "apns": { "collapse_id": "ä" } }), "/apns/collapse_id", "invalid_value"),
        (json!({ "apns": { "collapse_id": "" } }), "/apns/collapse_id", "invalid_value"),
        (json!({ "apns": { "priority": 7 } }), "/apns/priority", "out_of_range"),
        (json!({ "apns": { "push_type": "background", "priority": 10 } }), "/apns/priority", "out_of_range"),
        (json!({ "apns": { "push_type": "background", "badge": 1 } }), "/apns/badge", "conflicting"),
        (json!({ "apns": { "push_type": "background", "sound": "default" } }), "/apns/sound", "conflicting"),
        (json!({ "translations": { "es": {} } }), "/translations/es", "required"),
        (json!({ "translations": { "e/s": { "title": "a" } } }), "/translations/e~1s", "invalid_value"),
        (json!({ "translations": { "12": { "title": "a" } } }), "/translations/12", "invalid_value"),
        (
            json!({ "translations": { "ES": { "title": "a" }, "es": { "title": "a" } } }),
            "/translations/es",
            "conflicting",
        ),
    ];
    for (members, pointer, code) in cases {
        assert_eq!(errors_of(members.clone()), [(pointer.to_owned(), code)], "{members}");
    }
}

#[test]
fn languages_are_bounded() {
    let tag = |n: usize| format!("en-{n:04}");
    let translations = |most: usize| {
        let text = json!({ "title": "a" });
        let all: BTreeMap<String, Value> = (0..most).map(|n| (tag(n), text.clone())).collect();
        json!({ "translations": all })
    };
    assert_eq!(errors_of(translations(MAX_TRANSLATIONS)), []);
    assert_eq!(errors_of(translations(MAX_TRANSLATIONS + 1)), [("/translations".to_owned(), "too_large")]);
}

#[test]
fn variants_have_names_of_their_own_weights_and_messages() {
    let variant = |name: &str, weight, title: &str| Variant {
        name: name.into(),
        weight,
        message: Message { title: title.into(), ..Message::default() },
    };
    let (a, b) = (variant("a", 1, "A"), variant("b", 0, "B"));
    assert_eq!(check_variants(&[]), []);
    assert_eq!(check_variants(&[a.clone(), b.clone()]), []);
    let cases = [
        (vec![b.clone()], "", "out_of_range"),
        (vec![a.clone(), a.clone()], "/1/name", "conflicting"),
        (vec![a.clone(), variant("", 1, "C")], "/1/name", "invalid_value"),
        (vec![a.clone(), variant("c", 1_000_001, "C")], "/1/weight", "out_of_range"),
        (vec![a, variant("c", 1, "")], "/1/message", "required"),
    ];
    for (variants, pointer, code) in cases {
        assert_eq!(told(check_variants(&variants)), [(pointer.to_owned(), code)]);
    }
    let many: Vec<_> = (0..=MAX_VARIANTS).map(|n| variant(&format!("v{n}"), 1, "V")).collect();
    assert_eq!(told(check_variants(&many)), [(String::new(), "too_large")]);
}
