//! The role: follows the zones and the tenants' settings, and runs the stage.

use std::sync::Arc;

use async_trait::async_trait;
use geopush_log::{Follower, LogError, SharedLog, Slice, Stage, StageError, Topic, run_stage};
use geopush_service::BoxError;
use geopush_service::clock::Clock;
use geopush_service::health::Health;
use geopush_service::shutdown::Shutdown;

use super::GeofenceConfig;
use super::pace::Pace;
use super::settings::Settings;
use super::work::Work;
use super::zone_feed::ZoneFeed;

/// What the role needs.
#[derive(Clone)]
pub struct Dependencies {
    /// Where pings, zones and settings come from and transitions go to.
    pub log: SharedLog,
    /// What time it is, for silences.
    pub clock: Arc<dyn Clock>,
    /// Where the role says that it is ready, as `geofence`.
    pub health: Health,
}

/// Runs the role until `shutdown`: it is ready once it has read every zone and setting, and ends once what is
/// in hand is committed.
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
    readiness.not_ready("reading the zones and the tenants' settings");
    let feed = Arc::new(ZoneFeed::new());
    let settings = Arc::new(Settings::default());
    let follower = tokio::select! {
        follower = Followers::start(&log, &feed, &settings) => follower?,
        () = shutdown.requested() => return Ok(()),
    };
    feed.start();
    readiness.ready();
    let stage = Arc::new(Geofence { config, clock, feed, settings, follower, pace: Pace::new() });
    run_stage(log, stage, shutdown.token()).await?;
    Ok(())
}

/// The stage.
pub(super) struct Geofence {
    pub(super) config: GeofenceConfig,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) feed: Arc<ZoneFeed>,
    pub(super) settings: Arc<Settings>,
    pub(super) follower: Followers,
    /// Of slices that judge members of changed zones.
    pub(super) pace: Pace,
}

/// What keeps the zones and the settings up.
pub(super) struct Followers {
    zones: Follower,
    config: Follower,
}

impl Followers {
    async fn start(
        log: &SharedLog,
        feed: &Arc<ZoneFeed>,
        settings: &Arc<Settings>,
    ) -> Result<Self, LogError> {
        let (feed, settings) = (Arc::clone(feed), Arc::clone(settings));
        let zones = Follower::start(log.clone(), Topic::Zones, move |records| feed.apply(records));
        let config = Follower::start(log.clone(), Topic::Config, move |records| settings.apply(records));
        let (zones, config) = tokio::try_join!(zones, config)?;
        Ok(Self { zones, config })
    }

    /// The read barrier: returns when every change of a zone or a setting that was answered before the call is
    /// applied.
    ///
    /// # Errors
    /// When the log can't be reached or is closed.
    pub(super) async fn barrier(&self) -> Result<(), LogError> {
        tokio::try_join!(self.zones.barrier(), self.config.barrier())?;
        Ok(())
    }
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
