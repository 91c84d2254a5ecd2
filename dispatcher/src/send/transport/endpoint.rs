//! The address of a provider.

use http::Uri;
use http::uri::Authority;
use rustls_pki_types::ServerName;

/// Where requests go: a parsed `https://` URL.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// The host with its port, as `:authority` says it.
    pub authority: Authority,
    /// What precedes every path; empty, or begins with a slash and does not end with one.
    pub prefix: String,
    /// Whom the certificate must name.
    pub name: ServerName<'static>,
    /// The host, to be looked up.
    pub host: String,
    /// The port.
    pub port: u16,
}

/// An address that can't be sent to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the provider's address is not an https:// URL without a query; correct the app's `base_url` or `token_uri`"
)]
pub struct BadUrl;

impl Endpoint {
    /// Reads an address. Only TLS will do: credentials and tokens travel by it.
    ///
    /// # Errors
    /// [`BadUrl`]
    pub fn parse(url: &str) -> Result<Self, BadUrl> {
        let uri: Uri = url.parse().map_err(|_| BadUrl)?;
        let authority = uri.authority().ok_or(BadUrl)?.clone();
        let plain =
            uri.scheme_str() == Some("https") && uri.query().is_none() && !authority.as_str().contains('@');
        if !plain {
            return Err(BadUrl);
        }
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        let name = ServerName::try_from(host.clone()).map_err(|_| BadUrl)?;
        let prefix = uri.path().trim_end_matches('/').to_owned();
        Ok(Self { port: authority.port_u16().unwrap_or(443), authority, prefix, name, host })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_taken_apart() {
        let rows = [
            ("https://fcm.googleapis.com", "fcm.googleapis.com", 443, ""),
            ("https://127.0.0.1:8443/", "127.0.0.1", 8443, ""),
            ("https://[::1]:1/a/b/", "::1", 1, "/a/b"),
        ];
        for (url, host, port, prefix) in rows {
            let endpoint = Endpoint::parse(url).unwrap();
            assert_eq!(
                (endpoint.host.as_str(), endpoint.port, endpoint.prefix.as_str()),
                (host, port, prefix)
            );
        }
    }

    #[test]
    fn what_is_not_tls_or_no_address_is_refused() {
        for url in [
            "http://fcm.googleapis.com",
            "fcm.googleapis.com",
            "https://",
            "https://u@h/",
            "https://h/?q",
            "",
        ] {
            assert_eq!(Endpoint::parse(url).err(), Some(BadUrl), "{url}");
        }
    }
}
