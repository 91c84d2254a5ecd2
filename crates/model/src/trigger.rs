//! What makes a campaign push.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::wire::{self, v1};
use crate::{TransitionKind, WireError, ZoneId};

/// What makes a campaign push.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Trigger {
    /// A kind of transition of certain zones.
    Zone(ZoneTrigger),
    /// Times of the tenant's clock: to everyone of the audience.
    Schedule {
        /// Minute, hour, day of the month, month, day of the week.
        cron: String,
    },
    /// A device that was in none of the zones for so long; once an absence.
    Absence {
        /// So many times 24 hours.
        days: u32,
        /// Which zones.
        #[serde(flatten)]
        zones: ZoneChoice,
    },
    /// An event of the device, told by the API.
    Event {
        /// What it is called.
        name: String,
        /// Events older than so many seconds at the decision are stale; none: however old.
        max_age_s: Option<i64>,
    },
}

/// A kind of transition of certain zones.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ZoneTrigger {
    /// The kind; the reason of an exit does not matter.
    pub on: TriggerKind,
    /// Which zones.
    #[serde(flatten)]
    pub zones: ZoneChoice,
    /// Transitions older than this many seconds at the decision are stale; none: however old.
    pub max_age_s: Option<i64>,
    /// Whether the enters at a device's first fix count.
    pub on_initial: bool,
}

/// These zones and those with a tag; both empty: every zone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ZoneChoice {
    /// These.
    #[serde(with = "uuids")]
    pub zone_ids: Vec<ZoneId>,
    /// Those with any of these tags.
    pub zone_tags: Vec<String>,
}

/// Zone ids as a row's JSON has them.
mod uuids {
    use serde::{Deserializer, Serializer};

    use super::{Deserialize as _, Serialize as _, Uuid, ZoneId};

    pub(super) fn serialize<S: Serializer>(ids: &[ZoneId], serializer: S) -> Result<S::Ok, S::Error> {
        ids.iter().map(|id| id.0.to_string()).collect::<Vec<_>>().serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<ZoneId>, D::Error> {
        let texts = Vec::<String>::deserialize(deserializer)?;
        let ids: Result<Vec<Uuid>, _> = texts.iter().map(|text| text.parse()).collect();
        Ok(ids.map_err(serde::de::Error::custom)?.into_iter().map(ZoneId).collect())
    }
}

impl ZoneChoice {
    /// Whether every zone is meant.
    pub fn is_any(&self) -> bool {
        self.zone_ids.is_empty() && self.zone_tags.is_empty()
    }
}

impl Trigger {
    /// The age that makes a transition or an event stale where the merchant did not say, in seconds.
    pub const DEFAULT_MAX_AGE_S: i64 = 900;

    /// `zone`, `schedule`, `absence` or `event`.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Zone(_) => "zone",
            Self::Schedule { .. } => "schedule",
            Self::Absence { .. } => "absence",
            Self::Event { .. } => "event",
        }
    }

    /// The age in seconds that makes what caused it stale, if there is one.
    pub fn max_age_s(&self) -> Option<i64> {
        match self {
            Self::Zone(zone) => zone.max_age_s,
            Self::Event { max_age_s, .. } => *max_age_s,
            Self::Schedule { .. } | Self::Absence { .. } => None,
        }
    }
}

/// A kind of transition that a campaign waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TriggerKind {
    /// Coming in.
    Enter,
    /// Being out, whatever the reason.
    Exit,
    /// Staying.
    Dwell,
}

impl TriggerKind {
    const ALL: [(Self, &'static str, v1::TransitionKind); 3] = [
        (Self::Enter, "enter", v1::TransitionKind::Enter),
        (Self::Exit, "exit", v1::TransitionKind::Exit),
        (Self::Dwell, "dwell", v1::TransitionKind::Dwell),
    ];

    /// `enter`, `exit` or `dwell`.
    pub fn as_str(self) -> &'static str {
        Self::ALL[self as usize].1
    }

    /// Reads `enter`, `exit` or `dwell`.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().find(|row| row.1 == text).map(|row| row.0)
    }

    /// Whether this is the kind of that transition.
    pub fn matches(self, kind: TransitionKind) -> bool {
        self.as_str() == kind.as_str()
    }
}

impl From<&Trigger> for v1::Trigger {
    fn from(trigger: &Trigger) -> Self {
        let zones = |zones: &ZoneChoice| Self {
            zone_ids: zones.zone_ids.iter().map(|id| wire::bytes_of(id.0)).collect(),
            zone_tags: zones.zone_tags.clone(),
            ..Self::default()
        };
        match trigger {
            Trigger::Zone(zone) => Self {
                on: TriggerKind::ALL[zone.on as usize].2.into(),
                max_age_s: zone.max_age_s,
                on_initial: zone.on_initial,
                ..zones(&zone.zones)
            },
            Trigger::Schedule { cron } => {
                let schedule = v1::Schedule { cron: cron.clone() };
                Self { other: Some(v1::trigger::Other::Schedule(schedule)), ..Self::default() }
            }
            Trigger::Absence { days, zones: choice } => {
                let absence = v1::Absence { days: *days };
                Self { other: Some(v1::trigger::Other::Absence(absence)), ..zones(choice) }
            }
            Trigger::Event { name, max_age_s } => {
                let event = v1::Event { name: name.clone() };
                let other = Some(v1::trigger::Other::Event(event));
                Self { other, max_age_s: *max_age_s, ..Self::default() }
            }
        }
    }
}

impl TryFrom<v1::Trigger> for Trigger {
    type Error = WireError;

    fn try_from(trigger: v1::Trigger) -> Result<Self, WireError> {
        let on = TriggerKind::ALL.iter().find(|row| row.2 == trigger.on()).map(|row| row.0);
        let id = |id: &bytes::Bytes| wire::uuid(id, "trigger.zone_ids").map(ZoneId);
        let zones = ZoneChoice {
            zone_ids: trigger.zone_ids.iter().map(id).collect::<Result<_, _>>()?,
            zone_tags: trigger.zone_tags,
        };
        let max_age_s = trigger.max_age_s;
        Ok(match trigger.other {
            None => {
                let on = wire::present(on, "trigger.on")?;
                Self::Zone(ZoneTrigger { on, zones, max_age_s, on_initial: trigger.on_initial })
            }
            Some(v1::trigger::Other::Schedule(schedule)) => Self::Schedule { cron: schedule.cron },
            Some(v1::trigger::Other::Absence(absence)) => Self::Absence { days: absence.days, zones },
            Some(v1::trigger::Other::Event(event)) => Self::Event { name: event.name, max_age_s },
        })
    }
}
