//! Real Kafka and Cassandra servers for tests, on a machine that has Java 17 and Maven and no container engine.
//!
//! [`Kafka`] (one node or three) and [`Cassandra`] start servers of a test's own, to be killed, paused and started
//! again; [`shared_kafka`] and [`shared_cql`] are one of each for all tests of a process. Cassandra stands for
//! ScyllaDB: the same protocol and the same tables. Jars come from Maven Central at the versions of
//! `servers/*.pom.xml`, are checked against `servers/*.sha256`, and are kept under `target/servers`.
//!
//! [`PushServer`] is a server in Apple's place: pushy's mock in Java, or one of Node's.
//!
//! Servers end with what started them, even when it is killed: a small shell beside each waits for the end of
//! a pipe. A server that can't be had is an error that says how to get it; nothing here is ever skipped. Nothing
//! here knows the product.

mod cassandra;
mod jars;
mod java;
mod kafka;
mod ports;
mod probe;
mod push_server;
mod secured;
mod server;
mod shared;

use std::io;
use std::path::{Path, PathBuf};

pub use cassandra::Cassandra;
pub use jars::{Jars, Product};
pub use kafka::Kafka;
pub use push_server::PushServer;
pub use secured::Secured;
pub use shared::{shared_cql, shared_kafka};

/// Why there is no server.
#[derive(Debug, thiserror::Error)]
pub enum FleetError {
    /// A program that must be on the machine is missing or too old.
    #[error("{what}: get it, e.g. with `apt-get install {package}` on Debian, {otherwise}")]
    Missing {
        /// What was looked for and what was found.
        what: String,
        /// Debian's package.
        package: &'static str,
        /// How else to help oneself.
        otherwise: &'static str,
    },
    /// Maven did not bring the jars.
    #[error("Maven could not get {product}; is its repository reachable? It said:\n{said}")]
    Download {
        /// Which server's.
        product: &'static str,
        /// The end of Maven's output.
        said: String,
    },
    /// The jars are not those that the project names.
    #[error(
        "{product}'s jars are not the project's: {what}. Remove {} and try again; if the same comes back, \
         remove the jar from ~/.m2/repository too",
        at.display()
    )]
    Jars {
        /// Which server's.
        product: &'static str,
        /// Which jar, and what is wrong with it.
        what: String,
        /// Where it is.
        at: PathBuf,
    },
    /// A server ended or was not ready in time.
    #[error("{server} {what}; its log ends so:\n{log}")]
    Server {
        /// Which.
        server: String,
        /// What it did.
        what: String,
        /// The end of its log.
        log: String,
    },
    /// A node was spoken of that is not there.
    #[error("node {0} does not exist; nodes count from 0")]
    NoSuchNode(usize),
    /// A file or a process could not be worked with.
    #[error("{what} {}: {source}", at.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// With which file.
        at: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// Certificates could not be made.
    #[error("could not make certificates: {0}")]
    Certificate(#[from] rcgen::Error),
}

impl FleetError {
    fn io(what: &'static str, at: &Path) -> impl FnOnce(io::Error) -> Self {
        let at = at.to_owned();
        move |source| Self::Io { what, at, source }
    }
}

/// Where jars, ports and running servers' files are: `servers` in cargo's target directory.
pub fn home() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").filter(|dir| !dir.is_empty()).map(PathBuf::from);
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let root = root.canonicalize().unwrap_or(root);
    // A relative directory is relative to where cargo was called, which for tests of a workspace is its root.
    root.join(target.unwrap_or_else(|| "target".into())).join("servers")
}
