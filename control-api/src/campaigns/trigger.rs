//! What makes a campaign push, as merchants write it.

use geopush_campaign::Schedule;
use geopush_model::{Trigger, TriggerKind, ZoneChoice, ZoneId, ZoneTrigger};
use geopush_service::http::Invalid;
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;
use utoipa::openapi::schema::Schema;
use uuid::Uuid;

use super::answer::schema;
use super::input::YEAR_S;
use crate::json::{Members, invalid};

const MOST_ZONES: usize = 1_000;
const MOST_TAGS: usize = 50;
const MOST_TAG: usize = 64;
const MOST_CRON: usize = 256;
/// The longest name of an event, in bytes.
pub(crate) const MOST_EVENT_NAME: usize = 64;
/// Visits are kept for 90 days; an absence must be seen while the visit before it still is.
const MOST_DAYS: i64 = 88;

const KINDS: [(&str, TriggerKind); 3] =
    [("enter", TriggerKind::Enter), ("exit", TriggerKind::Exit), ("dwell", TriggerKind::Dwell)];

/// The triggers that there are.
#[derive(Clone, Copy)]
enum Form {
    Zone,
    Schedule,
    Absence,
    Event,
}

const FORMS: [(&str, Form); 4] =
    [("zone", Form::Zone), ("schedule", Form::Schedule), ("absence", Form::Absence), ("event", Form::Event)];

/// Reads a trigger.
pub(super) fn trigger_of(trigger: Value, at: &str) -> Result<Trigger, Vec<Invalid>> {
    let mut members = Members::of(trigger, at)?;
    let said = members.has("type");
    let form = members.require("type", |m, name| m.choice(name, &FORMS));
    let trigger = match form {
        Some(Form::Zone) => zone(&mut members),
        Some(Form::Schedule) => schedule(&mut members),
        Some(Form::Absence) => absence(&mut members),
        Some(Form::Event) => event(&mut members),
        None if said => return Err(members.finish_open().err().unwrap_or_default()),
        // Most are of zones: so all that such a one misses is told at once.
        None => zone(&mut members),
    };
    members.finish(&[])?;
    match trigger {
        Some(trigger) => Ok(trigger),
        None => unreachable!("a member that is required and missing was noted, and finish refuses then"),
    }
}

fn zone(members: &mut Members) -> Option<Trigger> {
    let on = members.require("on", |m, name| m.choice(name, &KINDS));
    let zones = read_zones(members);
    let max_age_s = read_max_age(members);
    let on_initial = members.flag("on_initial").unwrap_or(false);
    Some(Trigger::Zone(ZoneTrigger { on: on?, zones, max_age_s, on_initial }))
}

fn schedule(members: &mut Members) -> Option<Trigger> {
    let cron = members.require("cron", |m, name| m.text(name, MOST_CRON))?;
    if let Err(error) = Schedule::parse(&cron) {
        members.fail("cron", "invalid_schedule", error.to_string());
    }
    Some(Trigger::Schedule { cron })
}

fn absence(members: &mut Members) -> Option<Trigger> {
    let days = members.require("days", |m, name| m.whole(name, 1..=MOST_DAYS));
    let zones = read_zones(members);
    Some(Trigger::Absence { days: u32::try_from(days?).ok()?, zones })
}

fn event(members: &mut Members) -> Option<Trigger> {
    let name = members.require("name", |m, name| m.text(name, MOST_EVENT_NAME));
    let max_age_s = read_max_age(members);
    Some(Trigger::Event { name: name?, max_age_s })
}

fn read_zones(members: &mut Members) -> ZoneChoice {
    let id = |value: Value, at: &str| {
        let id = value.as_str().and_then(|text| text.parse::<ZoneId>().ok());
        id.ok_or_else(|| vec![invalid(at, "invalid_value", "a zone's id is a UUID")])
    };
    let mut zone_ids = members.list("zone_ids", MOST_ZONES, id).unwrap_or_default();
    let mut seen = std::collections::HashSet::new();
    zone_ids.retain(|id| seen.insert(*id));
    let zone_tags = members.texts("zone_tags", MOST_TAGS, MOST_TAG).unwrap_or_default();
    ZoneChoice { zone_ids, zone_tags }
}

/// Left out is the default; `null` is however old.
fn read_max_age(members: &mut Members) -> Option<i64> {
    if members.has("max_age_s") {
        members.whole("max_age_s", 0..=YEAR_S)
    } else {
        Some(Trigger::DEFAULT_MAX_AGE_S)
    }
}

/// What makes a campaign push.
#[derive(Serialize, ToSchema)]
#[schema(as = Trigger)]
#[serde(untagged)]
#[allow(dead_code, reason = "it describes what the model's type says in JSON")]
pub(super) enum TriggerAnswer {
    Zone(ZoneTriggerAnswer),
    Schedule(ScheduleTriggerAnswer),
    Absence(AbsenceTriggerAnswer),
    Event(EventTriggerAnswer),
}

/// A device comes into a zone, leaves it or stays there. With neither `zone_ids` nor `zone_tags`: every zone.
#[derive(Serialize, ToSchema)]
#[schema(as = ZoneTrigger)]
#[allow(dead_code, reason = "it describes what the model's type says in JSON")]
pub(super) struct ZoneTriggerAnswer {
    #[schema(schema_with = zone_type)]
    r#type: &'static str,
    /// What a device does there.
    #[schema(schema_with = on_schema)]
    on: &'static str,
    /// These zones.
    #[schema(max_items = 1000, required = false)]
    zone_ids: Vec<Uuid>,
    /// And those with any of these tags.
    #[schema(max_items = 50, required = false)]
    zone_tags: Vec<String>,
    /// Older transitions are not pushed about, in seconds; left out: 900; `null`: however old.
    #[schema(minimum = 0, maximum = 31_536_000, required = false)]
    max_age_s: Option<i64>,
    /// Whether the enters at a device's first position count; left out: they do not.
    #[schema(required = false)]
    on_initial: bool,
}

/// Times of the tenant's clock (see the settings' `timezone`): to everyone of the audience. A time that a clock skips
/// when it is put forward is due when it has been; one that comes twice is due the first time.
#[derive(Serialize, ToSchema)]
#[schema(as = ScheduleTrigger, example = json!({"type": "schedule", "cron": "0 10 * * MON-FRI"}))]
#[allow(dead_code, reason = "it describes what the model's type says in JSON")]
pub(super) struct ScheduleTriggerAnswer {
    #[schema(schema_with = schedule_type)]
    r#type: &'static str,
    /// Cron's five fields: minute, hour, day of the month, month, day of the week.
    #[schema(min_length = 9, max_length = 256)]
    cron: String,
}

/// A device has been in none of the zones for so long, after it was in one; once an absence, and looked for once a
/// day. With neither `zone_ids` nor `zone_tags`: every zone.
#[derive(Serialize, ToSchema)]
#[schema(as = AbsenceTrigger, example = json!({"type": "absence", "days": 30, "zone_tags": ["shops"]}))]
#[allow(dead_code, reason = "it describes what the model's type says in JSON")]
pub(super) struct AbsenceTriggerAnswer {
    #[schema(schema_with = absence_type)]
    r#type: &'static str,
    /// So many times 24 hours.
    #[schema(minimum = 1, maximum = 88)]
    days: u32,
    /// These zones.
    #[schema(max_items = 1000, required = false)]
    zone_ids: Vec<Uuid>,
    /// And those with any of these tags.
    #[schema(max_items = 50, required = false)]
    zone_tags: Vec<String>,
}

/// An event of a device, told by `POST /v1/events`.
#[derive(Serialize, ToSchema)]
#[schema(as = EventTrigger, example = json!({"type": "event", "name": "order_shipped"}))]
#[allow(dead_code, reason = "it describes what the model's type says in JSON")]
pub(super) struct EventTriggerAnswer {
    #[schema(schema_with = event_type)]
    r#type: &'static str,
    /// What it is called.
    #[schema(min_length = 1, max_length = 64)]
    name: String,
    /// Older events are not pushed about, in seconds; left out: 900; `null`: however old.
    #[schema(minimum = 0, maximum = 31_536_000, required = false)]
    max_age_s: Option<i64>,
}

fn zone_type() -> Schema {
    schema(json!({"type": "string", "enum": ["zone"]}))
}

fn schedule_type() -> Schema {
    schema(json!({"type": "string", "enum": ["schedule"]}))
}

fn absence_type() -> Schema {
    schema(json!({"type": "string", "enum": ["absence"]}))
}

fn event_type() -> Schema {
    schema(json!({"type": "string", "enum": ["event"]}))
}

fn on_schema() -> Schema {
    schema(json!({"type": "string", "enum": ["enter", "exit", "dwell"]}))
}
