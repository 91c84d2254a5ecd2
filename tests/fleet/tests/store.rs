//! The store on a real Cassandra: every claim that holds for the embedded one, and what only a cluster can show.

// A claim that can't go on has failed; clippy knows tests by their attribute alone.
#![allow(clippy::unwrap_used, clippy::panic)]

#[macro_use]
#[path = "../../../crates/store/tests/conformance/harness.rs"]
mod harness;

#[path = "../../../crates/store/tests/conformance/across.rs"]
mod across;
#[path = "../../../crates/store/tests/conformance/conditional.rs"]
mod conditional;
#[path = "../../../crates/store/tests/conformance/expiry.rs"]
mod expiry;
#[path = "../../../crates/store/tests/conformance/migration.rs"]
mod migration;
#[path = "../../../crates/store/tests/conformance/newest.rs"]
mod newest;
#[path = "../../../crates/store/tests/conformance/pages.rs"]
mod pages;
#[path = "../../../crates/store/tests/conformance/rows.rs"]
mod rows;
#[path = "../../../crates/store/tests/conformance/tables.rs"]
mod tables;

#[path = "store/faults.rs"]
mod faults;
#[path = "store/look.rs"]
mod look;
#[path = "store/processes.rs"]
mod processes;
#[path = "store/schema.rs"]
mod schema;

mod cql;

use std::sync::Arc;
use std::sync::atomic::AtomicI64;

use geopush_fleet::shared_cql;
use geopush_store::{Backend, CqlOptions, CqlStore};
use harness::Harness;
use uuid::Uuid;

/// How to reach a node that lets anybody in, with keyspaces that nobody else has.
fn options(address: &str) -> CqlOptions {
    let id = Uuid::new_v4().simple().to_string();
    CqlOptions {
        nodes: vec![address.to_owned()],
        keyspace: format!("store_{}", &id[..12]),
        datacenter: None,
        replication: 1,
        credentials: None,
        ca: None,
    }
}

/// Keyspaces of a test's own on the shared node, and one process's store there.
struct OnCassandra {
    options: CqlOptions,
    store: Arc<CqlStore>,
}

impl OnCassandra {
    async fn with(options: CqlOptions) -> Self {
        let store = Arc::new(CqlStore::connect(options.clone()).await.unwrap());
        Self { options, store }
    }
}

impl Harness for OnCassandra {
    async fn start() -> Self {
        let address = tokio::task::spawn_blocking(shared_cql).await.unwrap();
        Self::with(options(address)).await
    }

    fn backend(&self) -> Arc<dyn Backend> {
        Arc::clone(&self.store) as Arc<dyn Backend>
    }

    async fn reopen(self) -> Self {
        let Self { options, store } = self;
        drop(store);
        Self::with(options).await
    }

    /// The database's own, which can only be waited for.
    fn clock(&self) -> Option<&AtomicI64> {
        None
    }
}

conformance!(cassandra, OnCassandra);
