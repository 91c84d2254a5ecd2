//! Apple's `aps` dictionary, which APNs takes and FCM hands on
//! (<https://developer.apple.com/documentation/usernotifications/generating-a-remote-notification>).

use geopush_model::{ApnsPushType, InterruptionLevel, Message};
use serde::Serialize;

/// The longest `apns-collapse-id`, in bytes.
const MAX_COLLAPSE_ID: usize = 64;

/// What Apple's phones are told of a message.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Aps<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    alert: Option<Alert<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    badge: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sound: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    thread_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    category: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    interruption_level: Option<InterruptionLevel>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mutable_content: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content_available: Option<u8>,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
struct Alert<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    subtitle: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<&'a str>,
}

impl<'a> Aps<'a> {
    /// Of a message. One that wakes the app "must not contain alert, badge or sound"; one with a picture may be changed
    /// by the app's extension, which is what loads the picture.
    pub fn of(message: &'a Message) -> Self {
        let options = &message.apns;
        if is_background(message) {
            return Self { content_available: Some(1), ..Self::default() };
        }
        let alert = Alert {
            title: given(&message.title),
            subtitle: options.subtitle.as_deref(),
            body: given(&message.body),
        };
        Self {
            alert: Some(alert),
            badge: options.badge,
            sound: options.sound.as_deref(),
            thread_id: options.thread_id.as_deref(),
            category: options.category.as_deref(),
            interruption_level: options.interruption_level,
            mutable_content: (options.mutable_content || message.image.is_some()).then_some(1),
            content_available: None,
        }
    }

    /// What there is to say beside a title and a body that are said elsewhere; none if there is nothing.
    pub fn beside_notification(message: &'a Message) -> Option<Self> {
        let mut aps = Self::of(message);
        aps.alert = aps.alert.filter(|alert| alert.subtitle.is_some());
        (aps != Self::default()).then_some(aps)
    }
}

/// Whether it wakes the app and shows nothing on Apple's phones.
pub fn is_background(message: &Message) -> bool {
    message.apns.push_type == ApnsPushType::Background
}

/// `apns-push-type`
pub fn push_type(message: &Message) -> &'static str {
    if is_background(message) { "background" } else { "alert" }
}

/// `apns-priority`: "Using priority 10 is an error" for a background push; 5 is what it always has.
pub fn priority(message: &Message) -> &'static str {
    match message.apns.priority {
        _ if is_background(message) => "5",
        Some(5) => "5",
        Some(1) => "1",
        _ => "10",
    }
}

/// The message's own `apns-collapse-id`. Without one it is the push's id, so that a push that was sent twice is shown once.
pub fn collapse_id(message: &Message) -> Option<&str> {
    let fits =
        |id: &&str| (1..=MAX_COLLAPSE_ID).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_graphic());
    message.apns.collapse_id.as_deref().filter(fits)
}

/// A text, unless it is empty.
pub fn given(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}
