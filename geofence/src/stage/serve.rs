//! The role: follows the zones, and runs the stage.

use std::sync::Arc;

use async_trait::async_trait;
use geopush_log::{Follower, SharedLog, Slice, Stage, StageError, Topic, run_stage};
use geopush_service::BoxError;
use geopush_service::clock::Clock;
use geopush_service::health::Health;
use geopush_service::shutdown::Shutdown;

use super::GeofenceConfig;
use super::work::Work;
use super::zone_feed::ZoneFeed;

/// What the role needs.
#[derive(Clone)]
pub struct Dependencies {
    /// Where pings and zones come from and transitions go to.
    pub log: SharedLog,
    /// What time it is, for silences.
    pub clock: Arc<dyn Clock>,
    /// Where the role says that it is ready, as `geofence`.
    pub health: Health,
}

/// Runs the role until `shutdown`: it is ready once it has read every zone, and ends once what is in hand is
/// committed.
///
/// # Errors
/// When the log can't be reached at first, or is closed before `shutdown`.
pub async fn serve(
    config: GeofenceConfig,
    dependencies: Dependencies,
    shutdown: Shutdown,
) -> Result<(), BoxError> {
    let Dependencies { log, clock, health } = dependencies;
    let readiness = health.register("geofence");
    readiness.not_ready("reading the zones");
    let feed = Arc::new(ZoneFeed::new());
    let applied = Arc::clone(&feed);
    let starting = Follower::start(log.clone(), Topic::Zones, move |records| applied.apply(records));
    let follower = tokio::select! {
        follower = starting => Arc::new(follower?),
        () = shutdown.requested() => return Ok(()),
    };
    feed.start();
    readiness.ready();
    let stage = Arc::new(Geofence { config, clock, feed, follower });
    run_stage(log, stage, shutdown.token()).await?;
    Ok(())
}

/// The stage.
pub(super) struct Geofence {
    pub(super) config: GeofenceConfig,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) feed: Arc<ZoneFeed>,
    pub(super) follower: Arc<Follower>,
}

#[async_trait]
impl Stage for Geofence {
    fn group(&self) -> &'static str {
        "geofence"
    }

    fn inputs(&self) -> &'static [Topic] {
        &[Topic::Pings]
    }

    async fn run(&self, slice: Slice) -> Result<(), StageError> {
        Work::restore(self, slice).await?.run().await
    }
}
