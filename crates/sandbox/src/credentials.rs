//! The keys that a client signs with: a Google service account and an APNs authentication key.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use graviola::signing::rsa::{KeySize, SigningKey};
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::SandboxError;

/// The Firebase project that the FCM stand-in serves.
pub const PROJECT_ID: &str = "geopush-sandbox";
/// The Apple developer team that the APNs key belongs to.
pub const APNS_TEAM_ID: &str = "GEOPUSHTM1";
/// The APNs key's id.
pub const APNS_KEY_ID: &str = "GEOPUSHKY1";
/// The app's bundle id, which pushes to APNs name as their topic.
pub const APNS_TOPIC: &str = "dev.geopush.sandbox";

const CLIENT_EMAIL: &str = "pusher@geopush-sandbox.iam.gserviceaccount.com";

/// A service account: the key file as Google hands it out, and what verifies its signatures.
pub(crate) struct ServiceAccount {
    pub json: Value,
    pub client_email: &'static str,
    pub key_id: String,
    pub token_uri: String,
    /// PKCS#1 `RSAPublicKey`, DER.
    pub public_key: Vec<u8>,
}

impl ServiceAccount {
    /// Makes an RSA key; takes some 0.1 s of CPU, so not on an async thread.
    pub(crate) fn generate(token_uri: &str) -> Result<Self, SandboxError> {
        let unusable = |_| SandboxError::Key;
        let key = SigningKey::generate(KeySize::Rsa2048).map_err(unusable)?;
        let mut buffer = [0; 2048];
        let private_key = pem("PRIVATE KEY", key.to_pkcs8_der(&mut buffer).map_err(unusable)?);
        let mut buffer = [0; 1024];
        let public_key = key.public_key().to_pkcs1_der(&mut buffer).map_err(unusable)?.to_vec();
        let key_id = Uuid::new_v4().simple().to_string();
        let json = json!({
            "type": "service_account",
            "project_id": PROJECT_ID,
            "private_key_id": key_id,
            "private_key": private_key,
            "client_email": CLIENT_EMAIL,
            "client_id": "100000000000000000001",
            "auth_uri": "https://accounts.google.com/o/oauth2/auth",
            "token_uri": token_uri,
            "auth_provider_x509_cert_url": "https://www.googleapis.com/oauth2/v1/certs",
            "client_x509_cert_url":
                format!("https://www.googleapis.com/robot/v1/metadata/x509/{}", CLIENT_EMAIL.replace('@', "%40")),
            "universe_domain": "googleapis.com",
        });
        let token_uri = token_uri.to_owned();
        Ok(Self { json, client_email: CLIENT_EMAIL, key_id, token_uri, public_key })
    }
}

/// An APNs authentication key (`.p8`), and what verifies its signatures.
pub(crate) struct ApnsKey {
    pub pem: String,
    /// The P-256 point, uncompressed.
    pub public_key: Vec<u8>,
}

impl ApnsKey {
    pub(crate) fn generate() -> Result<Self, SandboxError> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        Ok(Self { pem: key.serialize_pem(), public_key: key.public_key_raw().to_vec() })
    }
}

/// RFC 7468: base64 in lines of 64.
fn pem(label: &str, der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let mut pem = format!("-----BEGIN {label}-----\n");
    let mut rest = text.as_str();
    while !rest.is_empty() {
        let (line, next) = rest.split_at(rest.len().min(64));
        pem.push_str(line);
        pem.push('\n');
        rest = next;
    }
    pem.push_str(&format!("-----END {label}-----\n"));
    pem
}
