//! Whom we trust.

use std::sync::Arc;

use rustls::crypto::ring::default_provider;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;

/// The one protocol that both providers speak (RFC 9113, section 3.2).
const ALPN_HTTP2: &[u8] = b"h2";

/// Why TLS could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The further root can't be read.
    #[error(
        "the certificates of `provider_ca` can't be used ({0}); give a PEM file with one or more certificates"
    )]
    Root(String),
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
