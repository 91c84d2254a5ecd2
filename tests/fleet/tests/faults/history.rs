//! A run as it is judged: what was asked of the system and how it answered, and what was seen of it afterwards.

use std::collections::{BTreeMap, BTreeSet};

use geopush_model::{
    CampaignId, CauseId, Delivery, DeviceId, Fix, Ping, PushId, SendId, TenantId, Transition, Zone, ZoneId,
};
use serde_json::Value;

/// Microseconds on the run's own clock, which never steps back.
pub type Moment = u64;

/// Everything that is known of a run.
#[derive(Clone, Debug)]
pub struct History {
    pub asked: Asked,
    pub seen: Seen,
}

/// What phones and the merchant asked for, and what they were answered.
#[derive(Clone, Debug)]
pub struct Asked {
    pub tenant: TenantId,
    pub phones: BTreeMap<DeviceId, Phone>,
    /// Every version of each zone, in order.
    pub zones: BTreeMap<ZoneId, Vec<Version>>,
    /// Each is about every zone.
    pub campaigns: Vec<Campaign>,
    pub sends: Vec<Send>,
}

/// A phone, and its requests in the order in which they were first sent. It sends the next when the last is answered.
#[derive(Clone, Debug)]
pub struct Phone {
    pub token: String,
    pub wants_pushes: bool,
    pub requests: Vec<Request>,
}

/// One request, sent again and again until it was answered.
#[derive(Clone, Debug)]
pub struct Request {
    pub fixes: Vec<Fix>,
    /// When it was sent first: whatever was answered before that must be seen by its fixes.
    pub sent: Moment,
    pub fate: Fate,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Answered 202 in the end.
    Accepted,
    /// Given up: its fixes may count or not.
    Unknown,
}

/// A version of a zone, and when its change was answered; `None` when the answer never came.
#[derive(Clone, Debug)]
pub struct Version {
    pub zone: Zone,
    pub answered: Option<Moment>,
}

#[derive(Clone, Debug)]
pub struct Campaign {
    pub id: CampaignId,
    pub on: On,
    pub cooldown_s: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum On {
    Enter,
    Exit,
}

/// A message to many, and what was told of it whenever somebody looked, in order.
#[derive(Clone, Debug)]
pub struct Send {
    pub id: SendId,
    pub to: BTreeSet<DeviceId>,
    pub told: Vec<Totals>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    pub targeted: i64,
    pub pending: i64,
    pub accepted: i64,
    pub failed: i64,
    pub suppressed: i64,
    pub expired: i64,
}

/// What there was to see once everything had come to rest.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// The topics, each partition's records in their order.
    pub pings: Vec<Ping>,
    pub transitions: Vec<Transition>,
    pub pushes: Vec<(PushId, CauseId)>,
    pub ends: Vec<End>,
    /// What the API tells of each device.
    pub told: BTreeMap<DeviceId, Told>,
    /// What the stand-ins for the providers took, in order.
    pub taken: Vec<Taken>,
    /// How many pushes the dispatchers have counted as maybe sent before.
    pub uncertain: u64,
    /// How long after a durable end another owner, who had looked before, may still send the push again, in ms.
    pub handover_ms: i64,
}

/// A record of the deliveries' topic.
#[derive(Clone, Debug)]
pub struct End {
    /// When the log had it, in ms since the epoch.
    pub durable_at_ms: i64,
    pub delivery: Delivery,
}

/// What the API tells of a device.
#[derive(Clone, Debug, Default)]
pub struct Told {
    pub transitions: Vec<Value>,
    pub deliveries: Vec<Value>,
    pub present_in: BTreeSet<String>,
}

/// A push at the sandbox.
#[derive(Clone, Debug)]
pub struct Taken {
    pub push: Option<PushId>,
    pub token: String,
    /// In ms since the epoch.
    pub at_ms: i64,
}

impl Seen {
    /// The transitions' topic by device, in its order.
    pub fn by_device(&self) -> BTreeMap<&DeviceId, Vec<&Transition>> {
        let mut devices: BTreeMap<&DeviceId, Vec<&Transition>> = BTreeMap::new();
        for transition in &self.transitions {
            devices.entry(&transition.device).or_default().push(transition);
        }
        devices
    }
}
