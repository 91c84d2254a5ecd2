//! Signed tokens in JWS compact form (RFC 7515, section 3.1): where a request carries one,
//! parsing, and checking the signature.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hyper::HeaderMap;
use hyper::header::AUTHORIZATION;
use ring::signature::{UnparsedPublicKey, VerificationAlgorithm};
use serde::Deserialize;
use serde::de::DeserializeOwned;

#[derive(Debug, Deserialize)]
pub(crate) struct Header {
    pub alg: String,
    pub kid: Option<String>,
}

/// A token taken apart; nothing of it is trusted before [`Jws::is_signed_by`].
#[derive(Debug)]
pub(crate) struct Jws<'a, C> {
    pub header: Header,
    pub claims: C,
    signed: &'a str,
    signature: Vec<u8>,
}

impl<'a, C: DeserializeOwned> Jws<'a, C> {
    /// None: not three base64url parts, or a part that doesn't hold what it must.
    pub(crate) fn parse(token: &'a str) -> Option<Self> {
        let (signed, signature) = token.rsplit_once('.')?;
        let (header, claims) = signed.split_once('.')?;
        let part = |text: &str| URL_SAFE_NO_PAD.decode(text).ok();
        Some(Self {
            header: serde_json::from_slice(&part(header)?).ok()?,
            claims: serde_json::from_slice(&part(claims)?).ok()?,
            signed,
            signature: part(signature)?,
        })
    }

    pub(crate) fn is_signed_by(
        &self,
        algorithm: &'static dyn VerificationAlgorithm,
        public_key: &[u8],
    ) -> bool {
        UnparsedPublicKey::new(algorithm, public_key).verify(self.signed.as_bytes(), &self.signature).is_ok()
    }
}

/// The token of an `Authorization: Bearer …` header (RFC 6750, section 2.1).
pub(crate) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}
