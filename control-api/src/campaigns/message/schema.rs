//! A message in the OpenAPI document. What the model's types say in JSON is described here, and what a request may say.

use std::collections::BTreeMap;

use serde_json::json;
use utoipa::ToSchema;
use utoipa::openapi::schema::Schema;

use super::super::answer::schema;

/// What a phone shows: a title, a body or both. In campaigns and sends, `title`, `body`, `translations`, `data`,
/// `image`, `link` and `apns.subtitle` are templates (Jinja): `{{ device.attributes.name | default("you") }}`. There is
/// `device` (`id`, `attributes`, `tags`, `locale`, `platform`, `app`) and, by what caused the push, `zone` (`id`,
/// `external_id`, `name`, `metadata`, `tags`), `transition` (`kind`, `at`, `dwell_s`) and `event` (`name`,
/// `properties`). What is missing and has no default suppresses the push, with the reason `template`.
#[derive(ToSchema)]
#[schema(as = Message)]
#[allow(dead_code, reason = "it describes what the model's type says in JSON")]
pub(crate) struct MessageAnswer {
    #[schema(required = false)]
    title: String,
    #[schema(required = false)]
    body: String,
    /// For the app: strings by name.
    #[schema(required = false)]
    data: BTreeMap<String, String>,
    /// Title and body in other languages, by BCP 47 tag. A device gets those of its locale, or else of its locale
    /// without region and so on, or else `title` and `body`.
    #[schema(required = false)]
    translations: BTreeMap<String, TextAnswer>,
    /// The address of a picture: `https://…`.
    #[schema(max_length = 2048, required = false)]
    image: Option<String>,
    /// What a tap opens: an address with its scheme.
    #[schema(max_length = 2048, required = false)]
    link: Option<String>,
    /// For so many seconds after the decision it is worth sending; left out: as the deployment says.
    #[schema(minimum = 1, maximum = 2_419_200, required = false)]
    ttl_s: Option<i64>,
    /// For the reports of FCM.
    #[schema(pattern = "^[a-zA-Z0-9\\-_.~%]{1,50}$", required = false)]
    analytics_label: Option<String>,
    #[schema(required = false)]
    android: AndroidAnswer,
    #[schema(required = false)]
    apns: ApnsAnswer,
    #[schema(required = false)]
    webpush: WebpushAnswer,
}

/// Title and body in one language.
#[derive(ToSchema)]
#[schema(as = Translation)]
#[allow(dead_code, reason = "it describes what the model's type says in JSON")]
struct TextAnswer {
    #[schema(required = false)]
    title: String,
    #[schema(required = false)]
    body: String,
}

/// For Android alone.
#[derive(ToSchema)]
#[schema(as = AndroidOptions, example = json!({"channel_id": "offers", "collapse_key": "offer", "color": "#ff6600"}))]
#[allow(dead_code, reason = "it describes what the model's type says in JSON")]
struct AndroidAnswer {
    /// Whether a sleeping phone is woken at once (`high`, the default) or the push waits until it wakes (`normal`).
    #[schema(schema_with = android_priority, required = false)]
    priority: &'static str,
    /// Of messages with the same key only the last waits for a phone that is off.
    #[schema(min_length = 1, max_length = 64, required = false)]
    collapse_key: Option<String>,
    /// The notification channel.
    #[schema(min_length = 1, max_length = 256, required = false)]
    channel_id: Option<String>,
    /// Whether the app gets it before the phone is unlocked for the first time.
    #[schema(required = false)]
    direct_boot_ok: bool,
    /// A sound of the app, or `default`.
    #[schema(min_length = 1, max_length = 256, required = false)]
    sound: Option<String>,
    /// A picture of the app, by name.
    #[schema(min_length = 1, max_length = 256, required = false)]
    icon: Option<String>,
    /// `#rrggbb`
    #[schema(pattern = "^#[0-9a-fA-F]{6}$", required = false)]
    color: Option<String>,
}

/// For Apple's devices alone, as far as they are sent to by APNs or by FCM.
#[derive(ToSchema)]
#[schema(as = ApnsOptions, example = json!({"sound": "default", "interruption_level": "time-sensitive"}))]
#[allow(dead_code, reason = "it describes what the model's type says in JSON")]
struct ApnsAnswer {
    /// `alert`, the default; or `background`, which wakes the app and shows nothing.
    #[schema(schema_with = push_type, required = false)]
    push_type: &'static str,
    /// The number on the app's icon; 0 removes it.
    #[schema(minimum = 0, required = false)]
    badge: Option<u32>,
    /// A sound of the app, or `default`.
    #[schema(min_length = 1, max_length = 256, required = false)]
    sound: Option<String>,
    /// Notifications of one thread are grouped.
    #[schema(min_length = 1, max_length = 256, required = false)]
    thread_id: Option<String>,
    /// Which actions it has.
    #[schema(min_length = 1, max_length = 256, required = false)]
    category: Option<String>,
    /// Between title and body.
    #[schema(min_length = 1, max_length = 2048, required = false)]
    subtitle: Option<String>,
    /// Whether an extension of the app may change it.
    #[schema(required = false)]
    mutable_content: bool,
    /// How much it may interrupt.
    #[schema(schema_with = level, required = false)]
    interruption_level: Option<&'static str>,
    /// Left out: 10, and 5 in the background.
    #[schema(schema_with = apns_priority, required = false)]
    priority: Option<u32>,
    /// Notifications with the same id replace one another; left out: each has its own.
    #[schema(min_length = 1, max_length = 64, required = false)]
    collapse_id: Option<String>,
}

/// For browsers alone.
#[derive(ToSchema)]
#[schema(as = WebpushOptions, example = json!({"urgency": "high"}))]
#[allow(dead_code, reason = "it describes what the model's type says in JSON")]
struct WebpushAnswer {
    /// RFC 8030, section 5.3.
    #[schema(schema_with = urgency, required = false)]
    urgency: Option<&'static str>,
    /// The address of a picture: `https://…`.
    #[schema(max_length = 2048, required = false)]
    icon: Option<String>,
}

fn android_priority() -> Schema {
    schema(json!({"type": "string", "enum": ["high", "normal"]}))
}

fn push_type() -> Schema {
    schema(json!({"type": "string", "enum": ["alert", "background"]}))
}

fn level() -> Schema {
    let levels = json!(["passive", "active", "time-sensitive", "critical", null]);
    schema(json!({"type": ["string", "null"], "enum": levels}))
}

fn apns_priority() -> Schema {
    schema(json!({"type": ["integer", "null"], "enum": [10, 5, 1, null]}))
}

fn urgency() -> Schema {
    schema(json!({"type": ["string", "null"], "enum": ["very-low", "low", "normal", "high", null]}))
}
