//! Keys to the APIs: drawn at random, shown once, kept as hashes.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use geopush_model::{KeyHash, KeyKind};
use ring::rand::SecureRandom as _;

/// A key that was just drawn; its text is not kept.
pub struct NewKey {
    /// What the merchant is given.
    pub text: String,
    /// What it opens.
    pub kind: KeyKind,
    /// What is kept.
    pub hash: KeyHash,
}

impl NewKey {
    /// Draws a key of 192 random bits; its prefix tells what it opens (`gp_sk_` or `gp_pk_`).
    pub fn draw(kind: KeyKind) -> Self {
        let mut bits = [0; 24];
        ring::rand::SystemRandom::new().fill(&mut bits).expect("the operating system gives random bytes");
        let prefix = match kind {
            KeyKind::Secret => "gp_sk_",
            KeyKind::Publishable => "gp_pk_",
        };
        let text = format!("{prefix}{}", URL_SAFE_NO_PAD.encode(bits));
        let hash = hash_of(&text);
        Self { text, kind, hash }
    }
}

/// What is kept of a key. Keys are long random texts, so one round of SHA-256 can't be undone.
pub(crate) fn hash_of(key: &str) -> KeyHash {
    let digest = ring::digest::digest(&ring::digest::SHA256, key.as_bytes());
    KeyHash(digest.as_ref().try_into().expect("SHA-256 has 32 bytes"))
}

/// The words of the `keys` table.
pub(crate) fn kind_text(kind: KeyKind) -> &'static str {
    match kind {
        KeyKind::Secret => "secret",
        KeyKind::Publishable => "publishable",
    }
}

pub(crate) fn parse_kind(text: &str) -> Option<KeyKind> {
    [KeyKind::Secret, KeyKind::Publishable].into_iter().find(|kind| kind_text(*kind) == text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_keys_differ_and_say_what_they_open() {
        let (secret, publishable) = (NewKey::draw(KeyKind::Secret), NewKey::draw(KeyKind::Publishable));
        assert!(secret.text.starts_with("gp_sk_") && publishable.text.starts_with("gp_pk_"));
        assert_ne!(secret.text[6..], publishable.text[6..]);
        assert_eq!(hash_of(&secret.text), secret.hash);
    }
}
