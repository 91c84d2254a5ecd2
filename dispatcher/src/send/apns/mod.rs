//! The Apple Push Notification service, by provider token or by certificate.

mod auth;
mod message;
pub mod rules;

use std::sync::Arc;

use async_trait::async_trait;
use geopush_model::{Push, Reason, UnixMillis};
use geopush_registry::{ApnsAuth, ApnsEnvironment, AppCredentials};
use http::HeaderValue;
use serde::Deserialize;

use self::auth::{ProviderToken, ProviderTokens};
use super::decision::{Decision, Verdict};
use super::provider::{CredentialError, Message, NoLane, Provider, Unsendable, Unusable, retry_after};
use super::service::{Means, Opened, Service};
use super::transport::Answer;

/// Apple's addresses.
fn url(environment: ApnsEnvironment) -> &'static str {
    match environment {
        ApnsEnvironment::Production => "https://api.push.apple.com",
        ApnsEnvironment::Sandbox => "https://api.sandbox.push.apple.com",
    }
}

/// Apple, by its own addresses or by those that apps may name.
#[derive(Default)]
pub struct Apple {
    tokens: ProviderTokens,
}

impl Service for Apple {
    fn open(&self, app: &AppCredentials, means: &Means) -> Result<Opened, NoLane> {
        let app = app.apns.as_ref().ok_or(NoLane::NoApp)?;
        let endpoint = means.endpoint(app.base_url.as_deref(), url(app.environment))?;
        let topic = HeaderValue::try_from(&app.topic).map_err(|_| Unusable("topic"))?;
        let (token, connector) = match app.auth().ok_or(Unusable("team_id and key_id, or certificate,"))? {
            ApnsAuth::Token { team_id, key_id, private_key } => {
                (Some(self.tokens.of(private_key, key_id, team_id)?), means.connector.clone())
            }
            ApnsAuth::Certificate { certificate, private_key } => {
                let connector = means.connector.with_identity(certificate, private_key);
                (None, connector.map_err(|_| Unusable("certificate with its private_key"))?)
            }
        };
        Ok(Opened { provider: Box::new(Apns { topic, token }), endpoint, connector })
    }
}

/// An app with APNs.
struct Apns {
    topic: HeaderValue,
    /// None where its connections show a certificate.
    token: Option<Arc<ProviderToken>>,
}

#[derive(Default, Deserialize)]
struct Said {
    #[serde(default)]
    reason: String,
    /// With 410: when the token was last known to be dead, in ms.
    timestamp: Option<i64>,
}

#[async_trait]
impl Provider for Apns {
    fn message(&self, push: &Push, _now: UnixMillis) -> Result<Message, Unsendable> {
        message::message(push, &self.topic)
    }

    async fn credential(&self, now: UnixMillis) -> Result<Option<HeaderValue>, CredentialError> {
        let header = self.token.as_ref().map(|token| token.header(now)).transpose();
        header.map_err(|bad| CredentialError::Refused(bad.to_string()))
    }

    fn forget(&self, refused: &HeaderValue) {
        if let Some(token) = &self.token {
            token.forget(refused);
        }
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
            // Where the server broke down over the first tokens, this may be about their form alone.
            Decision::GiveUp(Reason::BadCredentials)
                if said.reason == "InvalidProviderToken"
                    && self.token.as_ref().is_some_and(|token| token.is_doubtful()) =>
            {
                Decision::RenewCredential
            }
            decision => decision,
        };
        match (&self.token, decision, status) {
            (Some(token), Decision::Sent, _) => token.understood(),
            (Some(token), _, 500) => token.broke(),
            _ => {}
        }
        let id = answer.headers.get("apns-id").and_then(|id| id.to_str().ok()).map(str::to_owned);
        // An answer is about the token as it was when it was asked about.
        let dead_at = (decision == Decision::DropToken).then(|| said.timestamp.map_or(now, UnixMillis));
        Verdict {
            decision,
            dead_at,
            source: rule.source,
            retry_after: retry_after(&answer.headers, now),
            message_id: id.filter(|_| decision == Decision::Sent),
            said: match decision {
                Decision::Sent => String::new(),
                _ => format!("{status} {}", said.reason),
            },
        }
    }
}
