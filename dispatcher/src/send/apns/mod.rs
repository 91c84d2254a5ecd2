//! The Apple Push Notification service, by provider token.

mod auth;
mod message;
pub mod rules;

use async_trait::async_trait;
use geopush_model::{Push, Reason, UnixMillis};
use geopush_registry::{ApnsCredentials, ApnsEnvironment};
use http::HeaderValue;
use serde::Deserialize;

use self::auth::ProviderToken;
use super::decision::{Decision, Verdict};
use super::provider::{CredentialError, Message, Provider, Unsendable, Unusable, retry_after};
use super::transport::Answer;

/// Apple's addresses.
pub fn url(environment: ApnsEnvironment) -> &'static str {
    match environment {
        ApnsEnvironment::Production => "https://api.push.apple.com",
        ApnsEnvironment::Sandbox => "https://api.sandbox.push.apple.com",
    }
}

/// An app with APNs.
pub struct Apns {
    topic: HeaderValue,
    token: ProviderToken,
}

#[derive(Default, Deserialize)]
struct Said {
    #[serde(default)]
    reason: String,
    /// With 410: when the token was last known to be dead, in ms.
    timestamp: Option<i64>,
}

impl Apns {
    /// An app with these credentials.
    ///
    /// # Errors
    /// [`Unusable`]
    pub fn new(credentials: &ApnsCredentials) -> Result<Self, Unusable> {
        Ok(Self {
            topic: HeaderValue::try_from(&credentials.topic).map_err(|_| Unusable("topic"))?,
            token: ProviderToken::new(&credentials.private_key, &credentials.key_id, &credentials.team_id)?,
        })
    }
}

#[async_trait]
impl Provider for Apns {
    fn message(&self, push: &Push, _now: UnixMillis) -> Result<Message, Unsendable> {
        message::message(push, &self.topic)
    }

    async fn credential(&self, now: UnixMillis) -> Result<HeaderValue, CredentialError> {
        self.token.header(now).map_err(|bad| CredentialError::Refused(bad.to_string()))
    }

    fn forget(&self, refused: &HeaderValue) {
        self.token.forget(refused);
    }

    fn judge(&self, push: &Push, answer: &Answer, now: UnixMillis) -> Verdict {
        let status = answer.status.as_u16();
        let said: Said = serde_json::from_slice(&answer.body).unwrap_or_default();
        let rule = rules::rule(status, &said.reason);
        let decision = match rule.decision {
            // The device has registered since: it is another's word against a token that lives again.
            Decision::DropToken if said.timestamp.is_some_and(|dead_at| push.token_at.0 > dead_at) => {
                Decision::GiveUp(Reason::DeadToken)
            }
            decision => decision,
        };
        let id = answer.headers.get("apns-id").and_then(|id| id.to_str().ok()).map(str::to_owned);
        // An answer is about the token as it was when it was asked about.
        let dead_at = (decision == Decision::DropToken).then(|| said.timestamp.map_or(now, UnixMillis));
        Verdict {
            decision,
            dead_at,
            source: rule.source,
            retry_after: retry_after(&answer.headers, now),
            message_id: id.filter(|_| decision == Decision::Sent),
            said: format!("{status} {}", said.reason),
        }
    }
}
