//! Turns a send to many into one request a device, page by page; and lets the campaigns run that go by the clock.
//!
//! A job names one shard of a send's devices and the last device that is done: its listed devices, or one bucket of all
//! of the tenant's, of which those are asked for that are in its audience. Consuming it commits one page of requests
//! together with the job of the next page, so that however a process dies, every device is asked for exactly once; and
//! the next page goes to the end of the queue, so that a large send does not hold up a small one.
//!
//! Before a page is committed, its shard's row says how far it is: what is asked for is always counted. A job can wait
//! ([`hand`]) for its time ([`pace`]), or until less of its tenant's is under way.
//!
//! A campaign that goes by the clock belongs to one slice, by its id. When it is due ([`ticks`]) the slice commits the
//! first jobs of the run together with the time up to which it has looked.

mod config;
mod followed;
mod hand;
mod job;
mod note;
mod pace;
mod page;
mod reads;
mod stage;
mod ticks;
mod turns;

use std::sync::Arc;

use geopush_log::{SharedLog, StageError, run_stage};
use geopush_registry::{Devices, Directory};
use geopush_service::clock::Clock;
use geopush_service::health::Readiness;
use geopush_store::Store;
use tokio_util::sync::CancellationToken;

use crate::outage::Patience;
use followed::Followed;
use job::Expander;
use reads::Reads;
use stage::ExpandStage;

pub use config::ExpandConfig;

/// What expand works with.
#[derive(Clone)]
pub struct ExpandDependencies {
    /// Jobs and campaigns come from it, requests go to it.
    pub log: SharedLog,
    /// The sends and how far they are.
    pub store: Store,
    /// The devices as they are now.
    pub devices: Devices,
    /// The tenants' time zones.
    pub directory: Arc<Directory>,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// What expand says of itself.
    pub readiness: Readiness,
}

/// Runs the stage until `shutdown`.
///
/// # Errors
/// When the log can't be followed or joined at first, or is closed before `shutdown`.
pub async fn serve(
    config: ExpandConfig,
    dependencies: ExpandDependencies,
    shutdown: CancellationToken,
) -> Result<(), StageError> {
    let ExpandDependencies { log, store, devices, directory, clock, readiness } = dependencies;
    let followed = Arc::new(Followed::start(&log).await?);
    readiness.ready();
    let patience = Patience::new("expand", readiness, shutdown.clone());
    let reads = Reads { store, devices, followed: Arc::clone(&followed) };
    let expander = Expander::new(
        config,
        reads,
        patience,
        Arc::clone(&clock),
        Arc::clone(&followed),
        Arc::clone(&directory),
    );
    let stage = ExpandStage { expander, followed, directory, clock };
    run_stage(log, Arc::new(stage), shutdown).await
}
