//! What a client of a server with TLS and passwords must know, and the certificates for it.

use std::path::PathBuf;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};

use crate::FleetError;
use crate::server::RunDir;

/// How to be let in.
#[derive(Debug, Clone)]
pub struct Secured {
    /// A PEM file with the authority of the server's certificate, which is valid for `127.0.0.1` and `localhost`.
    pub ca: PathBuf,
    /// A user that may do everything.
    pub username: &'static str,
    /// Their password.
    pub password: &'static str,
}

/// Writes `ca.pem`, and `server.pem` with a key and the chain of its certificate, as Kafka and Cassandra both take it.
pub(crate) fn write_certificates(dir: &RunDir) -> Result<(PathBuf, PathBuf), FleetError> {
    let mut authority = CertificateParams::new(Vec::new())?;
    authority.distinguished_name.push(DnType::CommonName, "Authority of test servers");
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate()?)?;

    let mut leaf = CertificateParams::new(vec!["127.0.0.1".to_owned(), "localhost".to_owned()])?;
    leaf.distinguished_name.push(DnType::CommonName, "Test server");
    leaf.use_authority_key_identifier_extension = true;
    let key = KeyPair::generate()?;
    let leaf = leaf.signed_by(&key, &authority)?;

    let chain = format!("{}{}{}", key.serialize_pem(), leaf.pem(), authority.pem());
    Ok((dir.write("ca.pem", &authority.pem())?, dir.write("server.pem", &chain)?))
}
