//! How long a message may be.

use geopush_model::{Message, Text};
use serde_json::json;

use super::{Errors, MessageErrorCode, escaped};

/// The most that a message may have in one language, as JSON, in bytes. Both providers take payloads of 4,096 bytes;
/// the rest is for what the sender adds: the push's id and the frame round it.
pub const MAX_MESSAGE_BYTES: usize = 3_584;

pub(super) fn check(message: &Message, errors: &mut Errors) {
    let common = common(message);
    let mut check = |title: &str, body: &str, pointer: String| {
        let bytes = json!({ "title": title, "body": body, "data": message.data }).to_string().len() + common;
        if bytes > MAX_MESSAGE_BYTES {
            let detail = format!(
                "{bytes} bytes as JSON; shorten it to {MAX_MESSAGE_BYTES}, so that every provider takes it"
            );
            errors.note(pointer, MessageErrorCode::TooLarge, detail);
        }
    };
    check(&message.title, &message.body, String::new());
    for (tag, Text { title, body }) in &message.translations {
        check(title, body, format!("/translations/{}", escaped(tag)));
    }
}

/// The bytes of the texts that every language has in common, each as `,"name":"text"`.
fn common(message: &Message) -> usize {
    let (android, apns) = (&message.android, &message.apns);
    let texts = [
        ("image", &message.image),
        ("link", &message.link),
        ("channel_id", &android.channel_id),
        ("sound", &android.sound),
        ("icon", &android.icon),
        ("color", &android.color),
        ("sound", &apns.sound),
        ("thread_id", &apns.thread_id),
        ("category", &apns.category),
        ("subtitle", &apns.subtitle),
        ("icon", &message.webpush.icon),
    ];
    let there = texts.iter().filter_map(|(name, text)| Some((name, text.as_ref()?)));
    there.map(|(name, text)| r#","":"#.len() + name.len() + json!(text).to_string().len()).sum()
}
