//! The campaigns that go by the clock, and the zones' tags that audiences ask for, followed from the log.

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use geopush_log::{Follower, LogError, Received, SharedLog, Topic};
use geopush_model::{Campaign, Wire, Zone, ZoneId};

use super::ticks::Clockwork;
use crate::plan::zone_tags::ZoneTags;

/// The campaigns that go by the clock, and the zones' tags, as they are now.
pub(super) struct Followed {
    clockwork: Arc<RwLock<Clockwork>>,
    zone_tags: Arc<RwLock<ZoneTags>>,
    campaigns_follower: Follower,
    _zones_follower: Follower,
}

impl Followed {
    pub(super) async fn start(log: &SharedLog) -> Result<Self, LogError> {
        let clockwork = Arc::new(RwLock::new(Clockwork::default()));
        let zone_tags = Arc::new(RwLock::new(ZoneTags::default()));
        let (campaigns, zones) = (Arc::clone(&clockwork), Arc::clone(&zone_tags));
        let apply_campaigns = move |records: &[Received]| {
            let mut clockwork = campaigns.write().unwrap_or_else(PoisonError::into_inner);
            for record in records {
                match read::<Campaign>(record) {
                    Some(campaign) => clockwork.put(&campaign),
                    None => id_of(record).into_iter().for_each(|id| clockwork.remove(id)),
                }
            }
        };
        let apply_zones = move |records: &[Received]| {
            let mut zone_tags = zones.write().unwrap_or_else(PoisonError::into_inner);
            for record in records {
                match read::<Zone>(record) {
                    Some(zone) => zone_tags.put(&zone),
                    None => id_of(record).into_iter().for_each(|id| zone_tags.remove(id)),
                }
            }
        };
        let (campaigns_follower, zones_follower) = futures::try_join!(
            Follower::start(log.clone(), Topic::Campaigns, apply_campaigns),
            Follower::start(log.clone(), Topic::Zones, apply_zones),
        )?;
        Ok(Self { clockwork, zone_tags, campaigns_follower, _zones_follower: zones_follower })
    }

    /// Returns when every change of a campaign that was answered before the call is known.
    pub(super) async fn barrier(&self) -> Result<(), LogError> {
        self.campaigns_follower.barrier().await
    }

    pub(super) fn clockwork(&self) -> RwLockReadGuard<'_, Clockwork> {
        self.clockwork.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a zone has a tag.
    pub(super) fn has_tag(&self, zone: ZoneId, tag: &str) -> bool {
        let zone_tags = self.zone_tags.read().unwrap_or_else(PoisonError::into_inner);
        zone_tags.of(zone).iter().any(|other| other == tag)
    }
}

/// What a record holds; none of one that removes its key, or that can't be read.
fn read<T: Wire>(record: &Received) -> Option<T> {
    match T::decode(record.value.as_deref()?) {
        Ok(value) => Some(value),
        Err(error) => {
            metrics::counter!("geopush_dispatcher_expand_undecodable_total").increment(1);
            tracing::error!(
                %error, offset = record.offset,
                "a campaign or a zone was left out: a newer version may have written it; update this process"
            );
            None
        }
    }
}

/// The id that a record removes.
fn id_of<I: std::str::FromStr>(record: &Received) -> Option<I> {
    let key = record.value.is_none().then_some(&record.key)?;
    std::str::from_utf8(key).ok()?.parse().ok()
}
