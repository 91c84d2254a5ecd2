//! Provider tokens (Apple's "Establishing a token-based connection to APNs").

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use geopush_model::UnixMillis;
use http::HeaderValue;
use ring::digest::{Digest, SHA256, digest};
use serde_json::json;

use crate::send::jwt::{Signer, with_der_signature};
use crate::send::provider::Unusable;

/// "Refresh your token no more than once every 20 minutes and no less than once every 60 minutes."
const LIFE_MS: i64 = 50 * 60_000;
const LEAST_MS: i64 = 20 * 60_000;
/// Keys that are remembered although no app has a lane just now: a lane that comes back goes on with its token.
const MOST_KEYS: usize = 10_000;

/// The tokens of a process: one of each key, whichever apps and connections it is for.
#[derive(Default)]
pub struct ProviderTokens(Mutex<HashMap<[u8; 32], Arc<ProviderToken>>>);

impl ProviderTokens {
    /// The token of this `.p8` key.
    ///
    /// # Errors
    /// [`Unusable`]
    pub fn of(&self, pem: &str, key_id: &str, team_id: &str) -> Result<Arc<ProviderToken>, Unusable> {
        let name = fingerprint(pem, key_id, team_id);
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(token) = known.get(&name) {
            return Ok(Arc::clone(token));
        }
        let token = Arc::new(ProviderToken::new(pem, key_id, team_id)?);
        if known.len() >= MOST_KEYS {
            known.retain(|_, token| Arc::strong_count(token) > 1);
        }
        known.insert(name, Arc::clone(&token));
        Ok(token)
    }
}

fn fingerprint(pem: &str, key_id: &str, team_id: &str) -> [u8; 32] {
    let parts = [pem, key_id, team_id].map(|part| digest(&SHA256, part.as_bytes()));
    let all: Vec<u8> = parts.iter().flat_map(Digest::as_ref).copied().collect();
    digest(&SHA256, &all).as_ref().try_into().expect("SHA-256 gives 32 bytes")
}

/// The one provider token of a key, shared by all connections.
pub struct ProviderToken {
    signer: Signer,
    key_id: String,
    team_id: String,
    /// Whether a push was taken with one of its tokens: then the form of its signature is understood.
    understood: AtomicBool,
    state: Mutex<State>,
}

/// How the signature of a token is written.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Form {
    /// Two numbers of 32 bytes, as RFC 7518 has it.
    #[default]
    Fixed,
    /// In DER. Apple takes both; there are servers that break down, with 500, over all but this one (pushy's mock). So a
    /// key of which nothing was taken yet is tried by it after a 500, and never again once that is refused.
    Der,
    /// Fixed, and not to be left any more.
    Settled,
}

#[derive(Default)]
struct State {
    minted: Option<(UnixMillis, HeaderValue)>,
    form: Form,
    refused: bool,
    /// When it was last minted anew before its time.
    forced_at: Option<UnixMillis>,
}

impl State {
    /// A token that was refused is minted anew, but not over and over: one that is refused as soon as it is made will be
    /// refused again, and Apple counts.
    fn is_due(&self, now: UnixMillis) -> bool {
        let old = self.minted.as_ref().is_none_or(|(at, _)| !(0..LIFE_MS).contains(&now.since_ms(*at)));
        old || self.refused && self.forced_at.is_none_or(|at| !(0..LEAST_MS).contains(&now.since_ms(at)))
    }
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
            understood: AtomicBool::new(false),
            state: Mutex::default(),
        })
    }

    /// The `authorization` header.
    ///
    /// # Errors
    /// [`Unusable`] when the key can't sign.
    pub fn header(&self, now: UnixMillis) -> Result<HeaderValue, Unusable> {
        let mut state = self.lock();
        if let Some((_, header)) = state.minted.as_ref().filter(|_| !state.is_due(now)) {
            return Ok(header.clone());
        }
        let claims = json!({ "iss": self.team_id, "iat": now.0.div_euclid(1000) });
        let token = self.signer.sign(Some(&self.key_id), &claims)?;
        let token = match state.form {
            Form::Der => with_der_signature(&token).unwrap_or(token),
            Form::Fixed | Form::Settled => token,
        };
        let mut header =
            HeaderValue::try_from(format!("bearer {token}")).map_err(|_| Unusable("private_key"))?;
        header.set_sensitive(true);
        let forced_at = if state.refused { Some(now) } else { state.forced_at };
        *state = State { minted: Some((now, header.clone())), form: state.form, refused: false, forced_at };
        Ok(header)
    }

    /// A push was taken.
    pub fn understood(&self) {
        if !self.understood.load(Ordering::Relaxed) {
            self.understood.store(true, Ordering::Relaxed);
        }
    }

    /// The server broke down over a push: maybe over the token.
    pub fn broke(&self) {
        let mut state = self.lock();
        if state.form == Form::Fixed && !self.understood.load(Ordering::Relaxed) {
            (state.form, state.minted) = (Form::Der, None);
        }
    }

    /// Whether a token that the server calls invalid may be so for its form; then the next has the usual one.
    pub fn is_doubtful(&self) -> bool {
        let mut state = self.lock();
        if state.form == Form::Fixed || self.understood.load(Ordering::Relaxed) {
            return false;
        }
        if state.form == Form::Der {
            (state.form, state.minted) = (Form::Settled, None);
        }
        true
    }

    /// Has the token minted anew if it is still this one.
    pub fn forget(&self, refused: &HeaderValue) {
        let mut state = self.lock();
        if state.minted.as_ref().is_some_and(|(_, header)| header == refused) {
            state.refused = true;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
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
        ProviderToken::new(&key_pem(), "KEY", "TEAM").unwrap()
    }

    fn key_pem() -> String {
        let key =
            EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new()).unwrap();
        let text = STANDARD.encode(key.as_ref());
        format!("-----BEGIN PRIVATE KEY-----\n{text}\n-----END PRIVATE KEY-----\n")
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
    fn a_token_that_is_refused_again_is_not_minted_over_and_over() {
        let token = token();
        let first = token.header(UnixMillis(0)).unwrap();
        token.forget(&first);
        let second = token.header(UnixMillis(1)).unwrap();
        token.forget(&second);
        assert_eq!(token.header(UnixMillis(2)).unwrap(), second);
        assert_eq!(token.header(UnixMillis(LEAST_MS)).unwrap(), second);
        assert_ne!(token.header(UnixMillis(LEAST_MS + 1)).unwrap(), second);
    }

    fn signature(token: &ProviderToken) -> usize {
        let header = token.header(UnixMillis(1)).unwrap();
        let token = header.to_str().unwrap().rsplit_once('.').unwrap().1.to_owned();
        base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(token).unwrap().len()
    }

    #[test]
    fn a_server_that_breaks_down_over_the_first_tokens_is_shown_the_other_form_once() {
        let token = token();
        assert!(signature(&token) == 64 && !token.is_doubtful(), "an invalid token is one, at first");
        token.broke();
        assert!(signature(&token) > 64);
        assert!(token.is_doubtful() && token.is_doubtful(), "of each push that was sent with it");
        token.broke();
        assert_eq!(signature(&token), 64);
    }

    #[test]
    fn a_form_that_was_understood_is_kept() {
        let token = token();
        token.understood();
        token.broke();
        assert!(signature(&token) == 64 && !token.is_doubtful());
    }

    #[test]
    fn apps_of_one_key_share_its_token_and_others_do_not() {
        let (tokens, pem) = (ProviderTokens::default(), key_pem());
        let header =
            |pem: &str, key_id: &str| tokens.of(pem, key_id, "TEAM").unwrap().header(UnixMillis(0)).unwrap();
        let first = header(&pem, "KEY");
        assert_eq!(header(&pem, "KEY"), first);
        assert_ne!(header(&pem, "YEK"), first);
        assert_ne!(header(&key_pem(), "KEY"), first);
    }

    #[test]
    fn a_key_of_another_kind_is_refused() {
        assert!(ProviderToken::new("no key", "KEY", "TEAM").is_err());
    }
}
