//! Provider tokens (Apple's "Establishing a token-based connection to APNs").

use std::sync::{Mutex, MutexGuard, PoisonError};

use geopush_model::UnixMillis;
use http::HeaderValue;
use serde_json::json;

use crate::send::jwt::Signer;
use crate::send::provider::Unusable;

/// "Refresh your token no more than once every 20 minutes and no less than once every 60 minutes."
const LIFE_MS: i64 = 50 * 60_000;

/// The one provider token of an app, shared by its connections.
pub struct ProviderToken {
    signer: Signer,
    key_id: String,
    team_id: String,
    minted: Mutex<Option<(UnixMillis, HeaderValue)>>,
}

impl ProviderToken {
    /// Signed with this `.p8` key.
    ///
    /// # Errors
    /// [`Unusable`]
    pub fn new(pem: &str, key_id: &str, team_id: &str) -> Result<Self, Unusable> {
        Ok(Self {
            signer: Signer::es256(pem)?,
            key_id: key_id.to_owned(),
            team_id: team_id.to_owned(),
            minted: Mutex::default(),
        })
    }

    /// The `authorization` header.
    ///
    /// # Errors
    /// [`Unusable`] when the key can't sign.
    pub fn header(&self, now: UnixMillis) -> Result<HeaderValue, Unusable> {
        let mut minted = self.lock();
        if let Some((at, header)) = &*minted
            && (0..LIFE_MS).contains(&now.since_ms(*at))
        {
            return Ok(header.clone());
        }
        let claims = json!({ "iss": self.team_id, "iat": now.0.div_euclid(1000) });
        let token = self.signer.sign(Some(&self.key_id), &claims)?;
        let mut header =
            HeaderValue::try_from(format!("bearer {token}")).map_err(|_| Unusable("private_key"))?;
        header.set_sensitive(true);
        *minted = Some((now, header.clone()));
        Ok(header)
    }

    /// Drops the token if it is still this one.
    pub fn forget(&self, refused: &HeaderValue) {
        let mut minted = self.lock();
        if minted.as_ref().is_some_and(|(_, header)| header == refused) {
            *minted = None;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<(UnixMillis, HeaderValue)>> {
        self.minted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use ring::rand::SystemRandom;
    use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};

    use super::*;

    fn token() -> ProviderToken {
        let key =
            EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new()).unwrap();
        let text = STANDARD.encode(key.as_ref());
        let pem = format!("-----BEGIN PRIVATE KEY-----\n{text}\n-----END PRIVATE KEY-----\n");
        ProviderToken::new(&pem, "KEY", "TEAM").unwrap()
    }

    #[test]
    fn a_token_is_shared_for_fifty_minutes() {
        let token = token();
        let first = token.header(UnixMillis(0)).unwrap();
        assert_eq!(token.header(UnixMillis(LIFE_MS - 1)).unwrap(), first);
        assert_ne!(token.header(UnixMillis(LIFE_MS)).unwrap(), first);
        let after_the_clock_was_put_back = token.header(UnixMillis(5)).unwrap();
        assert_eq!(token.header(UnixMillis(6)).unwrap(), after_the_clock_was_put_back);
    }

    #[test]
    fn a_refused_token_is_minted_anew_once() {
        let token = token();
        let first = token.header(UnixMillis(0)).unwrap();
        token.forget(&first);
        let second = token.header(UnixMillis(1)).unwrap();
        assert_ne!(first, second);
        token.forget(&first);
        assert_eq!(token.header(UnixMillis(1)).unwrap(), second);
    }

    #[test]
    fn a_key_of_another_kind_is_refused() {
        assert!(ProviderToken::new("no key", "KEY", "TEAM").is_err());
    }
}
