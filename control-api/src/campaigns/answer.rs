//! A campaign as the API tells it, and as the OpenAPI document describes it.

use geopush_model::{Campaign, Hours, Message, Trigger, Variant};
use geopush_service::time::format_rfc3339_ms;
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;
use utoipa::openapi::schema::Schema;
use uuid::Uuid;

use super::audience::AudienceAnswer;
use super::message::MessageAnswer;
use super::trigger::TriggerAnswer;
use crate::hours::time_schema;

/// A campaign. What is read only may be sent back in a request and is ignored there.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Campaign, example = example)]
pub(crate) struct CampaignAnswer {
    #[schema(read_only)]
    id: Uuid,
    /// For people.
    #[schema(min_length = 1, max_length = 256)]
    name: String,
    /// The app that its pushes go to.
    #[schema(min_length = 1, max_length = 64)]
    app: String,
    /// `draft`, `active` or `paused`; changed by `activate` and `pause`.
    #[schema(read_only)]
    status: &'static str,
    #[schema(value_type = TriggerAnswer)]
    trigger: Trigger,
    /// It pushes from this time on (RFC 3339); `null`: from its activation on.
    #[schema(format = DateTime, required = false)]
    starts_at: Option<String>,
    /// It pushes before this time (RFC 3339); `null`: for ever.
    #[schema(format = DateTime, required = false)]
    ends_at: Option<String>,
    /// The hours of the device's own clock in which it pushes; `null`: all.
    #[schema(value_type = Option<HoursAnswer>, required = false)]
    hours: Option<Hours>,
    /// The least time between two pushes to one device, in seconds.
    #[schema(minimum = 0, maximum = 31_536_000, required = false)]
    cooldown_s: i64,
    /// Whether it pushes whatever the tenant's caps say; its pushes count towards them all the same.
    #[schema(required = false)]
    ignores_caps: bool,
    /// Whether it pushes in the tenant's quiet hours.
    #[schema(required = false)]
    ignores_quiet_hours: bool,
    /// To whom; `null` or left out: everyone.
    #[schema(value_type = Option<AudienceAnswer>, required = false)]
    audience: Option<Value>,
    /// So many of a hundred devices get nothing, to compare with.
    #[schema(minimum = 0, maximum = 100, required = false)]
    holdout_percent: u32,
    /// What; may be left out where there are variants, and is `null` then.
    #[schema(value_type = Option<MessageAnswer>, required = false)]
    message: Option<Message>,
    /// Instead of `message`, each device always gets the same one of these; empty: `message`.
    #[schema(value_type = Vec<VariantAnswer>, max_items = 10, required = false)]
    variants: Vec<Variant>,
    /// Counts its changes; its ETag.
    #[schema(read_only)]
    version: i64,
    /// When it was made (RFC 3339).
    #[schema(read_only, format = DateTime)]
    created_at: String,
    /// When it was changed last (RFC 3339).
    #[schema(read_only, format = DateTime)]
    updated_at: String,
}

/// When in a week a campaign pushes.
#[derive(ToSchema)]
#[schema(as = Hours)]
#[allow(dead_code, reason = "it describes what the model's type says in JSON")]
struct HoursAnswer {
    /// From this time of the day on, as `HH:MM`.
    #[schema(schema_with = time_schema)]
    from: String,
    /// Until then, itself excluded; a time that is not after `from` is of the next day.
    #[schema(schema_with = time_schema)]
    to: String,
    /// On these days; left out or empty: on all. Hours past midnight belong to the day that they began on.
    #[schema(schema_with = weekdays_schema, required = false)]
    weekdays: Vec<&'static str>,
}

/// One of several messages that a campaign compares.
#[derive(ToSchema)]
#[schema(as = Variant)]
#[allow(dead_code, reason = "it describes what the model's type says in JSON")]
struct VariantAnswer {
    /// What deliveries call it; each its own.
    #[schema(min_length = 1, max_length = 64)]
    name: String,
    /// Its share is its weight over the sum of all.
    #[schema(minimum = 1, maximum = 1000)]
    weight: u32,
    message: MessageAnswer,
}

fn weekdays_schema() -> Schema {
    let day = json!({"type": "string", "enum": ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]});
    schema(json!({"type": "array", "items": day, "maxItems": 7}))
}

pub(super) fn schema(json: Value) -> Schema {
    serde_json::from_value(json).expect("this is a schema")
}

fn example() -> Value {
    json!({
        "name": "Welcome",
        "app": "shop",
        "trigger": {"type": "zone", "on": "enter", "zone_tags": ["shops"]},
        "starts_at": "2026-03-01T00:00:00Z",
        "ends_at": "2026-06-01T00:00:00Z",
        "hours": {"from": "09:00", "to": "21:00", "weekdays": ["mon", "tue", "wed", "thu", "fri", "sat"]},
        "cooldown_s": 86_400,
        "audience": {"all": [{"tag": "vip"}, {"attr": "plan", "op": "eq", "value": "gold"}]},
        "holdout_percent": 5,
        "message": {
            "title": "Hello {{ device.attributes.name | default(\"you\") }}",
            "body": "Good to see you again at {{ zone.name }}",
            "data": {"screen": "offers"},
            "translations": {"es": {"title": "Hola", "body": "Qué bien verte de nuevo en {{ zone.name }}"}},
            "link": "shop://offers",
            "ttl_s": 3600,
            "android": {"channel_id": "offers"},
            "apns": {"sound": "default", "interruption_level": "active"}
        }
    })
}

impl From<Campaign> for CampaignAnswer {
    fn from(campaign: Campaign) -> Self {
        let has_message = campaign.variants.is_empty() || campaign.message != Message::default();
        let message = has_message.then_some(campaign.message);
        Self {
            id: campaign.id.0,
            name: campaign.name,
            app: campaign.app,
            status: campaign.status.as_str(),
            trigger: campaign.trigger,
            starts_at: campaign.starts_at.map(|at| format_rfc3339_ms(at.0)),
            ends_at: campaign.ends_at.map(|at| format_rfc3339_ms(at.0)),
            hours: campaign.hours,
            cooldown_s: campaign.cooldown_s,
            ignores_caps: campaign.ignores_caps,
            ignores_quiet_hours: campaign.ignores_quiet_hours,
            audience: campaign.audience,
            holdout_percent: campaign.holdout_percent,
            message,
            variants: campaign.variants,
            version: campaign.version,
            created_at: format_rfc3339_ms(campaign.created_at.0),
            updated_at: format_rfc3339_ms(campaign.updated_at.0),
        }
    }
}
