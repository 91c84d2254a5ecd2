//! How a push ended.

use std::fmt;

use bytes::Bytes;

use crate::wire::{self, Writer, v1};
use crate::{DeviceId, DeviceKey, Message, Origin, Provider, PushId, TenantId, UnixMillis, Wire, WireError};

/// The one end of a push, or of what would have been one. `Debug` shows no token.
#[derive(Clone, PartialEq)]
pub struct Delivery {
    /// Which push.
    pub push: PushId,
    /// Whose device it is.
    pub tenant: TenantId,
    /// Which device.
    pub device: DeviceId,
    /// Why the push existed.
    pub origin: Origin,
    /// The app that it was for.
    pub app: String,
    /// Who was to take it; unknown when it never came to that.
    pub provider: Option<Provider>,
    /// How it ended.
    pub outcome: Outcome,
    /// Why it ended so; never of an accepted one, always of the others.
    pub reason: Option<Reason>,
    /// How often it was sent.
    pub attempts: u32,
    /// When it was decided on.
    pub created_at: UnixMillis,
    /// When it ended.
    pub finished_at: UnixMillis,
    /// The provider's name for it.
    pub provider_message_id: Option<String>,
    /// The token that the provider called dead.
    pub dead_token: Option<DeadToken>,
    /// Which of the campaign's variants, if it has any.
    pub variant: Option<String>,
    /// How often it was put off to a topic of retries.
    pub deferrals: u32,
    /// What could not be delivered, to be looked at and sent anew: of a failed one that is not the token's fault.
    pub dead_letter: Option<Message>,
}

/// A token that a provider called dead: to be dropped if it is still the device's and was not registered since, even as
/// the same one. `Debug` shows no token.
#[derive(Clone, PartialEq, Eq)]
pub struct DeadToken {
    /// The token. In no log line.
    pub token: String,
    /// When it was dead: by the provider's word, or when it was asked.
    pub at: UnixMillis,
}

impl fmt::Debug for DeadToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeadToken").field("at", &self.at).finish_non_exhaustive()
    }
}

impl Delivery {
    /// Its device among all tenants'.
    pub fn key(&self) -> DeviceKey {
        DeviceKey { tenant: self.tenant, device: self.device.clone() }
    }
}

impl fmt::Debug for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Delivery")
            .field("push", &self.push)
            .field("device", &self.device)
            .field("origin", &self.origin)
            .field("outcome", &self.outcome)
            .field("reason", &self.reason)
            .field("attempts", &self.attempts)
            .finish_non_exhaustive()
    }
}

macro_rules! named {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $name { $($(#[$vdoc])* $variant,)* }

        impl $name {
            /// Every one of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// As the API and the log write it.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }

            /// Reads what [`Self::as_str`] wrote.
            pub fn parse(text: &str) -> Option<Self> {
                match text { $($text => Some(Self::$variant),)* _ => None }
            }
        }
    };
}

named! {
    /// How a push ended.
    Outcome {
        /// The provider took it.
        Accepted = "accepted",
        /// It can't be sent.
        Failed = "failed",
        /// It was decided not to send it.
        Suppressed = "suppressed",
        /// Its time ran out first.
        Expired = "expired",
        /// Not an end: it waits in a topic of retries.
        Deferred = "deferred",
    }
}

named! {
    /// Why a push was not accepted: a closed list.
    Reason {
        /// Suppressed: the transition was older than the trigger's `max_age_s`.
        Stale = "stale",
        /// Suppressed: the device is not registered.
        NoDevice = "no_device",
        /// Suppressed: the device has no push token.
        NoToken = "no_token",
        /// Suppressed: the device's owner does not want pushes.
        NoConsent = "no_consent",
        /// Suppressed: the campaign pushed to the device a short while ago.
        Cooldown = "cooldown",
        /// Suppressed: the device is not in the audience.
        Audience = "audience",
        /// Suppressed: the campaign does not push at this time, by its dates or its hours.
        Hours = "hours",
        /// Suppressed: it was the tenant's quiet hours.
        QuietHours = "quiet_hours",
        /// Suppressed: the device got as many pushes as the tenant's caps allow.
        Capped = "capped",
        /// Suppressed: the tenant has pushed as often today as its quota allows.
        Quota = "quota",
        /// Suppressed: the device is one of those that the campaign is compared with.
        Holdout = "holdout",
        /// Suppressed: the message's template failed for the device.
        Template = "template",
        /// Suppressed: the send was cancelled, or the campaign is no longer active.
        Cancelled = "cancelled",
        /// Suppressed: the app has no credentials for the device's provider.
        NoApp = "no_app",
        /// Failed: the provider says that the token is no longer good.
        DeadToken = "dead_token",
        /// Failed: the provider does not accept the app's credentials.
        BadCredentials = "bad_credentials",
        /// Failed: the provider does not accept the message.
        BadMessage = "bad_message",
        /// Failed: the message is larger than the provider takes.
        TooLarge = "too_large",
        /// Expired: the provider could not be reached or asked to wait until the push's time ran out.
        ProviderUnavailable = "provider_unavailable",
        /// Failed: the provider answered what it never should.
        ProviderError = "provider_error",
    }
}

impl Outcome {
    /// Whether nothing more will happen to the push.
    pub fn is_end(self) -> bool {
        self != Self::Deferred
    }

    fn wire(self) -> v1::Outcome {
        match self {
            Self::Accepted => v1::Outcome::Accepted,
            Self::Failed => v1::Outcome::Failed,
            Self::Suppressed => v1::Outcome::Suppressed,
            Self::Expired => v1::Outcome::Expired,
            Self::Deferred => v1::Outcome::Deferred,
        }
    }

    fn of_wire(outcome: v1::Outcome) -> Option<Self> {
        Self::ALL.iter().copied().find(|o| o.wire() == outcome)
    }
}

impl Wire for Delivery {
    fn encode(&self) -> Bytes {
        let device = self.device.as_str();
        let message_id = self.provider_message_id.as_deref().unwrap_or_default();
        let (token, dead_at) =
            self.dead_token.as_ref().map_or(("", 0), |dead| (dead.token.as_str(), dead.at.0));
        let texts = device.len() + self.app.len() + message_id.len() + token.len();
        let mut record = Writer::with_room(FIXED + texts);
        record.bytes(1, self.push.0.as_bytes());
        record.bytes(2, self.tenant.0.as_bytes());
        record.bytes(3, device.as_bytes());
        record.given(4, &self.origin.written());
        record.bytes(5, self.app.as_bytes());
        record.number(6, enumerated(Provider::wire(self.provider)));
        record.number(7, enumerated(self.outcome.wire()));
        record.bytes(8, self.reason.map_or("", Reason::as_str).as_bytes());
        record.number(9, self.attempts.into());
        record.signed(10, self.created_at.0);
        record.signed(11, self.finished_at.0);
        record.bytes(12, message_id.as_bytes());
        record.bytes(13, token.as_bytes());
        if let Some(variant) = &self.variant {
            record.given(14, variant.as_bytes());
        }
        record.number(15, self.deferrals.into());
        if let Some(dead_letter) = &self.dead_letter {
            record.message(16, &v1::Message::from(dead_letter));
        }
        record.signed(17, dead_at);
        record.done()
    }

    fn decode(bytes: &[u8]) -> Result<Self, WireError> {
        wire::parse::<v1::Delivery>(bytes)?.try_into()
    }
}

/// As much as a record has beside its texts, mostly.
const FIXED: usize = 160;

fn enumerated(value: impl Into<i32>) -> u64 {
    i64::from(value.into()).cast_unsigned()
}

impl TryFrom<v1::Delivery> for Delivery {
    type Error = WireError;

    fn try_from(d: v1::Delivery) -> Result<Self, WireError> {
        let text = |text: String| (!text.is_empty()).then_some(text);
        let dead_at = UnixMillis(if d.dead_token_at_ms == 0 { d.finished_at_ms } else { d.dead_token_at_ms });
        Ok(Self {
            provider: Provider::of_wire(d.provider()),
            outcome: wire::present(Outcome::of_wire(d.outcome()), "outcome")?,
            push: PushId(wire::uuid(&d.push, "push")?),
            tenant: TenantId(wire::uuid(&d.tenant, "tenant")?),
            device: wire::device(&d.device)?,
            origin: wire::present(d.origin, "origin")?.try_into()?,
            app: d.app,
            reason: text(d.reason)
                .map(|reason| wire::present(Reason::parse(&reason), "reason"))
                .transpose()?,
            attempts: d.attempts,
            created_at: UnixMillis(d.created_at_ms),
            finished_at: UnixMillis(d.finished_at_ms),
            provider_message_id: text(d.provider_message_id),
            dead_token: text(d.dead_token).map(|token| DeadToken { token, at: dead_at }),
            variant: d.variant,
            deferrals: d.deferrals,
            dead_letter: d.dead_letter.map(Into::into),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::option;
    use proptest::prelude::*;
    use prost::Message as _;
    use uuid::Uuid;

    use super::*;
    use crate::{CampaignId, CauseId, SendId, Source};

    /// By the generated types, which are the specification.
    fn specified(d: &Delivery) -> Vec<u8> {
        v1::Delivery {
            push: wire::bytes_of(d.push.0),
            tenant: wire::bytes_of(d.tenant.0),
            device: d.device.as_str().to_owned(),
            origin: Some(d.origin.into()),
            app: d.app.clone(),
            provider: Provider::wire(d.provider).into(),
            outcome: d.outcome.wire().into(),
            reason: d.reason.map(Reason::as_str).unwrap_or_default().to_owned(),
            attempts: d.attempts,
            created_at_ms: d.created_at.0,
            finished_at_ms: d.finished_at.0,
            provider_message_id: d.provider_message_id.clone().unwrap_or_default(),
            dead_token: d.dead_token.as_ref().map(|dead| dead.token.clone()).unwrap_or_default(),
            dead_token_at_ms: d.dead_token.as_ref().map_or(0, |dead| dead.at.0),
            variant: d.variant.clone(),
            deferrals: d.deferrals,
            dead_letter: d.dead_letter.as_ref().map(Into::into),
        }
        .encode_to_vec()
    }

    fn a_delivery() -> impl Strategy<Value = Delivery> {
        let ids = (any::<[u128; 4]>(), any::<bool>(), "[a-z]{1,9}", ".{0,6}");
        let provider = option::of(prop_oneof![Just(Provider::Fcm), Just(Provider::Apns)]);
        let end = (0..Outcome::ALL.len(), option::of(0..Reason::ALL.len()), provider);
        let numbers = (any::<u32>(), any::<u32>(), any::<i64>(), any::<i64>(), any::<i64>());
        let said = (option::of(".{0,5}"), option::of(".{0,5}"), option::of(".{0,3}"), option::of(".{0,3}"));
        (ids, end, numbers, said).prop_map(|(ids, (outcome, reason, provider), numbers, said)| {
            let ([push, tenant, source, cause], is_send, device, app) = ids;
            let (attempts, deferrals, created_at, finished_at, dead_at) = numbers;
            let (provider_message_id, token, variant, title) = said;
            let id = Uuid::from_u128(source);
            let source = if is_send { Source::Send(SendId(id)) } else { Source::Campaign(CampaignId(id)) };
            Delivery {
                push: PushId(Uuid::from_u128(push)),
                tenant: TenantId(Uuid::from_u128(tenant)),
                device: DeviceId::new(&device).unwrap(),
                origin: Origin { source, cause: CauseId(Uuid::from_u128(cause)) },
                app,
                provider,
                outcome: Outcome::ALL[outcome],
                reason: reason.map(|reason| Reason::ALL[reason]),
                attempts,
                created_at: UnixMillis(created_at),
                finished_at: UnixMillis(finished_at),
                provider_message_id,
                dead_token: token.map(|token| DeadToken { token, at: UnixMillis(dead_at) }),
                variant,
                deferrals,
                dead_letter: title.map(|title| Message { title, ..Message::default() }),
            }
        })
    }

    proptest! {
        #[test]
        fn an_end_is_written_as_the_generated_types_write_it(delivery in a_delivery()) {
            prop_assert_eq!(&delivery.encode()[..], &specified(&delivery)[..]);
        }
    }
}
