//! What a push or a suppressed delivery is made of, whatever it came from.

use geopush_model::{
    Delivery, DeviceId, Origin, Outcome, Provider, Push, PushId, Reason, TenantId, UnixMillis,
};
use geopush_registry::{AppProviders, Device, Platform};

use super::context::{CauseContext, context};
use super::{Decision, Facts};
use crate::plan::index::PlannedMessage;

/// Where a push goes.
pub(super) struct Address {
    provider: Provider,
    token: String,
    token_at: UnixMillis,
}

/// A device that is registered for another app has no token of this one, so the app can't reach it.
pub(super) fn address<V>(device: &Device, app: &str, facts: &Facts<'_, V>) -> Result<Address, Reason> {
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

/// What is decided on.
pub(super) struct Case<'a> {
    pub(super) tenant: TenantId,
    pub(super) device: &'a DeviceId,
    pub(super) origin: Origin,
    pub(super) app: &'a str,
    pub(super) variant: Option<&'a str>,
    pub(super) received_at: Option<UnixMillis>,
}

impl Case<'_> {
    /// A push, unless the tenant's quota is used up or the message can't be filled in.
    pub(super) fn pushed<V>(
        self,
        address: Address,
        message: &PlannedMessage,
        device: &Device,
        cause: &CauseContext<'_>,
        facts: &Facts<'_, V>,
    ) -> Decision {
        if facts.quota.is_some_and(|left| left.get() == 0) {
            return self.suppressed(Reason::Quota, facts.now);
        }
        let Ok(message) = message else { return self.suppressed(Reason::Template, facts.now) };
        let Ok(message) = message.render(device.locale.as_deref(), || context(device, cause)) else {
            return self.suppressed(Reason::Template, facts.now);
        };
        if let Some(left) = facts.quota {
            left.set(left.get() - 1);
        }
        let ttl_ms = message.ttl_s.map_or(facts.ttl_ms, |s| s.saturating_mul(1_000));
        Decision::Push(Push {
            id: self.id(),
            tenant: self.tenant,
            device: self.device.clone(),
            origin: self.origin,
            app: self.app.to_owned(),
            provider: address.provider,
            token: address.token,
            token_at: address.token_at,
            message: message.into(),
            created_at: facts.now,
            expires_at: facts.now.plus_ms(ttl_ms),
            received_at: self.received_at,
            variant: self.variant.map(str::to_owned),
        })
    }

    pub(super) fn suppressed(&self, reason: Reason, now: UnixMillis) -> Decision {
        Decision::Suppressed(Delivery {
            push: self.id(),
            tenant: self.tenant,
            device: self.device.clone(),
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
            variant: self.variant.map(str::to_owned),
            deferrals: 0,
            dead_letter: None,
        })
    }

    fn id(&self) -> PushId {
        PushId::of(self.tenant, self.origin.source.id(), self.device, self.origin.cause)
    }
}
