//! Google's OAuth 2.0 token endpoint for service accounts: a signed assertion (RFC 7523) for an access token.
//!
//! Errors and their texts follow Google's "Using OAuth 2.0 for Server to Server Applications".

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};

use ring::signature::RSA_PKCS1_2048_8192_SHA256;
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::credentials::ServiceAccount;
use crate::jws::Jws;

const GRANT_TYPE: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
/// What a token lives, in seconds.
pub(crate) const LIFETIME_S: i64 = 3599;
/// An assertion's longest life, and how far its clock may be off, in seconds.
const ASSERTION_S: i64 = 3600;
const SKEW_S: i64 = 300;
/// The scopes that allow sending messages.
const MESSAGING: [&str; 2] =
    ["https://www.googleapis.com/auth/firebase.messaging", "https://www.googleapis.com/auth/cloud-platform"];
/// Google's own names for the endpoint, now and before: its client libraries write one of them as the audience,
/// whatever the key file's `token_uri` says.
const AUDIENCES: [&str; 3] = [
    "https://oauth2.googleapis.com/token",
    "https://accounts.google.com/o/oauth2/token",
    "https://www.googleapis.com/oauth2/v4/token",
];
const SCOPE_PREFIX: &str = "https://www.googleapis.com/auth/";
const MAX_TOKENS: usize = 10_000;

#[derive(Debug, Deserialize)]
struct Claims {
    iss: Option<String>,
    scope: Option<String>,
    aud: Option<String>,
    iat: Option<i64>,
    exp: Option<i64>,
}

/// A refused request for a token: always status 400.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Refused {
    error: &'static str,
    description: String,
}

impl Refused {
    fn new(error: &'static str, description: impl Into<String>) -> Self {
        Self { error, description: description.into() }
    }

    pub(crate) fn body(&self) -> Value {
        json!({ "error": self.error, "error_description": self.description })
    }
}

/// What a bearer token is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    Messaging,
    /// Known, but without a scope for messaging.
    Elsewhere,
    /// Never minted here, or expired.
    None,
}

#[derive(Debug, Clone, Copy)]
struct Minted {
    expires_s: i64,
    access: Access,
}

/// The access tokens that are valid.
#[derive(Debug, Default)]
pub(crate) struct AccessTokens {
    minted: RwLock<HashMap<String, Minted>>,
}

impl AccessTokens {
    pub(crate) fn access(&self, token: &str, now_s: i64) -> Access {
        let minted = self.minted.read().unwrap_or_else(PoisonError::into_inner);
        match minted.get(token) {
            Some(minted) if now_s < minted.expires_s => minted.access,
            _ => Access::None,
        }
    }

    fn mint(&self, access: Access, now_s: i64) -> String {
        let token = format!("ya29.c.{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple());
        let mut minted = self.minted.write().unwrap_or_else(PoisonError::into_inner);
        if minted.len() >= MAX_TOKENS {
            minted.retain(|_, minted| now_s < minted.expires_s);
        }
        if minted.len() >= MAX_TOKENS {
            minted.clear();
        }
        minted.insert(token.clone(), Minted { expires_s: now_s + LIFETIME_S, access });
        token
    }

    /// Answers a form-encoded token request.
    pub(crate) fn grant(&self, account: &ServiceAccount, form: &[u8], now_s: i64) -> Result<Value, Refused> {
        let form: HashMap<_, _> = form_urlencoded::parse(form).collect();
        let grant_type = form.get("grant_type").map_or("", AsRef::as_ref);
        if grant_type != GRANT_TYPE {
            return Err(Refused::new("unsupported_grant_type", format!("Invalid grant_type: {grant_type}")));
        }
        let assertion = form
            .get("assertion")
            .ok_or_else(|| Refused::new("invalid_request", "Missing required parameter: assertion"))?;
        let access = assertion_access(account, assertion, now_s)?;
        let token = self.mint(access, now_s);
        Ok(json!({ "access_token": token, "expires_in": LIFETIME_S, "token_type": "Bearer" }))
    }
}

fn assertion_access(account: &ServiceAccount, assertion: &str, now_s: i64) -> Result<Access, Refused> {
    let invalid = |description: &str| Refused::new("invalid_grant", description);
    let jws = Jws::<Claims>::parse(assertion).ok_or_else(|| {
        invalid("Invalid JWT: Failed to parse the assertion; give header.claims.signature.")
    })?;
    let claims = &jws.claims;
    if claims.iss.as_deref() != Some(account.client_email) {
        return Err(invalid("Invalid grant: account not found"));
    }
    let known_key = jws.header.kid.as_ref().is_none_or(|kid| *kid == account.key_id);
    let signed = || jws.is_signed_by(&RSA_PKCS1_2048_8192_SHA256, &account.public_key);
    if jws.header.alg != "RS256" || !known_key || !signed() {
        return Err(invalid("Invalid JWT Signature."));
    }
    let audience = claims.aud.as_deref().unwrap_or_default();
    if audience != account.token_uri && !AUDIENCES.contains(&audience) {
        return Err(invalid("Invalid JWT: Failed audience check. The right audience is the token_uri."));
    }
    let reasonable = match (claims.iat, claims.exp) {
        (Some(iat), Some(exp)) => {
            let life = exp.saturating_sub(iat);
            (1..=ASSERTION_S).contains(&life) && now_s < exp.saturating_add(SKEW_S) && iat <= now_s + SKEW_S
        }
        _ => false,
    };
    if !reasonable {
        return Err(invalid(
            "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe. \
             Check your iat and exp values in the JWT claim.",
        ));
    }
    scopes(claims.scope.as_deref().unwrap_or_default())
}

fn scopes(scope: &str) -> Result<Access, Refused> {
    let asked: Vec<_> = scope.split_ascii_whitespace().collect();
    if asked.is_empty() {
        return Err(Refused::new("invalid_scope", "Invalid OAuth scope or ID token audience provided."));
    }
    let known =
        |scope: &&str| scope.starts_with(SCOPE_PREFIX) || ["openid", "email", "profile"].contains(scope);
    let (valid, invalid): (Vec<_>, Vec<_>) = asked.into_iter().partition(known);
    if !invalid.is_empty() {
        let (valid, invalid) = (valid.join(", "), invalid.join(", "));
        let text = format!("Some requested scopes were invalid. {{valid=[{valid}], invalid=[{invalid}]}}");
        return Err(Refused::new("invalid_scope", text));
    }
    let messaging = valid.iter().any(|scope| MESSAGING.contains(scope));
    Ok(if messaging { Access::Messaging } else { Access::Elsewhere })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_access_token_ends_with_its_lifetime() {
        let tokens = AccessTokens::default();
        let token = tokens.mint(Access::Messaging, 1000);
        assert_eq!(tokens.access(&token, 1000 + LIFETIME_S - 1), Access::Messaging);
        assert_eq!(tokens.access(&token, 1000 + LIFETIME_S), Access::None);
        assert_eq!(tokens.access("made-up", 1000), Access::None);
    }

    #[test]
    fn scopes_without_messaging_give_a_token_for_elsewhere() {
        assert_eq!(scopes("https://www.googleapis.com/auth/firebase.messaging"), Ok(Access::Messaging));
        assert_eq!(scopes("openid https://www.googleapis.com/auth/cloud-platform"), Ok(Access::Messaging));
        assert_eq!(scopes("https://www.googleapis.com/auth/drive"), Ok(Access::Elsewhere));
        assert_eq!(scopes("").unwrap_err().error, "invalid_scope");
        assert_eq!(scopes("nonsense").unwrap_err().error, "invalid_scope");
    }
}
