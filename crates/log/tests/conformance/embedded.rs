//! The embedded backend's harness.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use geopush_embedded::Database;
use geopush_log::{EmbeddedLog, SharedLog};
use tempfile::TempDir;

use crate::harness::Harness;

pub struct EmbeddedHarness {
    log: SharedLog,
    dir: TempDir,
    later: Mutex<Vec<TempDir>>,
}

impl EmbeddedHarness {
    pub async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self { log: open(&dir).await, dir, later: Mutex::default() }
    }
}

async fn open(dir: &TempDir) -> SharedLog {
    let database = Database::open(dir.path()).unwrap();
    Arc::new(EmbeddedLog::open(database, 4).await.unwrap())
}

#[async_trait]
impl Harness for EmbeddedHarness {
    fn log(&self) -> SharedLog {
        Arc::clone(&self.log)
    }

    /// The files as they lie there while the first log still runs: nothing gets to be tidied up.
    async fn after_a_crash(&self) -> SharedLog {
        let copy = tempfile::tempdir().unwrap();
        for file in ["geopush.db", "geopush.db-wal"] {
            std::fs::copy(self.dir.path().join(file), copy.path().join(file)).unwrap();
        }
        let log = open(&copy).await;
        self.later.lock().unwrap().push(copy);
        log
    }
}
