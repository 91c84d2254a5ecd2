//! Secrets are written sealed: AES-256-GCM under the deployment's key, bound to the tenant and app they belong to.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use geopush_model::TenantId;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::rand::{SecureRandom as _, SystemRandom};

use crate::AppCredentials;

/// Seals and opens credentials. Cheap to clone.
#[derive(Clone)]
pub struct Sealer {
    key: Arc<LessSafeKey>,
}

/// Why there is no sealer, or something did not open.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// The key's file can't be read or made.
    #[error("the key file {path} could not be used: {source}; check that it is yours to read")]
    File {
        /// Its path.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// The key is not 64 hexadecimal digits.
    #[error("the secrets' key must be 64 hexadecimal digits (32 bytes)")]
    Key,
    /// Sealed with another key, for another app, or broken.
    #[error(
        "the credentials can't be opened with this deployment's key; upload them again or restore the key"
    )]
    Closed,
}

impl Sealer {
    /// A sealer with this key: 64 hexadecimal digits.
    ///
    /// # Errors
    /// [`SealError::Key`]
    pub fn from_hex(key: &str) -> Result<Self, SealError> {
        let bytes = hex::decode(key.trim()).map_err(|_| SealError::Key)?;
        let key = UnboundKey::new(&AES_256_GCM, &bytes).map_err(|_| SealError::Key)?;
        Ok(Self { key: Arc::new(LessSafeKey::new(key)) })
    }

    /// A sealer with the key in this file, which is made, for its owner alone, if it is not there.
    ///
    /// # Errors
    /// When the file can't be read or made, or holds no key.
    pub fn from_file(path: &Path) -> Result<Self, SealError> {
        let failed = |source| SealError::File { path: path.display().to_string(), source };
        match fs::read_to_string(path) {
            Ok(key) => Self::from_hex(&key),
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                let key = hex::encode(random::<32>());
                let mut file = fs::OpenOptions::new()
                    .write(true)
                    .create_new(true)
                    .mode(0o600)
                    .open(path)
                    .map_err(failed)?;
                file.write_all(key.as_bytes()).and_then(|()| file.sync_all()).map_err(failed)?;
                Self::from_hex(&key)
            }
            Err(e) => Err(failed(e)),
        }
    }

    /// Seals an app's credentials.
    pub fn seal(&self, tenant: TenantId, app: &str, credentials: &AppCredentials) -> Bytes {
        let nonce = random::<NONCE_LEN>();
        let mut text = serde_json::to_vec(credentials).expect("credentials are plain JSON");
        self.key
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), bound_to(tenant, app), &mut text)
            .expect("credentials are far smaller than AES-GCM's limit");
        [nonce.as_slice(), &text].concat().into()
    }

    /// Opens what [`Sealer::seal`] sealed for the same app.
    ///
    /// # Errors
    /// [`SealError::Closed`]
    pub fn open(&self, tenant: TenantId, app: &str, sealed: &[u8]) -> Result<AppCredentials, SealError> {
        let (nonce, text) = sealed.split_first_chunk::<NONCE_LEN>().ok_or(SealError::Closed)?;
        let mut text = text.to_vec();
        let open = self
            .key
            .open_in_place(Nonce::assume_unique_for_key(*nonce), bound_to(tenant, app), &mut text)
            .map_err(|_| SealError::Closed)?;
        serde_json::from_slice(open).map_err(|_| SealError::Closed)
    }
}

fn bound_to(tenant: TenantId, app: &str) -> Aad<Vec<u8>> {
    Aad::from(format!("{tenant}/{app}").into_bytes())
}

fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    SystemRandom::new().fill(&mut bytes).expect("the operating system gives random bytes");
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    const NONE: AppCredentials = AppCredentials { fcm: None, apns: None };

    #[test]
    fn what_was_sealed_for_one_app_opens_for_it_alone() {
        let sealer = Sealer::from_hex(&"ab".repeat(32)).unwrap();
        let (tenant, other) = (TenantId(Uuid::from_u128(1)), TenantId(Uuid::from_u128(2)));
        let sealed = sealer.seal(tenant, "shop", &NONE);
        assert_eq!(sealer.open(tenant, "shop", &sealed).unwrap(), NONE);
        for (tenant, app, sealed) in [
            (other, "shop", sealed.clone()),
            (tenant, "other", sealed.clone()),
            (tenant, "shop", sealed.slice(1..)),
            (tenant, "shop", Bytes::new()),
        ] {
            assert!(matches!(sealer.open(tenant, app, &sealed), Err(SealError::Closed)));
        }
        assert!(Sealer::from_hex(&"cd".repeat(32)).unwrap().open(tenant, "shop", &sealed).is_err());
    }

    #[test]
    fn the_key_file_is_made_once_and_read_from_then_on() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secrets.key");
        let tenant = TenantId(Uuid::from_u128(1));
        let sealed = Sealer::from_file(&path).unwrap().seal(tenant, "shop", &NONE);
        assert!(Sealer::from_file(&path).unwrap().open(tenant, "shop", &sealed).is_ok());
    }
}
