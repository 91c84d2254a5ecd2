//! A certificate authority of the sandbox's own, and the servers' certificate under it.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::{Timestamp, ToSpan, tz::TimeZone};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P256_SHA256,
};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};

use crate::SandboxError;
use crate::credentials::APNS_TOPIC;

/// Days that the certificates are valid: a sandbox lives for hours, a compose file's perhaps for months.
const VALID_DAYS: i64 = 365;

pub(crate) struct Authority {
    pub ca_pem: String,
    /// For FCM and its token endpoint: HTTP/2 or HTTP/1.1, as the client asks.
    pub fcm_tls: Arc<ServerConfig>,
    /// For APNs: a client that names protocols must name HTTP/2, else the handshake fails. It may show a certificate.
    pub apns_tls: Arc<ServerConfig>,
    /// A certificate to show to APNs, with its key, in PEM.
    pub apns_client: (String, String),
}

impl Authority {
    /// Makes an authority and a certificate valid for localhost, the loopback addresses and `names`.
    pub(crate) fn new(names: &[String], now: Timestamp) -> Result<Self, SandboxError> {
        let ca_key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let mut ca = params(Vec::<String>::new(), "GeoPush sandbox CA", now)?;
        ca.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        ca.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let ca = CertifiedIssuer::self_signed(ca, ca_key)?;

        let loopback = ["localhost", "127.0.0.1", "::1"].map(str::to_owned);
        let names: BTreeSet<_> = loopback.iter().chain(names).cloned().collect();
        let leaf_key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let mut leaf = params(names.into_iter().collect::<Vec<_>>(), "GeoPush sandbox", now)?;
        leaf.use_authority_key_identifier_extension = true;
        leaf.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let leaf = leaf.signed_by(&leaf_key, &ca)?;

        let client_key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let mut client = params(Vec::new(), &format!("Apple Push Services: {APNS_TOPIC}"), now)?;
        client.use_authority_key_identifier_extension = true;
        client.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        client.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let client = client.signed_by(&client_key, &ca)?;
        let mut roots = RootCertStore::empty();
        roots.add(ca.der().clone())?;
        let roots = Arc::new(roots);

        let server = |alpn: &[&[u8]], certificates: bool| -> Result<Arc<ServerConfig>, SandboxError> {
            let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(leaf_key.serialize_der()));
            let provider = Arc::new(rustls::crypto::ring::default_provider());
            let clients = match certificates {
                true => {
                    WebPkiClientVerifier::builder_with_provider(Arc::clone(&roots), Arc::clone(&provider))
                        .allow_unauthenticated()
                        .build()
                        .map_err(|error| rustls::Error::General(error.to_string()))?
                }
                false => WebPkiClientVerifier::no_client_auth(),
            };
            let mut config = ServerConfig::builder_with_provider(provider)
                .with_safe_default_protocol_versions()?
                .with_client_cert_verifier(clients)
                .with_single_cert(vec![leaf.der().clone()], key)?;
            config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
            Ok(Arc::new(config))
        };
        Ok(Self {
            ca_pem: ca.pem(),
            fcm_tls: server(&[b"h2", b"http/1.1"], false)?,
            apns_tls: server(&[b"h2"], true)?,
            apns_client: (client.pem(), client_key.serialize_pem()),
        })
    }
}

fn params(names: Vec<String>, name: &str, now: Timestamp) -> Result<CertificateParams, SandboxError> {
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name.push(DnType::CommonName, name);
    let day = |offset: i64| {
        let date = now.to_zoned(TimeZone::UTC).date().saturating_add(offset.days());
        rcgen::date_time_ymd(date.year().into(), date.month().unsigned_abs(), date.day().unsigned_abs())
    };
    // From yesterday: a clock a little behind must not refuse it.
    (params.not_before, params.not_after) = (day(-1), day(VALID_DAYS));
    Ok(params)
}
