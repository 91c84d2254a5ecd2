//! A decision with everything in order but what a test says.

use std::cell::Cell;
use std::collections::BTreeMap;

use geopush_campaign::Visits;
use geopush_dispatcher::plan::decide::{Cause, Decision, Facts, Verdict, ZoneFacts, decide, take_due};
use geopush_dispatcher::plan::index::Campaigns;
use geopush_model::{
    Campaign, CampaignId, CampaignRun, CauseId, DeviceEvent, DeviceId, Held, PlanState, Push, PushRequest,
    Reason, Request, SendId, SentMessage, TenantSettings, Transition, UnixMillis, ZoneId,
};
use geopush_registry::{AppProviders, Device, Platform};
use serde_json::Value;
use uuid::Uuid;

use crate::house::{APP, NOW, TENANT, campaign, id, key};

pub const BOTH: Option<AppProviders> = Some(AppProviders { fcm: true, apns: true });
pub const MINUTE: i64 = 60_000;
pub const HOUR: i64 = 60 * MINUTE;
pub const DAY: i64 = 24 * HOUR;

/// What is decided by.
pub struct Scene {
    pub now: UnixMillis,
    pub settings: TenantSettings,
    pub campaigns: Vec<Campaign>,
    pub device: Option<Device>,
    pub providers: Option<AppProviders>,
    pub past: Past,
    pub zone_tags: Vec<String>,
    pub is_cancelled: bool,
    pub quota: Option<Cell<u64>>,
}

/// A device's past.
#[derive(Default)]
pub struct Past {
    pub zones: BTreeMap<ZoneId, UnixMillis>,
    pub anywhere: Option<UnixMillis>,
}

impl Visits for Past {
    fn last_visit(&self, zone: ZoneId) -> Option<UnixMillis> {
        self.zones.last_visit(zone)
    }

    fn last_visit_anywhere(&self) -> Option<UnixMillis> {
        self.anywhere
    }
}

impl Scene {
    /// One campaign on every enter, and a device that can be reached.
    pub fn new() -> Self {
        Self {
            now: UnixMillis(NOW),
            settings: TenantSettings::default(),
            campaigns: vec![campaign(1)],
            device: Some(device()),
            providers: BOTH,
            past: Past::default(),
            zone_tags: Vec::new(),
            is_cancelled: false,
            quota: None,
        }
    }

    /// The first campaign.
    pub fn campaign(&mut self) -> &mut Campaign {
        &mut self.campaigns[0]
    }

    pub fn device(&mut self) -> &mut Device {
        self.device.as_mut().unwrap()
    }

    pub fn index(&self) -> Campaigns {
        let mut index = Campaigns::default();
        self.campaigns.iter().cloned().for_each(|campaign| index.put(campaign));
        index
    }

    pub fn decide(&self, state: &mut PlanState, cause: &Cause) -> Verdict {
        self.decide_by(&self.index(), state, cause)
    }

    pub fn decide_by(&self, index: &Campaigns, state: &mut PlanState, cause: &Cause) -> Verdict {
        let triggered = match cause {
            Cause::Transition(transition) => index.triggered_by(transition, &self.zone_tags),
            Cause::Request(request) => match &request.request {
                Request::Send { .. } => Vec::new(),
                Request::Run(run) => index.of_run(TENANT, run).into_iter().collect(),
                Request::Event(event) => index.triggered_by_event(TENANT, &event.name),
            },
            Cause::Held { .. } => Vec::new(),
        };
        let facts = Facts {
            now: self.now,
            ttl_ms: 60_000,
            settings: &self.settings,
            device: self.device.as_ref(),
            visits: &self.past,
            zone: ZoneFacts { tags: &self.zone_tags, name: Some("The shop"), metadata: None },
            providers: &|app| self.providers.filter(|_| app == APP),
            campaigns: index,
            sent: None,
            is_cancelled: self.is_cancelled,
            quota: self.quota.as_ref(),
        };
        decide(state, cause, &triggered, &facts)
    }

    /// Decides on all that is due.
    pub fn release(&self, state: &mut PlanState) -> Vec<Decision> {
        let due = take_due(state, self.now);
        due.into_iter().flat_map(|held| decided(self.decide(state, &held_cause(held)))).collect()
    }
}

pub fn held_cause(held: Held) -> Cause {
    Cause::Held { key: key("d1"), held: Box::new(held) }
}

pub fn device() -> Device {
    let mut device = Device::new(TENANT, id("d1"), UnixMillis(NOW));
    device.platform = Some(Platform::Android);
    device.app = Some(APP.to_owned());
    device.push_token = Some("secret".to_owned());
    device.token_at = Some(UnixMillis(NOW - 5));
    device
}

pub fn cause(transition: &Transition) -> Cause {
    Cause::Transition(transition.clone())
}

fn request_of(request: Request) -> Cause {
    Cause::Request(PushRequest { tenant: TENANT, device: id("d1"), request, requested_at: UnixMillis(NOW) })
}

pub fn send_cause(n: u128) -> Cause {
    let sent = SentMessage { app: APP.to_owned(), message: campaign(1).message }.into();
    request_of(Request::Send { send: SendId(Uuid::from_u128(n)), sent })
}

pub fn run_cause(n: u128, at: UnixMillis) -> Cause {
    request_of(Request::Run(CampaignRun { campaign: CampaignId(Uuid::from_u128(n)), at, shards: 1 }))
}

pub fn event_cause(n: u128, name: &str, at: UnixMillis, properties: Value) -> Cause {
    let id = CauseId(Uuid::from_u128(n));
    request_of(Request::Event(DeviceEvent { id, name: name.to_owned(), at, properties }))
}

pub fn decided(verdict: Verdict) -> Vec<Decision> {
    match verdict {
        Verdict::Decided(decisions) => decisions,
        other => panic!("it was {other:?}"),
    }
}

/// What each decision was: none for a push.
pub fn reasons(verdict: Verdict) -> Vec<Option<Reason>> {
    decided(verdict).iter().map(reason).collect()
}

pub fn reason(decision: &Decision) -> Option<Reason> {
    match decision {
        Decision::Push(_) => None,
        Decision::Suppressed(delivery) => delivery.reason,
        Decision::Held { until } => panic!("it is held until {until:?}"),
    }
}

/// The one push that was decided on.
pub fn push(verdict: Verdict) -> Push {
    match decided(verdict).as_slice() {
        [Decision::Push(push)] => push.clone(),
        other => panic!("{other:?}"),
    }
}

pub fn device_id(n: usize) -> DeviceId {
    id(&format!("d{n}"))
}
