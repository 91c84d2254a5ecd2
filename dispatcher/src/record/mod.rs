//! Writes what happened into the tables that people read: deliveries with their totals, transitions, presence and
//! positions; and drops the tokens that providers called dead.
//!
//! Everything is written again after a crash, from the last commit on, in the same order, with the same keys: rows
//! are put, not added to, and a totals row says up to which offset it counts. So a row is there once, and after the
//! replay everything is as if there had been none. While it runs, what came back a moment ago may be seen once more:
//! a device that left a zone is in it again until its exit is read for the second time.
//!
//! While the store does not answer, this falls behind and loses nothing: positions are committed after the rows.

mod buckets;
mod deliveries;
mod positions;
mod presence;
mod repeats;
mod stage;
mod totals;
mod transitions;
mod write;

use std::sync::Arc;

use geopush_log::{SharedLog, StageError, run_stage};
use geopush_registry::Devices;
use geopush_service::clock::Clock;
use geopush_service::config::Reader;
use geopush_service::health::Readiness;
use geopush_store::Store;
use tokio_util::sync::CancellationToken;

use crate::outage::Patience;
use stage::RecordStage;

/// What can be chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordConfig {
    /// `dispatcher.record_rows`: rows given to the store at once.
    pub rows: usize,
}

impl RecordConfig {
    /// Reads `dispatcher.record_rows`.
    pub fn read(reader: &mut Reader) -> Self {
        let rows =
            reader.key("dispatcher.record_rows", "Rows of history that are given to the store at once");
        Self { rows: rows.within(1..=5_000).or(Self::default().rows) }
    }
}

impl Default for RecordConfig {
    fn default() -> Self {
        Self { rows: 500 }
    }
}

/// What record works with.
#[derive(Clone)]
pub struct RecordDependencies {
    /// What happened comes from it.
    pub log: SharedLog,
    /// Where it goes.
    pub store: Store,
    /// The devices, for dropping dead tokens.
    pub devices: Devices,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// What record says of itself.
    pub readiness: Readiness,
}

/// Runs the stage until `shutdown`.
///
/// # Errors
/// When the log can't be joined at first, or is closed before `shutdown`.
pub async fn serve(
    config: RecordConfig,
    dependencies: RecordDependencies,
    shutdown: CancellationToken,
) -> Result<(), StageError> {
    let RecordDependencies { log, store, devices, clock, readiness } = dependencies;
    readiness.ready();
    let patience = Patience::new("record", readiness, shutdown.clone());
    let stage = RecordStage { store, devices, clock, patience, rows_at_once: config.rows.max(1) };
    run_stage(log, Arc::new(stage), shutdown).await
}
