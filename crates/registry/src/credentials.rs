//! An app's credentials with the push providers, as merchants upload them.

use std::num::NonZeroU32;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, RsaKeyPair};
use serde::{Deserialize, Serialize};

/// An app's credentials. `Debug` shows no secret.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AppCredentials {
    /// For Firebase Cloud Messaging.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fcm: Option<FcmCredentials>,
    /// For the Apple Push Notification service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub apns: Option<ApnsCredentials>,
}

/// For Firebase Cloud Messaging.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FcmCredentials {
    /// The key file of a service account, as Google gives it.
    pub service_account: ServiceAccount,
    /// Another address than Google's, where the operator allows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_url: Option<String>,
    /// The most messages a minute, where the project's quota is below the operator's `dispatcher.fcm_per_minute`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_minute: Option<NonZeroU32>,
}

impl FcmCredentials {
    /// Whether nothing but the rate differs: connections and tokens stay good.
    pub fn sends_as(&self, other: &Self) -> bool {
        Self { per_minute: None, ..self.clone() } == Self { per_minute: None, ..other.clone() }
    }
}

/// The parts of a service account's key file that sending needs; its others are dropped.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceAccount {
    /// The project that the messages are counted to.
    pub project_id: String,
    /// The account.
    pub client_email: String,
    /// Its RSA key, PKCS #8 in PEM.
    pub private_key: String,
    /// Where tokens are had; Google's where the file says nothing.
    #[serde(default = "google_token_uri")]
    pub token_uri: String,
}

/// For the Apple Push Notification service: by a key's tokens, or by a certificate.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApnsCredentials {
    /// The developer team; of a key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub team_id: Option<String>,
    /// The key's id; of a key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_id: Option<String>,
    /// The app's bundle id.
    pub topic: String,
    /// The `.p8` file: a P-256 key, PKCS #8 in PEM. Or the certificate's own key.
    pub private_key: String,
    /// Instead of a key: the app's push certificate, with those that lead to its root if need be, in PEM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<String>,
    /// Which of Apple's two services.
    pub environment: ApnsEnvironment,
    /// Another address than Apple's, where the operator allows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_url: Option<String>,
    /// The most messages a minute; if the operator sets `dispatcher.apns_per_minute`, at most that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_minute: Option<NonZeroU32>,
}

/// How Apple is shown whose pushes they are.
#[derive(Clone, Copy)]
pub enum ApnsAuth<'a> {
    /// By tokens that a key signs.
    Token {
        /// The developer team.
        team_id: &'a str,
        /// The key's id.
        key_id: &'a str,
        /// A P-256 key, PKCS #8 in PEM.
        private_key: &'a str,
    },
    /// By a certificate.
    Certificate {
        /// In PEM.
        certificate: &'a str,
        /// Its key, PKCS #8 in PEM.
        private_key: &'a str,
    },
}

impl ApnsCredentials {
    /// By what they send; none if they are not whole.
    pub fn auth(&self) -> Option<ApnsAuth<'_>> {
        let private_key = &self.private_key;
        match (&self.certificate, &self.team_id, &self.key_id) {
            (Some(certificate), None, None) => Some(ApnsAuth::Certificate { certificate, private_key }),
            (None, Some(team_id), Some(key_id)) => Some(ApnsAuth::Token { team_id, key_id, private_key }),
            _ => None,
        }
    }

    /// Whether nothing but the rate differs: connections and tokens stay good.
    pub fn sends_as(&self, other: &Self) -> bool {
        Self { per_minute: None, ..self.clone() } == Self { per_minute: None, ..other.clone() }
    }
}

/// Which of Apple's two services.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ApnsEnvironment {
    /// For apps from the store.
    Production,
    /// For apps in development.
    Sandbox,
}

const GOOGLE_TOKEN_URI: &str = "https://oauth2.googleapis.com/token";

fn google_token_uri() -> String {
    GOOGLE_TOKEN_URI.to_owned()
}

/// Something that makes credentials useless or is not allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CredentialError {
    /// JSON pointer of the member.
    pub pointer: &'static str,
    /// `required`, `conflicting`, `invalid_key`, `invalid_certificate`, `invalid_url` or `provider_url_not_allowed`.
    pub code: &'static str,
    /// What to do.
    pub detail: &'static str,
}

impl AppCredentials {
    /// Everything that is wrong with them. A tenant must not aim the sender, so addresses of its own are refused
    /// unless the operator allows them.
    pub fn check(&self, allow_provider_urls: bool) -> Vec<CredentialError> {
        let mut errors = Vec::new();
        let mut refuse = |pointer, code, detail| errors.push(CredentialError { pointer, code, detail });
        let mut check_url = |pointer, url: Option<&str>| match url {
            None => {}
            Some(_) if !allow_provider_urls => refuse(
                pointer,
                "provider_url_not_allowed",
                "leave it out; only an operator who starts with --allow-provider-urls lets apps name addresses",
            ),
            Some(url) if !url.starts_with("https://") => {
                refuse(pointer, "invalid_url", "give an address that begins with https://");
            }
            Some(_) => {}
        };
        if let Some(fcm) = &self.fcm {
            check_url("/fcm/base_url", fcm.base_url.as_deref());
            let token_uri = &fcm.service_account.token_uri;
            check_url(
                "/fcm/service_account/token_uri",
                Some(token_uri.as_str()).filter(|u| *u != GOOGLE_TOKEN_URI),
            );
        }
        if let Some(apns) = &self.apns {
            check_url("/apns/base_url", apns.base_url.as_deref());
        }
        if self.fcm.is_none() && self.apns.is_none() {
            refuse("", "required", "give the credentials of fcm, apns or both");
        }
        if self.fcm.as_ref().is_some_and(|fcm| !is_rsa_key(&fcm.service_account.private_key)) {
            refuse(
                "/fcm/service_account/private_key",
                "invalid_key",
                "give the key file of the service account as it was downloaded: an RSA key in PKCS #8 PEM",
            );
        }
        if let Some(apns) = &self.apns {
            check_apns(apns, &mut refuse);
        }
        errors
    }
}

fn check_apns(apns: &ApnsCredentials, refuse: &mut impl FnMut(&'static str, &'static str, &'static str)) {
    let named = [("/apns/team_id", &apns.team_id), ("/apns/key_id", &apns.key_id)];
    let Some(certificate) = &apns.certificate else {
        for (pointer, _) in named.iter().filter(|(_, id)| id.is_none()) {
            refuse(pointer, "required", "give the team and the key's id, or a certificate instead of both");
        }
        if !is_p256_key(&apns.private_key) {
            let detail = "give the .p8 file as it was downloaded: a P-256 key in PKCS #8 PEM";
            refuse("/apns/private_key", "invalid_key", detail);
        }
        return;
    };
    for (pointer, _) in named.iter().filter(|(_, id)| id.is_some()) {
        refuse(pointer, "conflicting", "leave it out: a certificate names its team itself");
    }
    if pem("CERTIFICATE", certificate).is_none() {
        let detail = "give the certificate in PEM: `openssl pkcs12 -in file.p12 -nokeys` writes it";
        refuse("/apns/certificate", "invalid_certificate", detail);
    }
    if !is_rsa_key(&apns.private_key) && !is_p256_key(&apns.private_key) {
        let detail = "give the certificate's key in PKCS #8 PEM: `openssl pkcs12 -in file.p12 -nocerts -nodes` writes it";
        refuse("/apns/private_key", "invalid_key", detail);
    }
}

fn is_rsa_key(pem: &str) -> bool {
    pkcs8(pem).is_some_and(|der| RsaKeyPair::from_pkcs8(&der).is_ok())
}

fn is_p256_key(pem: &str) -> bool {
    let random = ring::rand::SystemRandom::new();
    pkcs8(pem)
        .is_some_and(|der| EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &der, &random).is_ok())
}

fn pkcs8(text: &str) -> Option<Vec<u8>> {
    pem("PRIVATE KEY", text)
}

/// The DER in the first PEM block of this label.
fn pem(label: &str, text: &str) -> Option<Vec<u8>> {
    let (_, rest) = text.split_once(&format!("-----BEGIN {label}-----"))?;
    let (body, _) = rest.split_once(&format!("-----END {label}-----"))?;
    STANDARD.decode(body.split_whitespace().collect::<String>()).ok()
}

impl std::fmt::Debug for AppCredentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AppCredentials")
            .field("fcm", &self.fcm.is_some())
            .field("apns", &self.apns.is_some())
            .finish_non_exhaustive()
    }
}
