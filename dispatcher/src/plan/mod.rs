//! Decides: a transition or a request of a send becomes a push or a suppressed delivery, once.
//!
//! A device belongs to one slice, so that its causes are decided on in their order, each knowing what was decided
//! before ([`geopush_model::PlanState`]). [`decide`] is the decision; [`index`] finds the campaigns that something
//! triggers. Decisions, the state after them and the positions are one commit. What is held for the end of quiet hours
//! is part of the state, so that it survives; a slice looks at what is due between its batches.

pub mod decide;
pub mod index;
mod outputs;
mod quota;
mod reading;
mod sends;
mod stage;
mod states;
pub mod zone_tags;

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use geopush_log::{Follower, LogError, Received, SharedLog, StageError, Topic, run_stage};
use geopush_model::{Campaign, CampaignId, Wire, Zone, ZoneId};
use geopush_registry::{Devices, Directory};
use geopush_service::clock::Clock;
use geopush_service::config::Reader;
use geopush_service::health::Readiness;
use geopush_store::Store;
use tokio_util::sync::CancellationToken;

use crate::outage::Patience;
use index::Campaigns;
use stage::PlanStage;
use zone_tags::ZoneTags;

/// What can be chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanConfig {
    /// `dispatcher.ttl`: how long a push is worth sending after the decision.
    pub ttl: Duration,
}

impl PlanConfig {
    /// What FCM keeps a message at most: <https://firebase.google.com/docs/cloud-messaging/concept-options#ttl>.
    pub const MAX_TTL: Duration = Duration::from_hours(28 * 24);

    /// Reads `dispatcher.ttl`.
    pub fn read(reader: &mut Reader) -> Self {
        let ttl = reader
            .key("dispatcher.ttl", "How long a push is worth sending after it was decided on")
            .within(Duration::from_secs(1)..=Self::MAX_TTL);
        Self { ttl: ttl.or(Self::default().ttl) }
    }
}

impl Default for PlanConfig {
    fn default() -> Self {
        Self { ttl: Duration::from_hours(24) }
    }
}

/// What plan works with.
#[derive(Clone)]
pub struct PlanDependencies {
    /// Causes come from it, decisions go to it.
    pub log: SharedLog,
    /// History, for audiences that ask for visits.
    pub store: Store,
    /// The devices as they are now.
    pub devices: Devices,
    /// The apps as they are now.
    pub directory: Arc<Directory>,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// What plan says of itself.
    pub readiness: Readiness,
}

/// Runs the stage until `shutdown`.
///
/// # Errors
/// When the log can't be followed or joined at first, or is closed before `shutdown`.
pub async fn serve(
    config: PlanConfig,
    dependencies: PlanDependencies,
    shutdown: CancellationToken,
) -> Result<(), StageError> {
    let PlanDependencies { log, store, devices, directory, clock, readiness } = dependencies;
    let followed = Followed::start(&log).await?;
    readiness.ready();
    let patience = Patience::new("plan", readiness, shutdown.clone());
    let ttl_ms = i64::try_from(config.ttl.min(PlanConfig::MAX_TTL).as_millis()).unwrap_or(i64::MAX);
    let stage = PlanStage { store, devices, directory, clock, followed, patience, ttl_ms };
    run_stage(log, Arc::new(stage), shutdown).await
}

/// The campaigns and the zones' tags, followed.
struct Followed {
    campaigns: Arc<RwLock<Campaigns>>,
    zone_tags: Arc<RwLock<ZoneTags>>,
    campaigns_follower: Follower,
    zones_follower: Follower,
}

impl Followed {
    async fn start(log: &SharedLog) -> Result<Self, LogError> {
        let campaigns = Arc::new(RwLock::new(Campaigns::default()));
        let zone_tags = Arc::new(RwLock::new(ZoneTags::default()));
        let (put, put_zone) = (Arc::clone(&campaigns), Arc::clone(&zone_tags));
        let (campaigns_follower, zones_follower) = futures::try_join!(
            Follower::start(log.clone(), Topic::Campaigns, move |records: &[Received]| {
                let mut campaigns = put.write().unwrap_or_else(PoisonError::into_inner);
                each(Topic::Campaigns, records, |campaign: Result<Campaign, CampaignId>| match campaign {
                    Ok(campaign) => campaigns.put(campaign),
                    Err(id) => campaigns.remove(id),
                });
            }),
            Follower::start(log.clone(), Topic::Zones, move |records: &[Received]| {
                let mut zone_tags = put_zone.write().unwrap_or_else(PoisonError::into_inner);
                each(Topic::Zones, records, |zone: Result<Zone, ZoneId>| match zone {
                    Ok(zone) => zone_tags.put(&zone),
                    Err(id) => zone_tags.remove(id),
                });
            }),
        )?;
        Ok(Self { campaigns, zone_tags, campaigns_follower, zones_follower })
    }

    /// Returns when every change that was answered before the call is known.
    async fn barrier(&self) -> Result<(), LogError> {
        futures::try_join!(self.campaigns_follower.barrier(), self.zones_follower.barrier()).map(drop)
    }
}

/// Each record as the value that it holds, or as the id that is gone. What can't be read is left out: others still
/// count.
fn each<T: Wire, I: std::str::FromStr>(
    topic: Topic,
    records: &[Received],
    mut take: impl FnMut(Result<T, I>),
) {
    for record in records {
        match &record.value {
            Some(value) => match T::decode(value) {
                Ok(value) => take(Ok(value)),
                Err(error) => {
                    metrics::counter!(
                        "geopush_dispatcher_plan_undecodable_total", "topic" => topic.name()
                    )
                    .increment(1);
                    tracing::error!(
                        %error, topic = topic.name(), offset = record.offset,
                        "a record was left out: a newer version may have written it; update this process"
                    );
                }
            },
            None => {
                if let Some(id) = std::str::from_utf8(&record.key).ok().and_then(|key| key.parse().ok()) {
                    take(Err(id));
                }
            }
        }
    }
}
