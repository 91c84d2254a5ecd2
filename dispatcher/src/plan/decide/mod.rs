//! The decision: a cause, what was decided before, the campaigns and the device of now become pushes, suppressed
//! deliveries, or pushes held until the end of quiet hours. Nothing here does I/O or reads a clock.

mod campaign;
mod caps;
mod case;
mod context;
mod quiet;
mod send;

use std::cell::Cell;
use std::sync::Arc;

use geopush_campaign::Visits;
use geopush_model::{
    CauseId, Delivery, ExitReason, Held, PlanState, Push, PushRequest, Request, TenantSettings, Transition,
    TransitionKind, UnixMillis,
};
use geopush_registry::{AppProviders, Device};

use super::index::{Campaigns, Planned, PlannedMessage};
use campaign::Happening;
use context::CauseContext;

pub use quiet::MOST_HELD;

/// How many of the latest requests a device's state remembers.
pub const REQUESTS_REMEMBERED: usize = 100;

/// Something to decide on.
#[derive(Clone, Debug, PartialEq)]
pub enum Cause {
    /// A device crossed a border, or stayed.
    Transition(Transition),
    /// A send, a campaign's run or an event asks for a device.
    Request(PushRequest),
    /// Quiet hours are over for a push that was held.
    Held {
        /// Whose.
        key: geopush_model::DeviceKey,
        /// What; taken out of the state by [`take_due`].
        held: Box<Held>,
    },
}

/// What is known at the decision.
pub struct Facts<'a, V> {
    /// The time.
    pub now: UnixMillis,
    /// How long a push is worth sending where its message does not say, in ms.
    pub ttl_ms: i64,
    /// What the tenant chose.
    pub settings: &'a TenantSettings,
    /// The device as it is, if it is registered.
    pub device: Option<&'a Device>,
    /// What the device did before, as far as the campaigns ask for it: [`Planned::asked`].
    pub visits: &'a V,
    /// The zone of the transition, as templates are told of it.
    pub zone: ZoneFacts<'a>,
    /// Which providers an app of the tenant has credentials for.
    pub providers: &'a dyn Fn(&str) -> Option<AppProviders>,
    /// The campaigns of now: of what was held, and of what cools down.
    pub campaigns: &'a Campaigns,
    /// The templates of the send that asks, if they were read before.
    pub sent: Option<&'a PlannedMessage>,
    /// Whether the send that asks was cancelled.
    pub is_cancelled: bool,
    /// How many more pushes may be decided on for the tenant's quota; a push takes one. None: any number.
    pub quota: Option<&'a Cell<u64>>,
}

/// What templates are told of a zone.
#[derive(Clone, Copy, Debug, Default)]
pub struct ZoneFacts<'a> {
    /// Its tags.
    pub tags: &'a [String],
    /// Its name, if it was read.
    pub name: Option<&'a str>,
    /// Its metadata, if it was read.
    pub metadata: Option<&'a serde_json::Map<String, serde_json::Value>>,
}

/// What came of a cause.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// It was decided on before.
    Seen,
    /// It is nothing to any campaign, and left no trace.
    Untriggered,
    /// One decision a campaign or send, in the order of the campaigns. The state has changed.
    Decided(Vec<Decision>),
}

/// What was decided.
#[derive(Clone, Debug, PartialEq)]
#[allow(clippy::large_enum_variant, reason = "most decisions are pushes or deliveries, which are as large")]
pub enum Decision {
    /// To push.
    Push(Push),
    /// Not to, and why.
    Suppressed(Delivery),
    /// To decide again when quiet hours are over. The state holds it until then.
    Held {
        /// When that is.
        until: UnixMillis,
    },
}

/// Decides on a cause for each of the campaigns that it triggers.
///
/// Why a campaign's push is suppressed is the first of these that applies: `stale`, `no_device`, `hours`, `audience`,
/// `no_consent`, `no_token`, `no_app`, `cooldown`, `holdout`, `capped`, `quiet_hours`, `quota`, `template`; of one that
/// was held, before them all, `cancelled`. Where `quiet_hours` would apply the tenant may have chosen that it is held
/// instead. For a send it is `cancelled`, `no_device`, `no_consent`, `no_token`, `no_app`, `quiet_hours`, `quota`,
/// `template`.
///
/// A transition that is not later, by incarnation and `seq`, than one that was decided on is seen; so is a request
/// whose cause is one of the last [`REQUESTS_REMEMBERED`]. A device that was removed has no device any more, whatever
/// its row says: the row may be deleted a moment later.
pub fn decide<V: Visits>(
    state: &mut PlanState,
    cause: &Cause,
    campaigns: &[Arc<Planned>],
    facts: &Facts<'_, V>,
) -> Verdict {
    match cause {
        Cause::Transition(transition) => decide_transition(state, transition, campaigns, facts),
        Cause::Request(request) => decide_request(state, request, campaigns, facts),
        Cause::Held { key, held } => {
            Verdict::Decided(vec![quiet::decide_held(state, key, held, facts.device, facts)])
        }
    }
}

/// The pushes whose quiet hours are over at `now`: no longer held, to be decided on by [`decide`] before the state is
/// kept.
pub fn take_due(state: &mut PlanState, now: UnixMillis) -> Vec<Held> {
    state.held.extract_if(.., |held| held.until <= now).collect()
}

fn decide_transition<V: Visits>(
    state: &mut PlanState,
    transition: &Transition,
    campaigns: &[Arc<Planned>],
    facts: &Facts<'_, V>,
) -> Verdict {
    if state.seq > 0 && (transition.incarnation, transition.seq) <= (state.incarnation, state.seq) {
        return Verdict::Seen;
    }
    let removed = is_removal(transition);
    if campaigns.is_empty() && !removed {
        return Verdict::Untriggered;
    }
    (state.incarnation, state.seq) = (transition.incarnation, transition.seq);
    let device = facts.device.filter(|_| !removed);
    let happening = Happening {
        tenant: transition.tenant,
        device: &transition.device,
        cause: CauseId(transition.id.0),
        at: transition.at,
        received_at: transition.received_at,
        held_at: None,
        context: CauseContext::Transition(transition, facts.zone),
    };
    let mut decisions: Vec<_> =
        campaigns.iter().map(|planned| campaign::decide(state, planned, &happening, device, facts)).collect();
    if removed {
        let key = transition.key();
        for held in std::mem::take(&mut state.held) {
            decisions.push(quiet::decide_held(state, &key, &held, None, facts));
        }
    }
    Verdict::Decided(decisions)
}

/// Whether the device is gone with this transition.
pub fn is_removal(transition: &Transition) -> bool {
    transition.kind == TransitionKind::Exit(ExitReason::DeviceRemoved)
}

fn decide_request<V: Visits>(
    state: &mut PlanState,
    request: &PushRequest,
    campaigns: &[Arc<Planned>],
    facts: &Facts<'_, V>,
) -> Verdict {
    if state.requests.contains(&request.cause()) {
        return Verdict::Seen;
    }
    let mut happening = Happening {
        tenant: request.tenant,
        device: &request.device,
        cause: request.cause(),
        at: request.requested_at,
        received_at: None,
        held_at: None,
        context: CauseContext::Nothing,
    };
    let device = facts.device;
    match &request.request {
        Request::Send { send, sent } => {
            remember(state, request.cause());
            Verdict::Decided(vec![send::decide(state, *send, sent, &happening, facts)])
        }
        Request::Run(run) => {
            happening.at = run.at;
            let (Some(planned), Some(device)) = (campaigns.first(), device) else {
                return Verdict::Untriggered;
            };
            if !campaign::is_meant(state, planned, device, run.at, facts.visits) {
                return Verdict::Untriggered;
            }
            remember(state, request.cause());
            Verdict::Decided(vec![campaign::decide(state, planned, &happening, Some(device), facts)])
        }
        Request::Event(event) => {
            if campaigns.is_empty() {
                return Verdict::Untriggered;
            }
            remember(state, request.cause());
            happening.at = event.at;
            happening.context = CauseContext::Event(event);
            let decide = |planned| campaign::decide(state, planned, &happening, device, facts);
            Verdict::Decided(campaigns.iter().map(Arc::as_ref).map(decide).collect())
        }
    }
}

fn remember(state: &mut PlanState, cause: CauseId) {
    let forgotten = (state.requests.len() + 1).saturating_sub(REQUESTS_REMEMBERED);
    state.requests.drain(..forgotten);
    state.requests.push(cause);
}
