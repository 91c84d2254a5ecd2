//! What a phone shows, with what each platform can be told besides.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::wire::v1;

/// What a phone shows. A campaign's and a send's texts are templates; a push's are filled in.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Message {
    /// The first line.
    pub title: String,
    /// The text.
    pub body: String,
    /// For the app.
    pub data: BTreeMap<String, String>,
    /// Title and body in other languages, by BCP 47 tag. None in a push.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub translations: BTreeMap<String, Text>,
    /// A picture's address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// What a tap opens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub link: Option<String>,
    /// Worth sending for so many seconds after the decision; none: as the deployment says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ttl_s: Option<i64>,
    /// For FCM's reports.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub analytics_label: Option<String>,
    /// For Android alone.
    #[serde(skip_serializing_if = "is_default")]
    pub android: AndroidOptions,
    /// For Apple's phones alone.
    #[serde(skip_serializing_if = "is_default")]
    pub apns: ApnsOptions,
    /// For browsers alone.
    #[serde(skip_serializing_if = "is_default")]
    pub webpush: WebpushOptions,
}

/// Title and body in one language.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Text {
    /// The first line.
    pub title: String,
    /// The text.
    pub body: String,
}

/// `AndroidConfig` and `AndroidNotification` of
/// <https://firebase.google.com/docs/reference/fcm/rest/v1/projects.messages>, as far as merchants choose.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct AndroidOptions {
    /// How soon a sleeping phone is woken.
    pub priority: AndroidPriority,
    /// Of messages with the same key only the last waits for a phone that is off.
    pub collapse_key: Option<String>,
    /// The notification channel.
    pub channel_id: Option<String>,
    /// Whether the app gets it before the phone is unlocked for the first time.
    pub direct_boot_ok: bool,
    /// A sound resource of the app, or `default`.
    pub sound: Option<String>,
    /// A drawable resource of the app.
    pub icon: Option<String>,
    /// `#rrggbb`
    pub color: Option<String>,
}

/// How soon a sleeping Android phone is woken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AndroidPriority {
    /// At once.
    #[default]
    High,
    /// When it wakes anyway.
    Normal,
}

/// <https://developer.apple.com/documentation/usernotifications/generating-a-remote-notification>, and the headers of
/// <https://developer.apple.com/documentation/usernotifications/sending-notification-requests-to-apns>.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ApnsOptions {
    /// Whether it shows anything.
    pub push_type: ApnsPushType,
    /// The number on the app's icon; 0 removes it.
    pub badge: Option<u32>,
    /// A sound of the app, or `default`.
    pub sound: Option<String>,
    /// Notifications of one thread are grouped.
    pub thread_id: Option<String>,
    /// The notification's actions.
    pub category: Option<String>,
    /// Between title and body.
    pub subtitle: Option<String>,
    /// Whether the app's extension may change it.
    pub mutable_content: bool,
    /// How much it may interrupt.
    pub interruption_level: Option<InterruptionLevel>,
    /// 10, 5 or 1; none: 10, and 5 of what shows nothing.
    pub priority: Option<u32>,
    /// Notifications with the same id replace one another; none: the push's own id.
    pub collapse_id: Option<String>,
}

/// Whether a notification shows anything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ApnsPushType {
    /// It does.
    #[default]
    Alert,
    /// It wakes the app, and shows nothing.
    Background,
}

/// How much a notification may interrupt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum InterruptionLevel {
    /// Into the list, silently.
    Passive,
    /// As usual.
    Active,
    /// Through a focus.
    TimeSensitive,
    /// Through everything; Apple allows it to few.
    Critical,
}

/// `WebpushConfig` of <https://firebase.google.com/docs/reference/fcm/rest/v1/projects.messages>.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct WebpushOptions {
    /// RFC 8030, section 5.3.
    pub urgency: Option<Urgency>,
    /// A picture's address.
    pub icon: Option<String>,
}

/// How urgent a message to a browser is (RFC 8030, section 5.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Urgency {
    /// On power and Wi-Fi.
    VeryLow,
    /// On either.
    Low,
    /// On neither.
    Normal,
    /// With a low battery, too.
    High,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

const LEVELS: [(InterruptionLevel, v1::InterruptionLevel); 4] = [
    (InterruptionLevel::Passive, v1::InterruptionLevel::Passive),
    (InterruptionLevel::Active, v1::InterruptionLevel::Active),
    (InterruptionLevel::TimeSensitive, v1::InterruptionLevel::TimeSensitive),
    (InterruptionLevel::Critical, v1::InterruptionLevel::Critical),
];

impl Urgency {
    const ALL: [(Self, &'static str); 4] =
        [(Self::VeryLow, "very-low"), (Self::Low, "low"), (Self::Normal, "normal"), (Self::High, "high")];

    /// As the header says it.
    pub fn as_str(self) -> &'static str {
        Self::ALL[self as usize].1
    }

    /// Reads what [`Self::as_str`] wrote.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().find(|row| row.1 == text).map(|row| row.0)
    }
}

impl From<&Message> for v1::Message {
    fn from(message: &Message) -> Self {
        let Message { title, body, data, translations, image, link, ttl_s, analytics_label, .. } =
            message.clone();
        let text = |text: Text| v1::Text { title: text.title, body: text.body };
        Self {
            title,
            body,
            data: data.into_iter().collect(),
            translations: translations.into_iter().map(|(tag, t)| (tag, text(t))).collect(),
            image,
            link,
            ttl_s,
            analytics_label,
            android: (!is_default(&message.android)).then(|| (&message.android).into()),
            apns: (!is_default(&message.apns)).then(|| (&message.apns).into()),
            webpush: (!is_default(&message.webpush)).then(|| (&message.webpush).into()),
        }
    }
}

impl From<v1::Message> for Message {
    fn from(message: v1::Message) -> Self {
        let text = |text: v1::Text| Text { title: text.title, body: text.body };
        Self {
            title: message.title,
            body: message.body,
            data: message.data.into_iter().collect(),
            translations: message.translations.into_iter().map(|(tag, t)| (tag, text(t))).collect(),
            image: message.image,
            link: message.link,
            ttl_s: message.ttl_s,
            analytics_label: message.analytics_label,
            android: message.android.map(Into::into).unwrap_or_default(),
            apns: message.apns.map(Into::into).unwrap_or_default(),
            webpush: message.webpush.map(Into::into).unwrap_or_default(),
        }
    }
}

impl From<&AndroidOptions> for v1::Android {
    fn from(options: &AndroidOptions) -> Self {
        let AndroidOptions { priority, collapse_key, channel_id, direct_boot_ok, sound, icon, color } =
            options.clone();
        let normal_priority = priority == AndroidPriority::Normal;
        Self { normal_priority, collapse_key, channel_id, direct_boot_ok, sound, icon, color }
    }
}

impl From<v1::Android> for AndroidOptions {
    fn from(options: v1::Android) -> Self {
        let v1::Android { normal_priority, collapse_key, channel_id, direct_boot_ok, sound, icon, color } =
            options;
        let priority = if normal_priority { AndroidPriority::Normal } else { AndroidPriority::High };
        Self { priority, collapse_key, channel_id, direct_boot_ok, sound, icon, color }
    }
}

impl From<&ApnsOptions> for v1::Apns {
    fn from(options: &ApnsOptions) -> Self {
        let level = LEVELS.iter().find(|row| Some(row.0) == options.interruption_level).map(|row| row.1);
        let ApnsOptions { badge, sound, thread_id, category, subtitle, .. } = options.clone();
        Self {
            background: options.push_type == ApnsPushType::Background,
            badge,
            sound,
            thread_id,
            category,
            subtitle,
            mutable_content: options.mutable_content,
            interruption_level: level.unwrap_or_default().into(),
            priority: options.priority,
            collapse_id: options.collapse_id.clone(),
        }
    }
}

impl From<v1::Apns> for ApnsOptions {
    fn from(options: v1::Apns) -> Self {
        let level = options.interruption_level();
        Self {
            push_type: if options.background { ApnsPushType::Background } else { ApnsPushType::Alert },
            badge: options.badge,
            sound: options.sound,
            thread_id: options.thread_id,
            category: options.category,
            subtitle: options.subtitle,
            mutable_content: options.mutable_content,
            interruption_level: LEVELS.iter().find(|row| row.1 == level).map(|row| row.0),
            priority: options.priority,
            collapse_id: options.collapse_id,
        }
    }
}

impl From<&WebpushOptions> for v1::Webpush {
    fn from(options: &WebpushOptions) -> Self {
        let urgency = options.urgency.map(|urgency| urgency.as_str().to_owned());
        Self { urgency, icon: options.icon.clone() }
    }
}

impl From<v1::Webpush> for WebpushOptions {
    fn from(options: v1::Webpush) -> Self {
        Self { urgency: options.urgency.as_deref().and_then(Urgency::parse), icon: options.icon }
    }
}
