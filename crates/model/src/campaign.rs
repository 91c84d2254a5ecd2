//! A merchant's campaign.

use serde::{Deserialize, Serialize};

use crate::wire::{self, v1, wire};
use crate::{CampaignId, Hours, Message, TenantId, Trigger, UnixMillis, WireError};

/// A campaign as one version of it was: when to push what to whom.
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
    /// From when on; none: from now on.
    pub starts_at: Option<UnixMillis>,
    /// Until when, exclusive; none: for ever.
    pub ends_at: Option<UnixMillis>,
    /// In which hours of the device's week; none: in all.
    pub hours: Option<Hours>,
    /// The least time between two decisions to push to one device, in seconds of fix time.
    pub cooldown_s: i64,
    /// Whether its pushes go out whatever the tenant's caps say; they count all the same.
    pub ignores_caps: bool,
    /// Whether its pushes go out in the tenant's quiet hours.
    pub ignores_quiet_hours: bool,
    /// To whom, as the API takes it; none: everyone.
    pub audience: Option<serde_json::Value>,
    /// So many of a hundred devices get nothing, to compare with.
    pub holdout_percent: u32,
    /// What.
    pub message: Message,
    /// Instead of the message, one of these; none: the message.
    pub variants: Vec<Variant>,
    /// Counts its changes from 1 on.
    pub version: i64,
    /// When it was first made.
    pub created_at: UnixMillis,
    /// When this version was made.
    pub updated_at: UnixMillis,
    /// Whether this version is its deletion.
    pub deleted: bool,
}

/// One of several messages that a campaign compares.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Variant {
    /// What reports call it.
    pub name: String,
    /// Its share is its weight over the sum of all.
    pub weight: u32,
    /// What it says.
    pub message: Message,
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

impl Campaign {
    /// The first version of a campaign that is not active yet, to everyone, at any time, without limits of its own.
    pub fn draft(
        tenant: TenantId,
        id: CampaignId,
        app: &str,
        trigger: Trigger,
        message: Message,
        now: UnixMillis,
    ) -> Self {
        Self {
            tenant,
            id,
            name: String::new(),
            app: app.to_owned(),
            status: CampaignStatus::Draft,
            trigger,
            starts_at: None,
            ends_at: None,
            hours: None,
            cooldown_s: 0,
            ignores_caps: false,
            ignores_quiet_hours: false,
            audience: None,
            holdout_percent: 0,
            message,
            variants: Vec::new(),
            version: 1,
            created_at: now,
            updated_at: now,
            deleted: false,
        }
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
            trigger: Some((&c.trigger).into()),
            cooldown_s: c.cooldown_s,
            audience_json: c.audience.as_ref().map(ToString::to_string),
            message: Some((&c.message).into()),
            version: c.version,
            created_at_ms: c.created_at.0,
            updated_at_ms: c.updated_at.0,
            deleted: c.deleted,
            starts_at_ms: c.starts_at.map(|at| at.0),
            ends_at_ms: c.ends_at.map(|at| at.0),
            hours: c.hours.as_ref().map(Into::into),
            ignores_caps: c.ignores_caps,
            ignores_quiet_hours: c.ignores_quiet_hours,
            holdout_percent: c.holdout_percent,
            variants: c.variants.iter().map(Into::into).collect(),
        }
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
            starts_at: c.starts_at_ms.map(UnixMillis),
            ends_at: c.ends_at_ms.map(UnixMillis),
            hours: c.hours.map(TryInto::try_into).transpose()?,
            cooldown_s: c.cooldown_s,
            ignores_caps: c.ignores_caps,
            ignores_quiet_hours: c.ignores_quiet_hours,
            audience: c
                .audience_json
                .map(|json| serde_json::from_str(&json))
                .transpose()
                .map_err(|_| WireError::Member("audience_json"))?,
            holdout_percent: c.holdout_percent,
            message: wire::present(c.message, "message")?.into(),
            variants: c.variants.into_iter().map(TryInto::try_into).collect::<Result<_, _>>()?,
            version: c.version,
            created_at: UnixMillis(c.created_at_ms),
            updated_at: UnixMillis(c.updated_at_ms),
            deleted: c.deleted,
        })
    }
}

impl From<&Variant> for v1::Variant {
    fn from(variant: &Variant) -> Self {
        let Variant { name, weight, message } = variant;
        Self { name: name.clone(), weight: *weight, message: Some(message.into()) }
    }
}

impl TryFrom<v1::Variant> for Variant {
    type Error = WireError;

    fn try_from(variant: v1::Variant) -> Result<Self, WireError> {
        let message = wire::present(variant.message, "variants.message")?.into();
        Ok(Self { name: variant.name, weight: variant.weight, message })
    }
}
