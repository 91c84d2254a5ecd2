//! The decision: a cause, what was decided before, the campaigns and the device of now become pushes or suppressed
//! deliveries. Nothing here does I/O.

use std::sync::Arc;

use geopush_campaign::{AudienceDevice, Visits};
use geopush_model::{
    CampaignId, CauseId, Delivery, DeviceId, ExitReason, Message, Origin, Outcome, PlanState, Provider, Push,
    PushId, PushRequest, Reason, Request, Source, TenantId, Transition, TransitionKind, UnixMillis,
};
use geopush_registry::{AppProviders, Device, Platform};

use super::index::{Planned, PlannedAudience};

/// How many of the latest requests a device's state remembers.
pub const REQUESTS_REMEMBERED: usize = 100;
/// With more cooldowns than this, those that have run out go.
const COOLDOWNS_UNPRUNED: usize = 32;

/// What is known at the decision.
pub struct Facts<'a, V> {
    /// The time.
    pub now: UnixMillis,
    /// How long a push is worth sending, in ms.
    pub ttl_ms: i64,
    /// The device as it is, if it is registered.
    pub device: Option<&'a Device>,
    /// When the device was in the zones that the campaigns' audiences ask for.
    pub visits: &'a V,
    /// Which providers an app of the tenant has credentials for.
    pub providers: &'a dyn Fn(&str) -> Option<AppProviders>,
    /// The cooldown of a campaign, in seconds, unless it is gone.
    pub cooldown_s: &'a dyn Fn(CampaignId) -> Option<i64>,
}

/// What came of a cause.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// It was decided on before.
    Seen,
    /// One decision a campaign or send, in the order of the campaigns.
    Decided(Vec<Decision>),
}

/// What was decided.
#[derive(Clone, Debug, PartialEq)]
pub enum Decision {
    /// To push.
    Push(Push),
    /// Not to, and why.
    Suppressed(Delivery),
}

/// Where a push goes.
struct Address {
    provider: Provider,
    token: String,
    token_at: UnixMillis,
}

/// Decides on a transition for each of the campaigns that it triggers. The first of these that applies is why a push
/// is suppressed: `stale`, `no_device`, `audience`, `no_consent`, `no_token`, `no_app`, `cooldown`.
///
/// A transition that is not later, by incarnation and `seq`, than one that was decided on is seen.
///
/// A device that was removed has no device any more, whatever its row says: the row may be deleted a moment later.
pub fn decide_transition<V: Visits>(
    state: &mut PlanState,
    transition: &Transition,
    triggered: &[Arc<Planned>],
    facts: &Facts<'_, V>,
) -> Verdict {
    if state.seq > 0 && (transition.incarnation, transition.seq) <= (state.incarnation, state.seq) {
        return Verdict::Seen;
    }
    (state.incarnation, state.seq) = (transition.incarnation, transition.seq);
    let removed = transition.kind == TransitionKind::Exit(ExitReason::DeviceRemoved);
    let device = facts.device.filter(|_| !removed);
    let decided = triggered.iter().map(|planned| {
        let case = Case {
            tenant: transition.tenant,
            device: &transition.device,
            origin: Origin { source: Source::Campaign(planned.campaign.id), cause: CauseId(transition.id.0) },
            app: &planned.campaign.app,
            message: &planned.campaign.message,
            received_at: transition.received_at,
        };
        case.decision(campaign_address(state, transition, planned, device, facts), facts)
    });
    Verdict::Decided(decided.collect())
}

/// Decides on a request of a send: no trigger, audience or cooldown. The first of these that applies is why it is
/// suppressed: `no_device`, `no_consent`, `no_token`, `no_app`.
pub fn decide_request<V>(state: &mut PlanState, request: &PushRequest, facts: &Facts<'_, V>) -> Verdict {
    let Request::Send { send, sent } = &request.request else { return Verdict::Seen };
    if state.requests.contains(&request.cause()) {
        return Verdict::Seen;
    }
    let forgotten = (state.requests.len() + 1).saturating_sub(REQUESTS_REMEMBERED);
    state.requests.drain(..forgotten);
    state.requests.push(request.cause());
    let case = Case {
        tenant: request.tenant,
        device: &request.device,
        origin: Origin { source: Source::Send(*send), cause: request.cause() },
        app: &sent.app,
        message: &sent.message,
        received_at: None,
    };
    let address = facts.device.ok_or(Reason::NoDevice).and_then(|device| address(device, &sent.app, facts));
    Verdict::Decided(vec![case.decision(address, facts)])
}

fn campaign_address<V: Visits>(
    state: &mut PlanState,
    transition: &Transition,
    planned: &Planned,
    device: Option<&Device>,
    facts: &Facts<'_, V>,
) -> Result<Address, Reason> {
    let campaign = &planned.campaign;
    let too_old = |s: i64| facts.now.since_ms(transition.at) > s.saturating_mul(1_000);
    if campaign.trigger.max_age_s().is_some_and(too_old) {
        return Err(Reason::Stale);
    }
    let device = device.ok_or(Reason::NoDevice)?;
    if !is_in_audience(planned, device, transition.at, facts.visits) {
        return Err(Reason::Audience);
    }
    let address = address(device, &campaign.app, facts)?;
    if campaign.cooldown_s > 0 {
        cool_down(state, campaign.id, campaign.cooldown_s, transition.at, facts.cooldown_s)?;
    }
    Ok(address)
}

/// Visits count back from the transition: an hour late, the same people are meant.
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

/// A device that is registered for another app has no token of this one, so the app can't reach it.
fn address<V>(device: &Device, app: &str, facts: &Facts<'_, V>) -> Result<Address, Reason> {
    if !device.push_consent {
        return Err(Reason::NoConsent);
    }
    let token = device.push_token.as_ref().filter(|token| !token.is_empty());
    let (Some(platform), Some(token)) = (device.platform, token) else { return Err(Reason::NoToken) };
    if device.app.as_ref().is_some_and(|other| other != app) {
        return Err(Reason::NoApp);
    }
    let provider = (facts.providers)(app).and_then(|app| provider_of(platform, app)).ok_or(Reason::NoApp)?;
    let token_at = device.token_at.unwrap_or(device.updated_at);
    Ok(Address { provider, token: token.clone(), token_at })
}

/// Who reaches a platform, if the app has credentials for it.
fn provider_of(platform: Platform, app: AppProviders) -> Option<Provider> {
    match (platform, app) {
        (Platform::Ios, AppProviders { apns: true, .. }) => Some(Provider::Apns),
        (_, AppProviders { fcm: true, .. }) => Some(Provider::Fcm),
        (_, AppProviders { fcm: false, .. }) => None,
    }
}

/// Begins a cooldown, unless the last one is not over. Fix times may go back when a device was forgotten, so that
/// the distance counts, not the order.
fn cool_down(
    state: &mut PlanState,
    campaign: CampaignId,
    cooldown_s: i64,
    at: UnixMillis,
    cooldown_of: &dyn Fn(CampaignId) -> Option<i64>,
) -> Result<(), Reason> {
    let is_near = |last: UnixMillis, s: i64| at.since_ms(last).saturating_abs() < s.saturating_mul(1_000);
    if state.cooldowns.get(&campaign).is_some_and(|last| is_near(*last, cooldown_s)) {
        return Err(Reason::Cooldown);
    }
    state.cooldowns.insert(campaign, at);
    if state.cooldowns.len() > COOLDOWNS_UNPRUNED {
        state.cooldowns.retain(|id, last| cooldown_of(*id).is_some_and(|s| is_near(*last, s)));
    }
    Ok(())
}

/// What a push or a suppressed delivery is made of, whatever it came from.
struct Case<'a> {
    tenant: TenantId,
    device: &'a DeviceId,
    origin: Origin,
    app: &'a str,
    message: &'a Message,
    received_at: Option<UnixMillis>,
}

impl Case<'_> {
    fn decision<V>(self, address: Result<Address, Reason>, facts: &Facts<'_, V>) -> Decision {
        let (tenant, device, now) = (self.tenant, self.device.clone(), facts.now);
        let id = PushId::of(tenant, self.origin.source.id(), &device, self.origin.cause);
        match address {
            Ok(Address { provider, token, token_at }) => Decision::Push(Push {
                id,
                tenant,
                device,
                origin: self.origin,
                app: self.app.to_owned(),
                provider,
                token,
                token_at,
                message: self.message.clone(),
                created_at: now,
                expires_at: now.plus_ms(facts.ttl_ms),
                received_at: self.received_at,
                variant: None,
            }),
            Err(reason) => Decision::Suppressed(Delivery {
                push: id,
                tenant,
                device,
                origin: self.origin,
                app: self.app.to_owned(),
                provider: None,
                outcome: Outcome::Suppressed,
                reason: Some(reason),
                attempts: 0,
                created_at: now,
                finished_at: now,
                provider_message_id: None,
                dead_token: None,
                variant: None,
                deferrals: 0,
                dead_letter: None,
            }),
        }
    }
}
