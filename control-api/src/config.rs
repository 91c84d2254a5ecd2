//! The keys that the API reads.

use std::time::Duration;

use geopush_service::config::{ByteSize, ListenAddr, Reader};

/// How the API runs.
#[derive(Clone, Debug)]
pub struct ApiConfig {
    /// Where merchants connect.
    pub addr: ListenAddr,
    /// The largest body, as sent and when decompressed, where nothing else is said.
    pub max_body: ByteSize,
    /// The largest body of `POST /v1/sends`.
    pub max_send_body: ByteSize,
    /// The largest body of `POST /v1/zones/import`.
    pub max_import_body: ByteSize,
    /// Requests a second of one tenant; above it they are answered 429. 0: no bound.
    pub requests_per_second: u32,
    /// A request that is not answered by then is answered 503; imports may take ten times as long.
    pub timeout: Duration,
    /// Whether apps may name addresses of their own for the providers.
    pub allow_provider_urls: bool,
}

impl ApiConfig {
    /// Reads them.
    pub fn read(reader: &mut Reader) -> Self {
        Self {
            addr: reader.with_default("api.addr", "where merchants connect", ListenAddr::everywhere(8081)),
            max_body: reader.with_default("api.max_body", "the largest body of most calls", ByteSize::mib(1)),
            max_send_body: reader.with_default(
                "api.max_send_body",
                "the largest body of a send",
                ByteSize::mib(16),
            ),
            max_import_body: reader.with_default(
                "api.max_import_body",
                "the largest body of an import of zones",
                ByteSize::mib(256),
            ),
            requests_per_second: reader.with_default(
                "api.requests_per_second",
                "requests a second of one tenant, above which it is answered 429; 0: no bound",
                1_000,
            ),
            timeout: reader
                .key(
                    "api.timeout",
                    "a request that is not answered by then is answered 503; imports: ten times",
                )
                .within(Duration::from_secs(1)..=Duration::from_secs(300))
                .or(Duration::from_secs(30)),
            allow_provider_urls: reader.with_default(
                "allow_provider_urls",
                "whether apps may name their own base_url or token_uri",
                false,
            ),
        }
    }
}
