//! Access tokens for a service account (RFC 7523; Google's "Using OAuth 2.0 for Server to Server Applications").

use std::sync::Arc;

use bytes::Bytes;
use geopush_model::UnixMillis;
use geopush_registry::ServiceAccount;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue};
use serde::Deserialize;
use serde_json::json;

use super::token_cache::AccessToken;
use crate::send::event;
use crate::send::jwt::Signer;
use crate::send::provider::{CredentialError, Unusable, retry_after};
use crate::send::transport::{Answer, Connector, Endpoint};

const SCOPE: &str = "https://www.googleapis.com/auth/firebase.messaging";
const ASSERTION_S: i64 = 3600;

/// Asks for tokens.
pub struct TokenSource {
    connector: Connector,
    endpoint: Arc<Endpoint>,
    signer: Arc<Signer>,
    project: String,
    email: String,
    audience: String,
}

#[derive(Deserialize)]
struct Granted {
    access_token: String,
    expires_in: i64,
}

#[derive(Deserialize)]
struct Refused {
    error: String,
    error_description: Option<String>,
}

impl TokenSource {
    /// For this account.
    ///
    /// # Errors
    /// [`Unusable`]
    pub fn new(account: &ServiceAccount, endpoint: Endpoint, connector: Connector) -> Result<Self, Unusable> {
        Ok(Self {
            connector,
            endpoint: Arc::new(endpoint),
            signer: Arc::new(Signer::rs256(&account.private_key)?),
            project: account.project_id.clone(),
            email: account.client_email.clone(),
            audience: account.token_uri.clone(),
        })
    }

    /// A new token, by a connection of its own: it is wanted once an hour.
    ///
    /// # Errors
    /// [`CredentialError`]
    pub async fn fetch(&self, now: UnixMillis) -> Result<AccessToken, CredentialError> {
        let unavailable = |why: String| CredentialError::Unavailable { why, retry_after: None };
        let issued_s = now.0.div_euclid(1000);
        let claims = json!({
            "iss": self.email,
            "scope": SCOPE,
            "aud": self.audience,
            "iat": issued_s,
            "exp": issued_s + ASSERTION_S,
        });
        let assertion =
            self.signer.sign(None, &claims).map_err(|bad| CredentialError::Refused(bad.to_string()))?;
        let form =
            format!("grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion={assertion}");
        let form_type = HeaderValue::from_static("application/x-www-form-urlencoded");
        let headers = HeaderMap::from_iter([(CONTENT_TYPE, form_type)]);
        let (connection, driver) =
            self.connector.connect(&self.endpoint).await.map_err(|error| unavailable(error.to_string()))?;
        tokio::spawn(driver.run(|_| {}));
        let answer = connection.post("", headers, Bytes::from(form)).await;
        metrics::counter!("geopush_dispatcher_send_token_requests_total").increment(1);
        let read = read(&answer.map_err(|error| unavailable(error.to_string()))?, now);
        if let Err(CredentialError::Refused(why)) = &read {
            event::account_refused(&self.project, why);
        }
        read
    }
}

fn read(answer: &Answer, now: UnixMillis) -> Result<AccessToken, CredentialError> {
    let unavailable = || CredentialError::Unavailable {
        why: format!("the token endpoint answered {}", answer.status),
        retry_after: retry_after(&answer.headers, now),
    };
    match answer.status.as_u16() {
        200 => {
            let granted: Granted = serde_json::from_slice(&answer.body).map_err(|_| unavailable())?;
            let mut header = HeaderValue::try_from(format!("Bearer {}", granted.access_token))
                .map_err(|_| unavailable())?;
            header.set_sensitive(true);
            let life_ms = granted.expires_in.clamp(0, 86_400) * 1000;
            Ok(AccessToken { header, had_at: now, expires_at: now.plus_ms(life_ms) })
        }
        408 | 429 | 500.. => Err(unavailable()),
        status => {
            let said = match serde_json::from_slice::<Refused>(&answer.body) {
                Ok(refused) => format!("{} {}", refused.error, refused.error_description.unwrap_or_default()),
                Err(_) => String::new(),
            };
            Err(CredentialError::Refused(
                format!("the token endpoint answered {status} {said}").trim().to_owned(),
            ))
        }
    }
}
