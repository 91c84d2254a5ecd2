//! Whom we trust.

use std::sync::Arc;

use rustls::client::Resumption;
use rustls::crypto::ring::default_provider;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

/// The one protocol that both providers speak (RFC 9113, section 3.2).
const ALPN_HTTP2: &[u8] = b"h2";

/// Sessions that an identity may resume: it speaks to one address.
const SESSIONS: usize = 8;

/// Why TLS could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The further root can't be read.
    #[error(
        "the certificates of `provider_ca` can't be used ({0}); give a PEM file with one or more certificates"
    )]
    Root(String),
    /// A certificate of our own can't be shown.
    #[error("the certificate can't be used ({0}); give it in PEM, with its own key")]
    Identity(String),
    /// The library refused.
    #[error("TLS could not be set up: {0}")]
    Library(#[from] rustls::Error),
}

/// TLS for connections to providers: Mozilla's roots and, if given, those of a PEM file's text.
///
/// # Errors
/// When the text holds no certificate, or one that can't be a root.
pub fn client_config(further_roots_pem: Option<&[u8]>) -> Result<Arc<ClientConfig>, TlsError> {
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    if let Some(pem) = further_roots_pem {
        let known = roots.len();
        for certificate in CertificateDer::pem_slice_iter(pem) {
            let certificate = certificate.map_err(|error| TlsError::Root(error.to_string()))?;
            roots.add(certificate).map_err(|error| TlsError::Root(error.to_string()))?;
        }
        if roots.len() == known {
            return Err(TlsError::Root("there is none in it".into()));
        }
    }
    let mut config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![ALPN_HTTP2.to_vec()];
    Ok(Arc::new(config))
}

/// The same trust, shown with a certificate of our own: its PEM text and that of its key.
///
/// # Errors
/// When there is no certificate in the text, or the key is not its key.
pub fn with_identity(
    trust: &ClientConfig,
    certificate_pem: &str,
    key_pem: &str,
) -> Result<ClientConfig, TlsError> {
    let identity = |error: &dyn std::fmt::Display| TlsError::Identity(error.to_string());
    let chain: Vec<_> = CertificateDer::pem_slice_iter(certificate_pem.as_bytes())
        .collect::<Result<_, _>>()
        .map_err(|error| identity(&error))?;
    if chain.is_empty() {
        return Err(TlsError::Identity("there is none in it".into()));
    }
    let key = PrivateKeyDer::from_pem_slice(key_pem.as_bytes()).map_err(|error| identity(&error))?;
    let certified =
        CertifiedKey::from_der(chain, key, &default_provider()).map_err(|error| identity(&error))?;
    let mut config = trust.clone();
    config.client_auth_cert_resolver = Arc::new(SingleCertAndKey::from(certified));
    // Who resumes a session is who began it: sessions are never another identity's.
    config.resumption = Resumption::in_memory_sessions(SESSIONS);
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_certificates_is_refused() {
        assert!(client_config(None).is_ok());
        let error = client_config(Some(b"hello")).unwrap_err().to_string();
        assert!(error.contains("provider_ca"), "{error}");
    }
}
