//! What every backend of the store does, claim by claim, shown on the embedded one. Another backend joins in with a
//! [`Harness`] and the line `conformance!` at the end of this file.

// A claim that can't go on has failed; clippy knows tests by their attribute alone.
#![allow(clippy::unwrap_used)]

#[macro_use]
mod harness;

mod across;
mod conditional;
mod expiry;
mod migration;
mod newest;
mod pages;
mod rows;
mod set_clock;
mod tables;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use geopush_embedded::Database;
use geopush_store::{Backend, EmbeddedStore};

use harness::Harness;

/// The embedded store in a directory of its own.
struct Embedded {
    database: Database,
    backend: Arc<EmbeddedStore>,
    clock: Arc<AtomicI64>,
    dir: tempfile::TempDir,
}

impl Embedded {
    fn open(dir: tempfile::TempDir, clock: Arc<AtomicI64>) -> Self {
        let database = Database::open(dir.path()).unwrap();
        let now = Arc::clone(&clock);
        let backend = EmbeddedStore::with_clock(database.clone(), move || now.load(Ordering::SeqCst));
        Self { database, backend: Arc::new(backend), clock, dir }
    }
}

impl Harness for Embedded {
    async fn start() -> Self {
        Self::open(tempfile::tempdir().unwrap(), Arc::new(AtomicI64::new(1_700_000_000_000)))
    }

    fn backend(&self) -> Arc<dyn Backend> {
        self.backend.clone()
    }

    async fn reopen(self) -> Self {
        self.database.close().await;
        Self::open(self.dir, self.clock)
    }

    fn clock(&self) -> Option<&AtomicI64> {
        Some(&self.clock)
    }
}

conformance!(embedded, Embedded);

claims! { embedded_clock, Embedded,
    set_clock: a_row_is_not_seen_once_its_time_has_run_out, a_put_starts_the_time_again,
        expiring_removes_what_has_run_out_and_nothing_else, an_expired_row_is_absent_to_conditions,
        rows_of_tables_without_a_lifetime_stay;
}
