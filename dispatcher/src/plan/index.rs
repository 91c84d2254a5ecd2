//! The campaigns of now, found by what happened: its cost follows the campaigns that it concerns.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use geopush_campaign::{Audience, MessageTemplate, TemplateError};
use geopush_model::{
    Campaign, CampaignId, CampaignRun, CampaignStatus, Message, TenantId, Transition, TransitionKind,
    Trigger, TriggerKind, ZoneId,
};

use crate::visits::Asked;

/// A message, ready to be filled in; or why it never can be.
pub type PlannedMessage = Result<MessageTemplate, Vec<TemplateError>>;

/// A campaign, ready to be decided by.
#[derive(Debug)]
pub struct Planned {
    /// As its merchant made it.
    pub campaign: Campaign,
    /// Who it is for.
    pub audience: PlannedAudience,
    /// What it says.
    pub message: PlannedMessage,
    /// What its variants say, in their order.
    pub variants: Vec<PlannedMessage>,
    /// What it asks of a device's past.
    asked: Asked,
    /// Whether its templates speak of more of a zone than its tags.
    tells_zone: bool,
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
    /// Reads the audience and the templates of a campaign.
    pub fn new(campaign: Campaign) -> Self {
        let audience = match campaign.audience.as_ref().map(Audience::from_json) {
            None => PlannedAudience::Everyone,
            Some(Ok(audience)) => PlannedAudience::Of(audience),
            Some(Err(_)) => PlannedAudience::Unreadable,
        };
        let mut asked = Asked::default();
        if let PlannedAudience::Of(audience) = &audience {
            asked.asks = audience.asks();
        }
        if let Trigger::Absence { zones, .. } = &campaign.trigger {
            asked.anywhere = zones.is_any();
            asked.asks.zones.extend(&zones.zone_ids);
            asked.asks.tags.extend(zones.zone_tags.iter().cloned());
            asked.asks.looks_back_s = Some(Audience::MAX_WITHIN_S);
        }
        let read = |message: &Message| {
            let read = MessageTemplate::parse(message);
            if read.is_err() {
                metrics::counter!("geopush_dispatcher_plan_unreadable_templates_total").increment(1);
                tracing::error!(
                    campaign = %campaign.id, version = campaign.version,
                    "a message's templates can't be read, so it is pushed to nobody; save the campaign again"
                );
            }
            read
        };
        let message = read(&campaign.message);
        let variants: Vec<_> = campaign.variants.iter().map(|variant| read(&variant.message)).collect();
        let tells_zone = variants
            .iter()
            .chain([&message])
            .flatten()
            .any(|message| message.mentions("zone.name") || message.mentions("zone.metadata"));
        Self { audience, message, variants, asked, tells_zone, campaign }
    }

    /// What it asks of a device's past.
    pub(crate) fn asked(&self) -> &Asked {
        &self.asked
    }

    /// Whether its templates speak of more of a zone than its tags.
    pub(super) fn tells_zone(&self) -> bool {
        self.tells_zone
    }
}

/// The campaigns of all tenants, each in its newest version.
#[derive(Debug, Default)]
pub struct Campaigns {
    all: HashMap<CampaignId, Arc<Planned>>,
    triggers: HashMap<(TenantId, Kind), Triggers>,
    by_event: HashMap<TenantId, HashMap<String, BTreeSet<CampaignId>>>,
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

    /// The campaigns that an event of this name triggers, by id.
    pub fn triggered_by_event(&self, tenant: TenantId, name: &str) -> Vec<Arc<Planned>> {
        let ids = self.by_event.get(&tenant).and_then(|by_name| by_name.get(name));
        ids.into_iter().flatten().filter_map(|id| self.get(*id)).cloned().collect()
    }

    /// The campaign of a run, if it is still to push.
    pub fn of_run(&self, tenant: TenantId, run: &CampaignRun) -> Option<Arc<Planned>> {
        let planned = self.get(run.campaign)?;
        let campaign = &planned.campaign;
        let runs = matches!(campaign.trigger, Trigger::Schedule { .. } | Trigger::Absence { .. });
        let is_due = runs && campaign.tenant == tenant && campaign.status == CampaignStatus::Active;
        is_due.then(|| Arc::clone(planned))
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
        let trigger = match &campaign.trigger {
            Trigger::Zone(trigger) => trigger,
            Trigger::Event { name, .. } => {
                let by_name = self.by_event.entry(campaign.tenant).or_default();
                let ids = by_name.entry(name.clone()).or_default();
                change(ids, campaign.id);
                if ids.is_empty() {
                    by_name.remove(name);
                }
                if by_name.is_empty() {
                    self.by_event.remove(&campaign.tenant);
                }
                return;
            }
            // Found by their ids.
            Trigger::Schedule { .. } | Trigger::Absence { .. } => return,
        };
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
