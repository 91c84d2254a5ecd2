//! HTTP/2 over TLS to one provider: what both speak, and nothing of what they say.

mod connections;
mod endpoint;
mod http2;
mod tls;

pub use connections::{Connections, Lease, Limits};
pub use endpoint::{BadUrl, Endpoint};
pub use http2::{Answer, Connector, RequestError, Timeouts};
pub use tls::{TlsError, client_config};
