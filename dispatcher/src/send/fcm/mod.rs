//! Firebase Cloud Messaging, by its HTTP v1 API.

mod answer;
mod auth;
mod form;
mod message;
pub mod rules;
mod token_cache;

use std::sync::Arc;

use async_trait::async_trait;
use geopush_model::{Push, UnixMillis};
use geopush_registry::{AppCredentials, FcmCredentials};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue};

use self::answer::Said;
use self::auth::TokenSource;
use self::form::Forms;
use self::token_cache::TokenCache;
use super::decision::{Decision, Verdict};
use super::device_limits::DeviceLimit;
use super::provider::{CredentialError, Message, NoLane, Provider, Unsendable, Unusable, retry_after};
use super::service::{Means, Opened, Service};
use super::transport::{Answer, Connector, Endpoint};

/// Google's address.
const URL: &str = "https://fcm.googleapis.com";
/// Google's token endpoint.
const TOKEN_URL: &str = "https://oauth2.googleapis.com/token";
/// What a body is, and the credential that its lane adds.
const HEADERS: usize = 2;

/// Firebase, by Google's addresses or by those that apps may name.
pub struct Firebase;

impl Service for Firebase {
    fn open(&self, app: &AppCredentials, means: &Means) -> Result<Opened, NoLane> {
        let app = app.fcm.as_ref().ok_or(NoLane::NoApp)?;
        let endpoint = means.endpoint(app.base_url.as_deref(), URL)?;
        let token_endpoint = means.endpoint(Some(&app.service_account.token_uri), TOKEN_URL)?;
        let connector = means.connector.clone();
        let provider = Box::new(Fcm::new(app, token_endpoint, connector.clone())?);
        Ok(Opened { provider, endpoint, connector })
    }
}

/// An app with FCM.
pub struct Fcm {
    path: String,
    source: Arc<TokenSource>,
    tokens: TokenCache,
    forms: Forms,
}

impl Fcm {
    /// An app with these credentials, whose tokens come from `token_endpoint`.
    ///
    /// # Errors
    /// [`Unusable`]
    pub fn new(
        credentials: &FcmCredentials,
        token_endpoint: Endpoint,
        connector: Connector,
    ) -> Result<Self, Unusable> {
        let account = &credentials.service_account;
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-.:".contains(&byte);
        if account.project_id.is_empty() || !account.project_id.bytes().all(plain) {
            return Err(Unusable("project_id"));
        }
        Ok(Self {
            path: format!("/v1/projects/{}/messages:send", account.project_id),
            source: Arc::new(TokenSource::new(account, token_endpoint, connector)?),
            tokens: TokenCache::default(),
            forms: Forms::default(),
        })
    }
}

#[async_trait]
impl Provider for Fcm {
    fn message(&self, push: &Push, now: UnixMillis) -> Result<Message, Unsendable> {
        let mut headers = HeaderMap::with_capacity(HEADERS);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        Ok(Message {
            path: self.path.clone(),
            headers,
            body: self.forms.of(&push.message, message::form)?.fill(push, now),
        })
    }

    async fn credential(&self, now: UnixMillis) -> Result<Option<HeaderValue>, CredentialError> {
        let source = Arc::clone(&self.source);
        let token = self.tokens.get(now, || async move { source.fetch(now).await }).await;
        token.map(Some)
    }

    fn forget(&self, refused: &HeaderValue) {
        self.tokens.forget(refused);
    }

    fn device_limits(&self, push: &Push) -> &'static [DeviceLimit] {
        rules::device_limits(push.message.android.collapse_key.is_some())
    }

    fn has_shared_quota(&self) -> bool {
        true
    }

    fn judge(&self, _push: &Push, answer: &Answer, now: UnixMillis) -> Verdict {
        let said = Said::parse(&answer.body);
        let rule = rules::rule(answer.status.as_u16(), said.says());
        Verdict {
            decision: rule.decision,
            // FCM does not say since when; an answer is about the token as it was when it was asked about.
            dead_at: (rule.decision == Decision::DropToken).then_some(now),
            source: rule.source,
            retry_after: retry_after(&answer.headers, now),
            said: match rule.decision {
                Decision::Sent => String::new(),
                _ => format!("{} {}", answer.status.as_u16(), said.code.as_deref().unwrap_or_default()),
            },
            message_id: said.name,
        }
    }
}
