//! Quiet hours: what waits for their end, and what is decided then.

use geopush_campaign::{Visits, end_of, is_within, time_zone};
use geopush_model::{
    CampaignStatus, DeviceKey, Held, Origin, PlanState, QuietHoursThen, Reason, SentMessage, Source,
    TenantSettings, UnixMillis,
};
use geopush_registry::Device;
use jiff::tz::TimeZone;

use super::campaign::{self, Happening};
use super::case::Case;
use super::context::CauseContext;
use super::{Decision, Facts, send};

/// So many pushes of a device are held at most; more are suppressed.
pub const MOST_HELD: usize = 50;
/// Longer than any day's quiet hours: what is still held then is suppressed, whatever became of the hours and of the
/// device's clock meanwhile.
const LONGEST_HELD_MS: i64 = 48 * 60 * 60 * 1_000;

pub(super) enum Quiet {
    No,
    Drop,
    Until(UnixMillis),
}

/// The clock of a device: its own, or else its tenant's, or else UTC's. A name that nobody knows is as none.
pub(super) fn clock_of(device: Option<&Device>, settings: &TenantSettings) -> TimeZone {
    let own = device.and_then(|device| device.timezone.as_deref()).and_then(time_zone);
    own.or_else(|| settings.timezone.as_deref().and_then(time_zone)).unwrap_or(TimeZone::UTC)
}

pub(super) fn is_quiet<'c, V>(
    state: &PlanState,
    held_at: Option<UnixMillis>,
    facts: &Facts<'_, V>,
    clock: impl Fn() -> &'c TimeZone,
) -> Quiet {
    let Some(quiet) = facts.settings.quiet_hours else { return Quiet::No };
    if !is_within(quiet.window, facts.now, clock()) {
        return Quiet::No;
    }
    let never_ends = quiet.window.from == quiet.window.to;
    let too_long = held_at.is_some_and(|at| facts.now.since_ms(at) >= LONGEST_HELD_MS);
    if quiet.then == QuietHoursThen::Drop || never_ends || too_long || state.held.len() >= MOST_HELD {
        return Quiet::Drop;
    }
    end_of(quiet.window, facts.now, clock()).map_or(Quiet::Drop, Quiet::Until)
}

/// Holds what is to be decided on again then. Nothing else is touched: neither cooldown nor caps.
pub(super) fn hold<V>(
    state: &mut PlanState,
    origin: Origin,
    happening: &Happening<'_>,
    until: UnixMillis,
    facts: &Facts<'_, V>,
    sent: Option<&SentMessage>,
) -> Decision {
    state.held.push(Held {
        origin,
        until,
        at: happening.at,
        received_at: happening.received_at,
        held_at: happening.held_at.unwrap_or(facts.now),
        context: happening.context.told(),
        sent: sent.cloned(),
    });
    Decision::Held { until }
}

/// Decides anew on what was held, as if it had just happened.
pub(super) fn decide_held<V: Visits>(
    state: &mut PlanState,
    key: &DeviceKey,
    held: &Held,
    device: Option<&Device>,
    facts: &Facts<'_, V>,
) -> Decision {
    let happening = Happening {
        tenant: key.tenant,
        device: &key.device,
        cause: held.origin.cause,
        at: held.at,
        received_at: held.received_at,
        held_at: Some(held.held_at),
        context: CauseContext::Held(&held.context),
    };
    match (held.origin.source, &held.sent) {
        (Source::Send(id), Some(sent)) => send::decide_for(state, id, sent, &happening, device, facts),
        (Source::Campaign(id), _) => match facts.campaigns.get(id) {
            Some(planned) if planned.campaign.status == CampaignStatus::Active => {
                campaign::decide(state, planned, &happening, device, facts)
            }
            planned => cancelled(
                held,
                &happening,
                planned.map_or("", |planned| planned.campaign.app.as_str()),
                facts,
            ),
        },
        (Source::Send(_), None) => cancelled(held, &happening, "", facts),
    }
}

fn cancelled<V>(held: &Held, happening: &Happening<'_>, app: &str, facts: &Facts<'_, V>) -> Decision {
    let case = Case {
        tenant: happening.tenant,
        device: happening.device,
        origin: held.origin,
        app,
        variant: None,
        received_at: held.received_at,
    };
    case.suppressed(Reason::Cancelled, facts.now)
}
