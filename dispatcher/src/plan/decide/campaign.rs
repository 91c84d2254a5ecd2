//! What is decided for one campaign.

use std::cell::OnceCell;

use geopush_campaign::{AudienceDevice, Visits, is_held_out, is_within_hours, variant_of};
use geopush_model::{
    Campaign, CampaignId, CauseId, DeviceId, Origin, PlanState, Reason, Source, TenantId, Trigger,
    UnixMillis, ZoneChoice,
};
use geopush_registry::{Device, Platform};
use jiff::tz::TimeZone;

use super::case::{Address, Case, address};
use super::context::CauseContext;
use super::quiet::{self, Quiet};
use super::{Decision, Facts, caps};
use crate::plan::index::{Planned, PlannedAudience};

/// With more cooldowns or absences than this, those that no longer matter go.
const UNPRUNED: usize = 32;
const DAY_MS: i64 = 24 * 60 * 60 * 1_000;

/// What happened, whatever it was.
pub(super) struct Happening<'a> {
    pub(super) tenant: TenantId,
    pub(super) device: &'a DeviceId,
    pub(super) cause: CauseId,
    pub(super) at: UnixMillis,
    pub(super) received_at: Option<UnixMillis>,
    /// When it was first decided to hold it.
    pub(super) held_at: Option<UnixMillis>,
    pub(super) context: CauseContext<'a>,
}

/// Where the way to a push ended.
pub(super) enum Refused {
    Because(Reason),
    Until(UnixMillis),
}

impl From<Reason> for Refused {
    fn from(reason: Reason) -> Self {
        Self::Because(reason)
    }
}

pub(super) fn decide<V: Visits>(
    state: &mut PlanState,
    planned: &Planned,
    happening: &Happening<'_>,
    device: Option<&Device>,
    facts: &Facts<'_, V>,
) -> Decision {
    let campaign = &planned.campaign;
    let variant = variant_of(campaign, happening.device);
    let origin = Origin { source: Source::Campaign(campaign.id), cause: happening.cause };
    let case = Case {
        tenant: happening.tenant,
        device: happening.device,
        origin,
        app: &campaign.app,
        variant: variant.map(|(_, variant)| variant.name.as_str()),
        received_at: happening.received_at,
    };
    let (device, address) = match way(state, planned, happening, device, facts) {
        Ok(found) => found,
        Err(Refused::Until(until)) => return quiet::hold(state, origin, happening, until, facts, None),
        // Who is held out is in no variant.
        Err(Refused::Because(reason @ Reason::Holdout)) => {
            return Case { variant: None, ..case }.suppressed(reason, facts.now);
        }
        Err(Refused::Because(reason)) => return case.suppressed(reason, facts.now),
    };
    let message = variant.map_or(&planned.message, |(i, _)| &planned.variants[i]);
    let decision = case.pushed(address, message, device, &happening.context, facts);
    if matches!(decision, Decision::Push(_)) {
        cool_down(state, campaign, happening.at, facts);
        caps::count(&mut state.pushed_at, facts.settings.caps, facts.now);
    }
    decision
}

/// Everything that may stand between a campaign and a push, in the order in which it is told.
fn way<'d, V: Visits>(
    state: &mut PlanState,
    planned: &Planned,
    happening: &Happening<'_>,
    device: Option<&'d Device>,
    facts: &Facts<'_, V>,
) -> Result<(&'d Device, Address), Refused> {
    let campaign = &planned.campaign;
    // The time that it was held does not make it stale: that was chosen.
    let age_ms = happening.held_at.unwrap_or(facts.now).since_ms(happening.at);
    if campaign.trigger.max_age_s().is_some_and(|s| age_ms > s.saturating_mul(1_000)) {
        return Err(Reason::Stale.into());
    }
    let device = device.ok_or(Reason::NoDevice)?;
    let clock = OnceCell::new();
    let clock = || clock.get_or_init(|| quiet::clock_of(Some(device), facts.settings));
    if !is_open(campaign, facts.now, clock) {
        return Err(Reason::Hours.into());
    }
    if !is_in_audience(planned, device, happening.at, facts.visits) {
        return Err(Reason::Audience.into());
    }
    let address = address(device, &campaign.app, facts)?;
    if is_cooling_down(state, campaign, happening.at) {
        return Err(Reason::Cooldown.into());
    }
    if is_held_out(campaign, happening.device) {
        // As if it had been pushed to, so that both groups are asked as often.
        cool_down(state, campaign, happening.at, facts);
        return Err(Reason::Holdout.into());
    }
    if !campaign.ignores_caps && caps::are_reached(&state.pushed_at, facts.settings.caps, facts.now) {
        return Err(Reason::Capped.into());
    }
    if !campaign.ignores_quiet_hours {
        match quiet::is_quiet(state, happening.held_at, facts, clock) {
            Quiet::No => {}
            Quiet::Drop => return Err(Reason::QuietHours.into()),
            Quiet::Until(until) => return Err(Refused::Until(until)),
        }
    }
    Ok((device, address))
}

/// Whether the campaign pushes at this time, by its dates and its hours.
fn is_open<'c>(campaign: &Campaign, now: UnixMillis, clock: impl Fn() -> &'c TimeZone) -> bool {
    campaign.starts_at.is_none_or(|at| at <= now)
        && campaign.ends_at.is_none_or(|at| now < at)
        && campaign.hours.as_ref().is_none_or(|hours| is_within_hours(hours, now, clock()))
}

/// Visits count back from what happened: an hour late, the same people are meant.
fn is_in_audience(planned: &Planned, device: &Device, at: UnixMillis, visits: &impl Visits) -> bool {
    match &planned.audience {
        PlannedAudience::Everyone => true,
        PlannedAudience::Unreadable => false,
        PlannedAudience::Of(audience) => {
            let device = AudienceDevice {
                attributes: &device.attributes,
                tags: &device.tags,
                platform: device.platform.map(Platform::as_str),
                locale: device.locale.as_deref(),
                app: device.app.as_deref(),
            };
            audience.matches(&device, at, visits)
        }
    }
}

/// Whether a run of a campaign is for the device: others of the tenant's are not asked for, and get no delivery.
///
/// An absence is decided on once, be it to push or not; a device that never came is not absent.
pub(super) fn is_meant(
    state: &mut PlanState,
    planned: &Planned,
    device: &Device,
    at: UnixMillis,
    visits: &impl Visits,
) -> bool {
    if !is_in_audience(planned, device, at, visits) {
        return false;
    }
    let Trigger::Absence { days, zones } = &planned.campaign.trigger else { return true };
    let Some(last) = last_visit(zones, visits) else { return false };
    let id = planned.campaign.id;
    if at.since_ms(last) < i64::from(*days).saturating_mul(DAY_MS) || state.absences.get(&id) == Some(&last) {
        return false;
    }
    state.absences.insert(id, last);
    if state.absences.len() > UNPRUNED
        && let Some(oldest) = state.absences.iter().min_by_key(|(_, last)| **last).map(|(id, _)| *id)
    {
        state.absences.remove(&oldest);
    }
    true
}

fn last_visit(zones: &ZoneChoice, visits: &impl Visits) -> Option<UnixMillis> {
    if zones.is_any() {
        return visits.last_visit_anywhere();
    }
    let of_zones = zones.zone_ids.iter().map(|zone| visits.last_visit(*zone));
    of_zones.chain(zones.zone_tags.iter().map(|tag| visits.last_visit_tagged(tag))).max().flatten()
}

/// Whether the campaign's last push is too near. Fix times may go back when a device was forgotten, so that the distance
/// counts, not the order.
fn is_cooling_down(state: &PlanState, campaign: &Campaign, at: UnixMillis) -> bool {
    campaign.cooldown_s > 0
        && state.cooldowns.get(&campaign.id).is_some_and(|last| is_near(at, *last, campaign.cooldown_s))
}

fn is_near(at: UnixMillis, last: UnixMillis, s: i64) -> bool {
    at.since_ms(last).saturating_abs() < s.saturating_mul(1_000)
}

fn cool_down<V>(state: &mut PlanState, campaign: &Campaign, at: UnixMillis, facts: &Facts<'_, V>) {
    if campaign.cooldown_s == 0 {
        return;
    }
    state.cooldowns.insert(campaign.id, at);
    if state.cooldowns.len() > UNPRUNED {
        let cooldown_s =
            |id: &CampaignId| facts.campaigns.get(*id).map(|planned| planned.campaign.cooldown_s);
        state
            .cooldowns
            .retain(|id, last| *id == campaign.id || cooldown_s(id).is_some_and(|s| is_near(at, *last, s)));
    }
}
