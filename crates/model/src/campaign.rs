//! A merchant's campaign.

use std::collections::BTreeMap;

use crate::wire::{self, v1, wire};
use crate::{CampaignId, TenantId, TransitionKind, UnixMillis, WireError, ZoneId};

/// A campaign as one version of it was: on which transitions to push what to whom.
#[derive(Clone, Debug, PartialEq)]
pub struct Campaign {
    /// Whose it is.
    pub tenant: TenantId,
    /// Which one.
    pub id: CampaignId,
    /// For people.
    pub name: String,
    /// The app that its pushes go to.
    pub app: String,
    /// Whether it pushes.
    pub status: CampaignStatus,
    /// On what.
    pub trigger: Trigger,
    /// The least time between two decisions to push to one device, in seconds of fix time.
    pub cooldown_s: i64,
    /// To whom, as the API takes it; none: everyone.
    pub audience: Option<serde_json::Value>,
    /// What.
    pub message: Message,
    /// Counts its changes from 1 on.
    pub version: i64,
    /// When it was first made.
    pub created_at: UnixMillis,
    /// When this version was made.
    pub updated_at: UnixMillis,
    /// Whether this version is its deletion.
    pub deleted: bool,
}

/// Whether a campaign pushes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CampaignStatus {
    /// Not yet.
    Draft,
    /// It does.
    Active,
    /// Not now.
    Paused,
}

/// What makes a campaign push: a kind of transition of certain zones.
#[derive(Clone, Debug, PartialEq)]
pub struct Trigger {
    /// The kind; the reason of an exit does not matter.
    pub on: TriggerKind,
    /// These zones and those with a tag below; both empty: every zone.
    pub zone_ids: Vec<ZoneId>,
    /// Zones with any of these tags.
    pub zone_tags: Vec<String>,
    /// Transitions older than this many seconds at the decision are stale; none: however old.
    pub max_age_s: Option<i64>,
    /// Whether the enters at a device's first fix count.
    pub on_initial: bool,
}

impl Trigger {
    /// The age that makes a transition stale where the merchant did not say, in seconds.
    pub const DEFAULT_MAX_AGE_S: i64 = 900;
}

/// A kind of transition that a campaign waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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

impl CampaignStatus {
    const ALL: [(Self, &'static str); 3] =
        [(Self::Draft, "draft"), (Self::Active, "active"), (Self::Paused, "paused")];

    /// `draft`, `active` or `paused`.
    pub fn as_str(self) -> &'static str {
        Self::ALL[self as usize].1
    }

    /// Reads `draft`, `active` or `paused`.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().find(|row| row.1 == text).map(|row| row.0)
    }
}

/// What a phone shows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Message {
    /// The first line.
    pub title: String,
    /// The text.
    pub body: String,
    /// For the app.
    pub data: BTreeMap<String, String>,
}

impl From<&Message> for v1::Message {
    fn from(message: &Message) -> Self {
        Self {
            title: message.title.clone(),
            body: message.body.clone(),
            data: message.data.iter().map(|(k, v)| (k.clone(), v.clone())).collect(),
        }
    }
}

impl From<v1::Message> for Message {
    fn from(message: v1::Message) -> Self {
        Self { title: message.title, body: message.body, data: message.data.into_iter().collect() }
    }
}

wire!(Campaign => v1::Campaign);

impl From<&Campaign> for v1::Campaign {
    fn from(c: &Campaign) -> Self {
        Self {
            tenant: wire::bytes_of(c.tenant.0),
            id: wire::bytes_of(c.id.0),
            name: c.name.clone(),
            app: c.app.clone(),
            status: c.status.as_str().to_owned(),
            trigger: Some(v1::Trigger {
                on: TriggerKind::ALL[c.trigger.on as usize].2.into(),
                zone_ids: c.trigger.zone_ids.iter().map(|id| wire::bytes_of(id.0)).collect(),
                zone_tags: c.trigger.zone_tags.clone(),
                max_age_s: c.trigger.max_age_s,
                on_initial: c.trigger.on_initial,
            }),
            cooldown_s: c.cooldown_s,
            audience_json: c.audience.as_ref().map(ToString::to_string),
            message: Some((&c.message).into()),
            version: c.version,
            created_at_ms: c.created_at.0,
            updated_at_ms: c.updated_at.0,
            deleted: c.deleted,
        }
    }
}

impl TryFrom<v1::Trigger> for Trigger {
    type Error = WireError;

    fn try_from(t: v1::Trigger) -> Result<Self, WireError> {
        let on = TriggerKind::ALL.iter().find(|row| row.2 == t.on()).map(|row| row.0);
        Ok(Self {
            on: wire::present(on, "trigger.on")?,
            zone_ids: t
                .zone_ids
                .iter()
                .map(|id| wire::uuid(id, "trigger.zone_ids").map(ZoneId))
                .collect::<Result<_, _>>()?,
            zone_tags: t.zone_tags,
            max_age_s: t.max_age_s,
            on_initial: t.on_initial,
        })
    }
}

impl TryFrom<v1::Campaign> for Campaign {
    type Error = WireError;

    fn try_from(c: v1::Campaign) -> Result<Self, WireError> {
        Ok(Self {
            tenant: TenantId(wire::uuid(&c.tenant, "tenant")?),
            id: CampaignId(wire::uuid(&c.id, "id")?),
            name: c.name,
            app: c.app,
            status: wire::present(CampaignStatus::parse(&c.status), "status")?,
            trigger: wire::present(c.trigger, "trigger")?.try_into()?,
            cooldown_s: c.cooldown_s,
            audience: c
                .audience_json
                .map(|json| serde_json::from_str(&json))
                .transpose()
                .map_err(|_| WireError::Member("audience_json"))?,
            message: wire::present(c.message, "message")?.into(),
            version: c.version,
            created_at: UnixMillis(c.created_at_ms),
            updated_at: UnixMillis(c.updated_at_ms),
            deleted: c.deleted,
        })
    }
}
