//! HTTP/2 over TLS to one provider: what both speak, and nothing of what they say.
//!
//! A lane's [`Pool`] says which [`Connection`] carries a request and when there should be more of them or fewer; each
//! connection is kept going by its [`Driver`].

mod cork;
mod driver;
mod endpoint;
mod http2;
mod keepalive;
mod patience;
mod pool;
mod tls;

pub use driver::Change;
pub use endpoint::{BadUrl, Endpoint};
pub use http2::{Answer, Connection, Connector, RequestError, Timeouts};
pub use pool::{Growth, Id, Limits, Pool};
pub use tls::{TlsError, client_config};
