//! A campaign as a merchant writes it.

use geopush_campaign::{MAX_VARIANTS, check_variants};
use geopush_model::{Campaign, CampaignId, Hours, Message, TenantId, Trigger, UnixMillis, Variant};
use geopush_service::http::Invalid;
use serde_json::Value;

use super::audience::read_audience;
use super::message::{message_of, read_message, told, unchecked, wrong_templates};
use super::trigger::trigger_of;
use crate::apps;
use crate::hours::hours_of;
use crate::json::Members;

/// What a merchant may say of a campaign.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct CampaignInput {
    name: String,
    app: String,
    trigger: Trigger,
    starts_at: Option<UnixMillis>,
    ends_at: Option<UnixMillis>,
    hours: Option<Hours>,
    cooldown_s: i64,
    ignores_caps: bool,
    ignores_quiet_hours: bool,
    audience: Option<Value>,
    holdout_percent: u32,
    message: Message,
    variants: Vec<Variant>,
}

/// Members of an answer that a request may send back.
const READ_ONLY: [&str; 5] = ["id", "status", "version", "created_at", "updated_at"];
const MOST_NAME: usize = 256;
const MOST_WEIGHT: i64 = 1_000;
/// The longest cooldown and age: a year.
pub(super) const YEAR_S: i64 = 31_536_000;

impl CampaignInput {
    /// Reads a campaign.
    pub fn read(body: Value) -> Result<Self, Vec<Invalid>> {
        let mut members = Members::of(body, "")?;
        let name = members.require("name", |m, name| m.text(name, MOST_NAME));
        let app = members.require("app", read_app);
        let trigger = members.require("trigger", |m, name| m.nested(name, trigger_of));
        let [starts_at, ends_at] = read_dates(&mut members);
        let hours = members.nested("hours", hours_of);
        let cooldown_s = members.whole("cooldown_s", 0..=YEAR_S).unwrap_or(0);
        let ignores_caps = members.flag("ignores_caps").unwrap_or(false);
        let ignores_quiet_hours = members.flag("ignores_quiet_hours").unwrap_or(false);
        let audience = read_audience(&mut members);
        let holdout_percent = members.whole("holdout_percent", 0..=100).unwrap_or(0);
        let compares = members.has_elements("variants");
        let variants = read_variants(&mut members);
        let message = if compares {
            Some(members.nested("message", message_of).unwrap_or_default())
        } else {
            read_message(&mut members)
        };
        members.finish(&READ_ONLY)?;
        match (name, app, trigger, message) {
            (Some(name), Some(app), Some(trigger), Some(message)) => Ok(Self {
                name,
                app,
                trigger,
                starts_at,
                ends_at,
                hours,
                cooldown_s,
                ignores_caps,
                ignores_quiet_hours,
                audience,
                holdout_percent: u32::try_from(holdout_percent).unwrap_or_default(),
                message,
                variants,
            }),
            _ => unreachable!("a member that is required and missing was noted, and finish refuses then"),
        }
    }

    /// The first version of a campaign that says this.
    pub fn into_campaign(self, tenant: TenantId, id: CampaignId, now: UnixMillis) -> Campaign {
        let draft = Campaign::draft(tenant, id, &self.app, self.trigger, self.message, now);
        Campaign {
            name: self.name,
            starts_at: self.starts_at,
            ends_at: self.ends_at,
            hours: self.hours,
            cooldown_s: self.cooldown_s,
            ignores_caps: self.ignores_caps,
            ignores_quiet_hours: self.ignores_quiet_hours,
            audience: self.audience,
            holdout_percent: self.holdout_percent,
            variants: self.variants,
            ..draft
        }
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

fn read_dates(members: &mut Members) -> [Option<UnixMillis>; 2] {
    let dates = ["starts_at", "ends_at"].map(|name| members.time(name));
    if let [Some(starts_at), Some(ends_at)] = dates
        && ends_at <= starts_at
    {
        members.fail("ends_at", "out_of_range", "give a time after starts_at");
    }
    dates
}

fn read_variants(members: &mut Members) -> Vec<Variant> {
    let variants = members.list("variants", MAX_VARIANTS, variant_of).unwrap_or_default();
    let at = members.pointer("variants");
    members.fail_all(told(check_variants(&variants), &at));
    for (i, variant) in variants.iter().enumerate() {
        members.fail_all(wrong_templates(&variant.message, &format!("{at}/{i}/message")));
    }
    variants
}

fn variant_of(value: Value, at: &str) -> Result<Variant, Vec<Invalid>> {
    let mut members = Members::of(value, at)?;
    let name = members.require("name", |m, name| m.text(name, MOST_NAME));
    let weight = members.require("weight", |m, name| m.whole(name, 1..=MOST_WEIGHT));
    let message = members.require("message", |m, name| m.nested(name, unchecked));
    members.finish(&[])?;
    match (name, weight, message) {
        (Some(name), Some(weight), Some(message)) => {
            Ok(Variant { name, weight: u32::try_from(weight).unwrap_or_default(), message })
        }
        _ => unreachable!("a member that is required and missing was noted, and finish refuses then"),
    }
}
