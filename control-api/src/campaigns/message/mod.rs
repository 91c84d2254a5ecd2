//! What a phone shows, as merchants write it.

mod schema;

use std::collections::BTreeMap;

use geopush_campaign::{MessageError, TemplateError, check_message, check_templates};
use geopush_model::{
    AndroidOptions, AndroidPriority, ApnsOptions, ApnsPushType, InterruptionLevel, Message, Text, Urgency,
    WebpushOptions,
};
use geopush_service::http::Invalid;
use serde_json::Value;

use crate::json::{Members, invalid};

pub(crate) use schema::MessageAnswer;

/// The longest text that is no title, body or value of `data`, in bytes; what is shorter yet is checked by what it is.
const MOST_TEXT: usize = 4_096;
/// As for texts, the largest number.
const MOST_NUMBER: i64 = i32::MAX as i64;

const ANDROID_PRIORITIES: [(&str, AndroidPriority); 2] =
    [("high", AndroidPriority::High), ("normal", AndroidPriority::Normal)];
const PUSH_TYPES: [(&str, ApnsPushType); 2] =
    [("alert", ApnsPushType::Alert), ("background", ApnsPushType::Background)];
const LEVELS: [(&str, InterruptionLevel); 4] = [
    ("passive", InterruptionLevel::Passive),
    ("active", InterruptionLevel::Active),
    ("time-sensitive", InterruptionLevel::TimeSensitive),
    ("critical", InterruptionLevel::Critical),
];
const URGENCIES: [(&str, Urgency); 4] = [
    ("very-low", Urgency::VeryLow),
    ("low", Urgency::Low),
    ("normal", Urgency::Normal),
    ("high", Urgency::High),
];

/// Reads the required member `message`, whose texts are templates.
pub(crate) fn read_message(members: &mut Members) -> Option<Message> {
    members.require("message", |m, name| m.nested(name, message_of))
}

/// Reads a message.
pub(super) fn message_of(message: Value, at: &str) -> Result<Message, Vec<Invalid>> {
    let message = unchecked(message, at)?;
    let mut wrong = told(check_message(&message), at);
    wrong.extend(wrong_templates(&message, at));
    if wrong.is_empty() { Ok(message) } else { Err(wrong) }
}

/// What is wrong with a message that stands at `at`.
pub(super) fn told(errors: Vec<MessageError>, at: &str) -> Vec<Invalid> {
    let told = |e: MessageError| Invalid::new(format!("{at}{}", e.pointer), e.code.as_str(), e.detail);
    errors.into_iter().map(told).collect()
}

/// Which templates of a message that stands at `at` can't be filled in.
pub(super) fn wrong_templates(message: &Message, at: &str) -> Vec<Invalid> {
    let told = |e: TemplateError| Invalid::new(format!("{at}{}", e.pointer), "invalid_template", e.detail);
    check_templates(message).into_iter().map(told).collect()
}

/// Reads a message's members, whatever they say.
pub(super) fn unchecked(message: Value, at: &str) -> Result<Message, Vec<Invalid>> {
    let mut m = Members::of(message, at)?;
    let message = Message {
        title: read_text(&mut m, "title"),
        body: read_text(&mut m, "body"),
        data: read_data(&mut m),
        translations: m.nested("translations", translations).unwrap_or_default(),
        image: m.text("image", MOST_TEXT),
        link: m.text("link", MOST_TEXT),
        ttl_s: m.whole("ttl_s", 1..=MOST_NUMBER),
        analytics_label: m.text("analytics_label", MOST_TEXT),
        android: m.nested("android", android).unwrap_or_default(),
        apns: m.nested("apns", apns).unwrap_or_default(),
        webpush: m.nested("webpush", webpush).unwrap_or_default(),
    };
    m.finish(&[])?;
    Ok(message)
}

/// A text of any length, which may be empty or left out.
fn read_text(members: &mut Members, name: &str) -> String {
    match members.take(name) {
        None => String::new(),
        Some(Value::String(text)) => text,
        Some(_) => {
            members.fail(name, "wrong_type", "give a string");
            String::new()
        }
    }
}

fn read_data(members: &mut Members) -> BTreeMap<String, String> {
    let at = members.pointer("data");
    let mut data = BTreeMap::new();
    for (key, value) in members.object("data", usize::MAX).unwrap_or_default() {
        match value {
            Value::String(text) => {
                data.insert(key, text);
            }
            _ => {
                let pointer = format!("{at}/{}", key.replace('~', "~0").replace('/', "~1"));
                let detail = "give a string; providers carry nothing else";
                members.fail_all([invalid(&pointer, "wrong_type", detail)]);
            }
        }
    }
    data
}

fn translations(value: Value, at: &str) -> Result<BTreeMap<String, Text>, Vec<Invalid>> {
    let mut members = Members::of(value, at)?;
    let mut translations = BTreeMap::new();
    for tag in members.names() {
        if let Some(text) = members.nested(&tag, text_of) {
            translations.insert(tag, text);
        }
    }
    members.finish(&[])?;
    Ok(translations)
}

fn text_of(value: Value, at: &str) -> Result<Text, Vec<Invalid>> {
    let mut members = Members::of(value, at)?;
    let text = Text { title: read_text(&mut members, "title"), body: read_text(&mut members, "body") };
    members.finish(&[])?;
    Ok(text)
}

fn android(value: Value, at: &str) -> Result<AndroidOptions, Vec<Invalid>> {
    let mut m = Members::of(value, at)?;
    let options = AndroidOptions {
        priority: m.choice("priority", &ANDROID_PRIORITIES).unwrap_or_default(),
        collapse_key: m.text("collapse_key", MOST_TEXT),
        channel_id: m.text("channel_id", MOST_TEXT),
        direct_boot_ok: m.flag("direct_boot_ok").unwrap_or_default(),
        sound: m.text("sound", MOST_TEXT),
        icon: m.text("icon", MOST_TEXT),
        color: m.text("color", MOST_TEXT),
    };
    m.finish(&[])?;
    Ok(options)
}

fn apns(value: Value, at: &str) -> Result<ApnsOptions, Vec<Invalid>> {
    let mut m = Members::of(value, at)?;
    let small = |number: i64| u32::try_from(number).ok();
    let options = ApnsOptions {
        push_type: m.choice("push_type", &PUSH_TYPES).unwrap_or_default(),
        badge: m.whole("badge", 0..=MOST_NUMBER).and_then(small),
        sound: m.text("sound", MOST_TEXT),
        thread_id: m.text("thread_id", MOST_TEXT),
        category: m.text("category", MOST_TEXT),
        subtitle: m.text("subtitle", MOST_TEXT),
        mutable_content: m.flag("mutable_content").unwrap_or_default(),
        interruption_level: m.choice("interruption_level", &LEVELS),
        priority: m.whole("priority", 0..=MOST_NUMBER).and_then(small),
        collapse_id: m.text("collapse_id", MOST_TEXT),
    };
    m.finish(&[])?;
    Ok(options)
}

fn webpush(value: Value, at: &str) -> Result<WebpushOptions, Vec<Invalid>> {
    let mut m = Members::of(value, at)?;
    let options =
        WebpushOptions { urgency: m.choice("urgency", &URGENCIES), icon: m.text("icon", MOST_TEXT) };
    m.finish(&[])?;
    Ok(options)
}
