//! A push that was decided on.

mod read;

pub use read::PushReader;

use std::fmt;
use std::sync::Arc;

use uuid::Uuid;

use crate::wire::{self, v1, wire};
use crate::{
    CampaignId, CauseId, DeviceId, DeviceKey, Message, PushId, SendId, TenantId, UnixMillis, WireError,
};

/// One message to one device, decided once, to be sent once. `Debug` shows no token.
#[derive(Clone, PartialEq)]
pub struct Push {
    /// Derived: [`PushId::of`].
    pub id: PushId,
    /// Whose device it is.
    pub tenant: TenantId,
    /// Which device.
    pub device: DeviceId,
    /// Why it exists.
    pub origin: Origin,
    /// The app whose credentials send it.
    pub app: String,
    /// Who takes it to the phone.
    pub provider: Provider,
    /// The phone's address with the provider. In no log line.
    pub token: String,
    /// When that token was registered: a provider may call older ones dead.
    pub token_at: UnixMillis,
    /// What the phone shows. Pushes of one campaign or send share it, where they can.
    pub message: Arc<Message>,
    /// When it was decided on.
    pub created_at: UnixMillis,
    /// From then on it is no longer worth sending.
    pub expires_at: UnixMillis,
    /// When the ping that caused it was accepted, if one did.
    pub received_at: Option<UnixMillis>,
    /// Which of the campaign's variants, if it has any.
    pub variant: Option<String>,
}

/// A push that is tried again when its topic's delay has passed.
#[derive(Clone, Debug, PartialEq)]
pub struct Retry {
    /// What is sent.
    pub push: Push,
    /// How often it was sent.
    pub attempts: u32,
    /// How often in a row that failed.
    pub failures: u32,
    /// How often it was put off, this time included: tells its records from one another.
    pub deferrals: u32,
    /// Not before then.
    pub not_before: UnixMillis,
}

/// Why a push exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Origin {
    /// Who asked for it.
    pub source: Source,
    /// What happened.
    pub cause: CauseId,
}

/// Who asked for a push.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Source {
    /// A campaign.
    Campaign(CampaignId),
    /// A send.
    Send(SendId),
}

impl Source {
    /// The campaign's or the send's id.
    pub fn id(self) -> Uuid {
        match self {
            Self::Campaign(id) => id.0,
            Self::Send(id) => id.0,
        }
    }

    /// The campaign, if it is one.
    pub fn campaign(self) -> Option<CampaignId> {
        match self {
            Self::Campaign(id) => Some(id),
            Self::Send(_) => None,
        }
    }

    /// The send, if it is one.
    pub fn send(self) -> Option<SendId> {
        match self {
            Self::Campaign(_) => None,
            Self::Send(id) => Some(id),
        }
    }
}

/// Who takes pushes to phones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Provider {
    /// Firebase Cloud Messaging.
    Fcm,
    /// Apple Push Notification service.
    Apns,
}

impl Provider {
    /// `fcm` or `apns`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Fcm => "fcm",
            Self::Apns => "apns",
        }
    }

    pub(crate) fn wire(provider: Option<Self>) -> v1::Provider {
        match provider {
            None => v1::Provider::Unspecified,
            Some(Self::Fcm) => v1::Provider::Fcm,
            Some(Self::Apns) => v1::Provider::Apns,
        }
    }

    pub(crate) fn of_wire(provider: v1::Provider) -> Option<Self> {
        match provider {
            v1::Provider::Unspecified => None,
            v1::Provider::Fcm => Some(Self::Fcm),
            v1::Provider::Apns => Some(Self::Apns),
        }
    }
}

impl Push {
    /// Its device among all tenants'.
    pub fn key(&self) -> DeviceKey {
        DeviceKey { tenant: self.tenant, device: self.device.clone() }
    }
}

impl fmt::Debug for Push {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Push")
            .field("id", &self.id)
            .field("device", &self.device)
            .field("origin", &self.origin)
            .field("provider", &self.provider)
            .field("message", &self.message)
            .finish_non_exhaustive()
    }
}

impl Origin {
    /// As the generated type is written.
    pub(crate) fn written(self) -> [u8; 36] {
        let (field, id) = match self.source {
            Source::Campaign(id) => (0x0a, id.0),
            Source::Send(id) => (0x12, id.0),
        };
        let mut bytes = [0; 36];
        (bytes[0], bytes[1], bytes[18], bytes[19]) = (field, 16, 0x1a, 16);
        bytes[2..18].copy_from_slice(id.as_bytes());
        bytes[20..].copy_from_slice(self.cause.0.as_bytes());
        bytes
    }
}

impl From<Origin> for v1::Origin {
    fn from(origin: Origin) -> Self {
        Self {
            campaign: origin.source.campaign().map(|id| wire::bytes_of(id.0)),
            send: origin.source.send().map(|id| wire::bytes_of(id.0)),
            cause: wire::bytes_of(origin.cause.0),
        }
    }
}

impl TryFrom<v1::Origin> for Origin {
    type Error = WireError;

    fn try_from(origin: v1::Origin) -> Result<Self, WireError> {
        let campaign = wire::uuid_or_none(origin.campaign.as_ref(), "origin.campaign")?;
        let send = wire::uuid_or_none(origin.send.as_ref(), "origin.send")?;
        let source = match (campaign, send) {
            (Some(id), None) => Source::Campaign(CampaignId(id)),
            (None, Some(id)) => Source::Send(SendId(id)),
            _ => return Err(WireError::Member("origin")),
        };
        Ok(Self { source, cause: CauseId(wire::uuid(&origin.cause, "origin.cause")?) })
    }
}

wire!(Push => v1::Push, Retry => v1::Retry);

impl From<&Push> for v1::Push {
    fn from(push: &Push) -> Self {
        Self {
            id: wire::bytes_of(push.id.0),
            tenant: wire::bytes_of(push.tenant.0),
            device: push.device.as_str().to_owned(),
            origin: Some(push.origin.into()),
            app: push.app.clone(),
            provider: Provider::wire(Some(push.provider)).into(),
            token: push.token.clone(),
            message: Some(push.message.as_ref().into()),
            created_at_ms: push.created_at.0,
            expires_at_ms: push.expires_at.0,
            received_at_ms: push.received_at.unwrap_or_default().0,
            token_at_ms: push.token_at.0,
            variant: push.variant.clone(),
        }
    }
}

impl TryFrom<v1::Push> for Push {
    type Error = WireError;

    fn try_from(push: v1::Push) -> Result<Self, WireError> {
        Ok(Self {
            provider: wire::present(Provider::of_wire(push.provider()), "provider")?,
            id: PushId(wire::uuid(&push.id, "id")?),
            tenant: TenantId(wire::uuid(&push.tenant, "tenant")?),
            device: wire::device(&push.device)?,
            origin: wire::present(push.origin, "origin")?.try_into()?,
            app: push.app,
            token: push.token,
            token_at: UnixMillis(push.token_at_ms),
            message: Arc::new(wire::present(push.message, "message")?.into()),
            created_at: UnixMillis(push.created_at_ms),
            expires_at: UnixMillis(push.expires_at_ms),
            received_at: wire::time_or_none(push.received_at_ms),
            variant: push.variant,
        })
    }
}

impl From<&Retry> for v1::Retry {
    fn from(retry: &Retry) -> Self {
        Self {
            push: Some((&retry.push).into()),
            attempts: retry.attempts,
            failures: retry.failures,
            deferrals: retry.deferrals,
            not_before_ms: retry.not_before.0,
        }
    }
}

impl TryFrom<v1::Retry> for Retry {
    type Error = WireError;

    fn try_from(retry: v1::Retry) -> Result<Self, WireError> {
        Ok(Self {
            push: wire::present(retry.push, "push")?.try_into()?,
            attempts: retry.attempts,
            failures: retry.failures,
            deferrals: retry.deferrals,
            not_before: UnixMillis(retry.not_before_ms),
        })
    }
}
