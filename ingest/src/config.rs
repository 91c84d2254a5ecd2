//! The keys that ingest reads.

use std::time::Duration;

use geopush_service::config::{ByteSize, ListenAddr, Reader};

/// How ingest runs.
#[derive(Clone, Debug)]
pub struct IngestConfig {
    /// Where phones connect.
    pub addr: ListenAddr,
    /// The largest body as sent.
    pub max_body: ByteSize,
    /// The largest body when decompressed.
    pub max_decoded: ByteSize,
    /// The most fixes in a request.
    pub max_pings: usize,
    /// Fixes a second of one tenant, in bursts of ten seconds; above it requests are answered 429. 0: no bound.
    pub tenant_pings_per_second: u32,
    /// A request that is not answered by then is answered 503.
    pub timeout: Duration,
}

impl IngestConfig {
    /// Reads them.
    pub fn read(reader: &mut Reader) -> Self {
        Self {
            addr: reader.with_default("ingest.addr", "where phones connect", ListenAddr::everywhere(8080)),
            max_body: reader.with_default("ingest.max_body", "the largest body as sent", ByteSize(1 << 20)),
            max_decoded: reader.with_default(
                "ingest.max_decoded_body",
                "the largest body when decompressed",
                ByteSize(8 << 20),
            ),
            max_pings: reader
                .key("ingest.max_pings", "the most fixes in a request")
                .within(1..=100_000)
                .or(10_000),
            tenant_pings_per_second: reader.with_default(
                "ingest.tenant_pings_per_second",
                "fixes a second of one tenant, in bursts of ten seconds, above which it is answered 429; 0: no bound",
                0,
            ),
            timeout: reader
                .key("ingest.timeout", "a request that is not answered by then is answered 503")
                .within(Duration::from_secs(1)..=Duration::from_secs(300))
                .or(Duration::from_secs(10)),
        }
    }
}
