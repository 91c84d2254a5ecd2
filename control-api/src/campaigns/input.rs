//! A campaign as a merchant writes it.

use std::collections::BTreeMap;

use geopush_campaign::{Audience, check_message};
use geopush_model::{
    Campaign, CampaignId, Message, TenantId, Trigger, TriggerKind, UnixMillis, ZoneChoice, ZoneId,
    ZoneTrigger,
};
use geopush_service::http::Invalid;
use serde_json::{Map, Value};

use crate::apps;
use crate::json::{Members, invalid};

/// What a merchant may say of a campaign.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct CampaignInput {
    name: String,
    app: String,
    trigger: Trigger,
    cooldown_s: i64,
    audience: Option<Value>,
    message: Message,
}

/// Members of an answer that a request may send back.
const READ_ONLY: [&str; 5] = ["id", "status", "version", "created_at", "updated_at"];
const MOST_NAME: usize = 256;
const MOST_ZONES: usize = 1_000;
const MOST_TAGS: usize = 50;
const MOST_TAG: usize = 64;
/// The longest cooldown and age: a year.
const YEAR_S: i64 = 31_536_000;

impl CampaignInput {
    /// Reads a campaign.
    pub fn read(body: Value) -> Result<Self, Vec<Invalid>> {
        let mut members = Members::of(body, "")?;
        let name = members.require("name", |m, name| m.text(name, MOST_NAME));
        let app = members.require("app", read_app);
        let trigger = members.require("trigger", |m, name| {
            let trigger = m.take(name)?;
            let at = m.pointer(name);
            read_trigger(trigger, &at).map_err(|errors| m.fail_all(errors)).ok()
        });
        let cooldown_s = members.whole("cooldown_s", 0..=YEAR_S).unwrap_or(0);
        let audience = members.take("audience");
        if let Some(Err(errors)) = audience.as_ref().map(Audience::from_json) {
            let at = members.pointer("audience");
            let told = |e: geopush_campaign::AudienceError| Invalid {
                pointer: format!("{at}{}", e.pointer),
                code: e.code.as_str(),
                detail: e.detail,
            };
            members.fail_all(errors.into_iter().map(told));
        }
        let message = read_message(&mut members);
        members.finish(&READ_ONLY)?;
        match (name, app, trigger, message) {
            (Some(name), Some(app), Some(trigger), Some(message)) => {
                Ok(Self { name, app, trigger, cooldown_s, audience, message })
            }
            _ => unreachable!("a member that is required and missing was noted, and finish refuses then"),
        }
    }

    /// The first version of a campaign that says this.
    pub fn into_campaign(self, tenant: TenantId, id: CampaignId, now: UnixMillis) -> Campaign {
        let Self { name, app, trigger, cooldown_s, audience, message } = self;
        let draft = Campaign::draft(tenant, id, &app, trigger, message, now);
        Campaign { name, cooldown_s, audience, ..draft }
    }
}

/// Reads the name of an app.
pub(crate) fn read_app(members: &mut Members, name: &str) -> Option<String> {
    let app = members.text(name, 64)?;
    if apps::is_name(&app) {
        return Some(app);
    }
    members.fail(name, "invalid_value", "give 1 to 64 of A-Z, a-z, 0-9, `.`, `_` and `-`");
    None
}

fn read_trigger(trigger: Value, at: &str) -> Result<Trigger, Vec<Invalid>> {
    let mut members = Members::of(trigger, at)?;
    members.require("type", |m, name| {
        let kind = m.text(name, 64)?;
        if kind != "zone" {
            m.fail(name, "invalid_value", "give \"zone\"");
        }
        Some(())
    });
    let on = members.require("on", |m, name| {
        let on = TriggerKind::parse(&m.text(name, 64)?);
        if on.is_none() {
            m.fail(name, "invalid_value", "give enter, exit or dwell");
        }
        on
    });
    let mut zone_ids = Vec::new();
    for (i, id) in members.texts("zone_ids", MOST_ZONES, 64).unwrap_or_default().iter().enumerate() {
        match id.parse::<ZoneId>() {
            Ok(id) => zone_ids.push(id),
            Err(_) => {
                let pointer = format!("{}/{i}", members.pointer("zone_ids"));
                members.fail_all([invalid(&pointer, "invalid_value", "a zone's id is a UUID")]);
            }
        }
    }
    let zone_tags = members.texts("zone_tags", MOST_TAGS, MOST_TAG).unwrap_or_default();
    let said = members.has("max_age_s");
    let max_age_s = members.whole("max_age_s", 0..=YEAR_S);
    let on_initial = members.flag("on_initial").unwrap_or(false);
    members.finish(&[])?;
    let max_age_s = if said { max_age_s } else { Some(Trigger::DEFAULT_MAX_AGE_S) };
    match on {
        Some(on) => {
            let zones = ZoneChoice { zone_ids, zone_tags };
            Ok(Trigger::Zone(ZoneTrigger { on, zones, max_age_s, on_initial }))
        }
        None => unreachable!("a member that is required and missing was noted, and finish refuses then"),
    }
}

/// Reads the required member `message`.
pub(crate) fn read_message(members: &mut Members) -> Option<Message> {
    members.require("message", |m, name| {
        let message = m.take(name)?;
        let at = m.pointer(name);
        message_of(message, &at).map_err(|errors| m.fail_all(errors)).ok()
    })
}

fn message_of(message: Value, at: &str) -> Result<Message, Vec<Invalid>> {
    let mut members = Members::of(message, at)?;
    let title = read_text(&mut members, "title");
    let body = read_text(&mut members, "body");
    let mut data = BTreeMap::new();
    for (key, value) in members.object("data", usize::MAX).unwrap_or_else(Map::new) {
        match value {
            Value::String(text) => {
                data.insert(key, text);
            }
            _ => {
                let pointer = format!("{at}/data/{}", key.replace('~', "~0").replace('/', "~1"));
                members.fail_all([invalid(
                    &pointer,
                    "wrong_type",
                    "give a string; providers carry nothing else",
                )]);
            }
        }
    }
    members.finish(&[])?;
    let told = |e: geopush_campaign::MessageError| Invalid {
        pointer: format!("{at}{}", e.pointer),
        code: e.code.as_str(),
        detail: e.detail,
    };
    let message = Message { title, body, data, ..Message::default() };
    let wrong: Vec<Invalid> = check_message(&message).into_iter().map(told).collect();
    if wrong.is_empty() { Ok(message) } else { Err(wrong) }
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
