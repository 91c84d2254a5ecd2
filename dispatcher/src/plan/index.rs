//! The campaigns of now, found by what a transition is: its cost follows the campaigns that it concerns.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use geopush_campaign::Audience;
use geopush_model::{
    Campaign, CampaignId, CampaignStatus, TenantId, Transition, TransitionKind, Trigger, TriggerKind, ZoneId,
};

/// A campaign, ready to be decided by.
#[derive(Clone, Debug, PartialEq)]
pub struct Planned {
    /// As its merchant made it.
    pub campaign: Campaign,
    /// Who it is for.
    pub audience: PlannedAudience,
}

/// Who a campaign is for.
#[derive(Clone, Debug, PartialEq)]
pub enum PlannedAudience {
    /// Everyone.
    Everyone,
    /// These.
    Of(Audience),
    /// It can't be read, so nobody: a push to the wrong people can't be taken back.
    Unreadable,
}

impl Planned {
    /// Reads the audience of a campaign.
    pub fn new(campaign: Campaign) -> Self {
        let audience = match campaign.audience.as_ref().map(Audience::from_json) {
            None => PlannedAudience::Everyone,
            Some(Ok(audience)) => PlannedAudience::Of(audience),
            Some(Err(_)) => PlannedAudience::Unreadable,
        };
        Self { campaign, audience }
    }

    /// The audience, if there is one that can be asked.
    pub fn audience(&self) -> Option<&Audience> {
        match &self.audience {
            PlannedAudience::Of(audience) => Some(audience),
            PlannedAudience::Everyone | PlannedAudience::Unreadable => None,
        }
    }
}

/// The campaigns of all tenants, each in its newest version.
#[derive(Debug, Default)]
pub struct Campaigns {
    all: HashMap<CampaignId, Arc<Planned>>,
    triggers: HashMap<(TenantId, Kind), Triggers>,
}

/// Of the active campaigns of one tenant on one kind of transition.
#[derive(Debug, Default)]
struct Triggers {
    by_zone: HashMap<ZoneId, BTreeSet<CampaignId>>,
    by_tag: HashMap<String, BTreeSet<CampaignId>>,
    anywhere: BTreeSet<CampaignId>,
}

/// A kind of transition, whatever its reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Kind {
    Enter,
    Exit,
    Dwell,
}

impl From<TransitionKind> for Kind {
    fn from(kind: TransitionKind) -> Self {
        match kind {
            TransitionKind::Enter => Self::Enter,
            TransitionKind::Exit(_) => Self::Exit,
            TransitionKind::Dwell => Self::Dwell,
        }
    }
}

impl From<TriggerKind> for Kind {
    fn from(kind: TriggerKind) -> Self {
        match kind {
            TriggerKind::Enter => Self::Enter,
            TriggerKind::Exit => Self::Exit,
            TriggerKind::Dwell => Self::Dwell,
        }
    }
}

impl Campaigns {
    /// Takes a version of a campaign, unless a newer one is known.
    pub fn put(&mut self, campaign: Campaign) {
        let known = self.all.get(&campaign.id).cloned();
        if known.as_ref().is_some_and(|known| known.campaign.version > campaign.version) {
            return;
        }
        if let Some(known) = known {
            self.each_place(&known.campaign, |place, id| {
                place.remove(&id);
            });
        }
        let planned = Arc::new(Planned::new(campaign));
        if planned.audience == PlannedAudience::Unreadable {
            metrics::counter!("geopush_dispatcher_plan_unreadable_audiences_total").increment(1);
            tracing::error!(
                campaign = %planned.campaign.id, version = planned.campaign.version,
                "an audience can't be read, so the campaign pushes to nobody; save the campaign again"
            );
        }
        self.each_place(&planned.campaign, |place, id| {
            place.insert(id);
        });
        self.all.insert(planned.campaign.id, planned);
    }

    /// Forgets a campaign altogether.
    pub fn remove(&mut self, id: CampaignId) {
        if let Some(known) = self.all.remove(&id) {
            self.each_place(&known.campaign, |place, id| {
                place.remove(&id);
            });
        }
    }

    /// The campaign, whatever its status, unless it is deleted.
    pub fn get(&self, id: CampaignId) -> Option<&Arc<Planned>> {
        self.all.get(&id).filter(|planned| !planned.campaign.deleted)
    }

    /// The campaigns that a transition triggers, by id; `zone_tags` are those of its zone.
    pub fn triggered_by(&self, transition: &Transition, zone_tags: &[String]) -> Vec<Arc<Planned>> {
        let Some(triggers) = self.triggers.get(&(transition.tenant, transition.kind.into())) else {
            return Vec::new();
        };
        let tagged = zone_tags.iter().filter_map(|tag| triggers.by_tag.get(tag));
        let ids: BTreeSet<_> = triggers
            .by_zone
            .get(&transition.zone)
            .into_iter()
            .chain(tagged)
            .chain([&triggers.anywhere])
            .flatten()
            .collect();
        ids.into_iter()
            .filter_map(|id| self.get(*id))
            .filter(|planned| {
                matches!(&planned.campaign.trigger, Trigger::Zone(zone) if zone.on_initial || !transition.initial)
            })
            .cloned()
            .collect()
    }

    /// Every set that a campaign has its place in; none if it is not active.
    fn each_place(
        &mut self,
        campaign: &Campaign,
        mut change: impl FnMut(&mut BTreeSet<CampaignId>, CampaignId),
    ) {
        if campaign.deleted || campaign.status != CampaignStatus::Active {
            return;
        }
        let Trigger::Zone(trigger) = &campaign.trigger else { return };
        let key = (campaign.tenant, trigger.on.into());
        let places = self.triggers.entry(key).or_default();
        if trigger.zones.is_any() {
            change(&mut places.anywhere, campaign.id);
        }
        for zone in &trigger.zones.zone_ids {
            let ids = places.by_zone.entry(*zone).or_default();
            change(ids, campaign.id);
            if ids.is_empty() {
                places.by_zone.remove(zone);
            }
        }
        for tag in &trigger.zones.zone_tags {
            let ids = places.by_tag.entry(tag.clone()).or_default();
            change(ids, campaign.id);
            if ids.is_empty() {
                places.by_tag.remove(tag);
            }
        }
        if places.by_zone.is_empty() && places.by_tag.is_empty() && places.anywhere.is_empty() {
            self.triggers.remove(&key);
        }
    }
}
