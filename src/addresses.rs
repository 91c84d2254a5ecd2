//! Where a process listens: `DIR/addresses.json`, so that scripts find ports that were taken freely.

use std::io;
use std::net::SocketAddr;
use std::path::Path;

use serde_json::json;

/// Where a process listens.
#[derive(Clone, Copy, Debug, Default)]
pub struct Addresses {
    /// Phones.
    pub ingest: Option<SocketAddr>,
    /// Merchants.
    pub api: Option<SocketAddr>,
    /// Operators.
    pub admin: Option<SocketAddr>,
}

impl Addresses {
    /// The file's name in the data directory.
    pub const FILE: &'static str = "addresses.json";

    /// Removes what an earlier process wrote: its addresses are nobody's now.
    ///
    /// # Errors
    /// When the directory can't be written.
    pub fn forget(dir: &Path) -> io::Result<()> {
        match std::fs::remove_file(dir.join(Self::FILE)) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
            _ => Ok(()),
        }
    }

    /// Writes `DIR/addresses.json` whole or not at all: who waits for it never reads half of it.
    ///
    /// # Errors
    /// When the directory can't be written.
    pub fn write(&self, dir: &Path) -> io::Result<()> {
        let text = |addr: Option<SocketAddr>| addr.map(|addr| reachable(addr).to_string());
        let json = json!({"ingest": text(self.ingest), "api": text(self.api), "admin": text(self.admin)});
        let fresh = dir.join("addresses.json.new");
        std::fs::write(&fresh, format!("{json:#}\n"))?;
        std::fs::rename(fresh, dir.join(Self::FILE))
    }
}

/// An address that a client on this machine can connect to: a server on every interface is on loopback too.
pub(crate) fn reachable(addr: SocketAddr) -> SocketAddr {
    let ip = match addr.ip() {
        ip if !ip.is_unspecified() => ip,
        std::net::IpAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
        std::net::IpAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
    };
    SocketAddr::new(ip, addr.port())
}
