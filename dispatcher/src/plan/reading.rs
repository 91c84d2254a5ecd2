//! What a batch of causes is decided by: read before the decision, for all of them together.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, PoisonError};

use futures::{StreamExt as _, TryStreamExt as _};
use geopush_log::{Received, StageError, Topic, TraceId};
use geopush_model::{
    DeviceKey, Held, PushRequest, Request, SendId, Source, TenantId, Transition, Wire as _, WireError, ZoneId,
};
use geopush_registry::{Device, Devices};
use geopush_store::StoreError;
use geopush_store::tables::{ZoneRow, zone_bucket};
use serde_json::{Map, Value};

use super::decide::{Cause, ZoneFacts};
use super::index::Planned;
use super::stage::PlanStage;
use crate::visits::{Asked, Moment, Past, past_of};

/// Devices' rows asked for at once.
const ROWS_AT_ONCE: usize = 500;
/// Devices whose past is read at once.
const PASTS_AT_ONCE: usize = 16;

/// A cause, with what it is decided by.
pub(super) struct Item {
    pub(super) trace: Option<TraceId>,
    pub(super) key: DeviceKey,
    pub(super) cause: Cause,
    /// As they were after the read barrier: what is read for them is what they are decided by.
    pub(super) campaigns: Vec<Arc<Planned>>,
    pub(super) past: Past,
    zone: Option<Arc<ToldZone>>,
}

/// What some templates say of a zone.
struct ToldZone {
    name: String,
    metadata: Map<String, Value>,
}

impl Item {
    fn new(trace: Option<TraceId>, key: DeviceKey, cause: Cause, campaigns: Vec<Arc<Planned>>) -> Self {
        Self { trace, key, cause, campaigns, past: Past::default(), zone: None }
    }

    /// How many decisions it leads to, at most.
    pub(super) fn decisions(&self) -> usize {
        match &self.cause {
            Cause::Held { .. } | Cause::Request(PushRequest { request: Request::Send { .. }, .. }) => 1,
            Cause::Transition(_) | Cause::Request(_) => self.campaigns.len(),
        }
    }

    /// The send that asks, if one does.
    pub(super) fn send(&self) -> Option<SendId> {
        match &self.cause {
            Cause::Request(PushRequest { request: Request::Send { send, .. }, .. }) => Some(*send),
            Cause::Held { held, .. } => held.origin.source.send(),
            Cause::Transition(_) | Cause::Request(_) => None,
        }
    }

    /// What templates are told of the zone with these tags.
    pub(super) fn zone<'a>(&'a self, tags: &'a [String]) -> ZoneFacts<'a> {
        let told = self.zone.as_deref();
        ZoneFacts {
            tags,
            name: told.map(|zone| zone.name.as_str()),
            metadata: told.map(|zone| &zone.metadata),
        }
    }

    fn moment(&self) -> Moment {
        match &self.cause {
            Cause::Transition(transition) => Moment::of(transition),
            Cause::Held { held, .. } => Moment::before(held.at),
            Cause::Request(request) => Moment::at(match &request.request {
                Request::Send { .. } => request.requested_at,
                Request::Run(run) => run.at,
                Request::Event(event) => event.at,
            }),
        }
    }
}

impl PlanStage {
    /// A record as something to decide on.
    pub(super) fn item(&self, topic: Topic, record: &Received) -> Result<Item, WireError> {
        let value = record.value.as_deref().ok_or(WireError::Member("value"))?;
        let campaigns = self.followed.campaigns.read().unwrap_or_else(PoisonError::into_inner);
        if topic == Topic::PushRequests {
            let request = PushRequest::decode(value)?;
            let triggered = match &request.request {
                Request::Send { .. } => Vec::new(),
                Request::Run(run) => campaigns.of_run(request.tenant, run).into_iter().collect(),
                Request::Event(event) => campaigns.triggered_by_event(request.tenant, &event.name),
            };
            return Ok(Item::new(record.trace, request.key(), Cause::Request(request), triggered));
        }
        let transition = Transition::decode(value)?;
        let zone_tags = self.followed.zone_tags.read().unwrap_or_else(PoisonError::into_inner);
        let triggered = campaigns.triggered_by(&transition, zone_tags.of(transition.zone));
        Ok(Item::new(record.trace, transition.key(), Cause::Transition(transition), triggered))
    }

    /// What was held as something to decide on.
    pub(super) fn held_item(&self, key: DeviceKey, held: Held) -> Item {
        let campaigns = self.followed.campaigns.read().unwrap_or_else(PoisonError::into_inner);
        let planned = match held.origin.source {
            Source::Campaign(id) => campaigns.get(id).cloned(),
            Source::Send(_) => None,
        };
        Item::new(None, key.clone(), Cause::Held { key, held: Box::new(held) }, planned.into_iter().collect())
    }

    /// Reads what the campaigns of these causes ask of their devices' past and of zones.
    pub(super) async fn read_context(&self, items: &mut [Item]) -> Result<(), StageError> {
        let asking = items.iter().enumerate().filter_map(|(i, item)| {
            let mut asked = Asked::default();
            item.campaigns.iter().for_each(|planned| asked.merge(planned.asked()));
            (!asked.is_nothing()).then(|| (i, item.key.clone(), asked, item.moment()))
        });
        let asking: Vec<_> = asking.collect();
        let has_tag = |zone: ZoneId, tag: &str| {
            let zone_tags = self.followed.zone_tags.read().unwrap_or_else(PoisonError::into_inner);
            zone_tags.of(zone).iter().any(|other| other == tag)
        };
        let pasts: Vec<(usize, Past)> = futures::stream::iter(asking)
            .map(|(i, key, asked, moment)| async move {
                let read = || past_of(&self.store, &key, &asked, moment, has_tag);
                let past = self.patience.with("read a device's visits", read).await?;
                Ok::<_, StageError>((i, past))
            })
            .buffer_unordered(PASTS_AT_ONCE)
            .try_collect()
            .await?;
        for (i, past) in pasts {
            items[i].past = past;
        }
        self.read_zones(items).await
    }

    async fn read_zones(&self, items: &mut [Item]) -> Result<(), StageError> {
        let told = |item: &Item| match &item.cause {
            Cause::Transition(transition) if item.campaigns.iter().any(|planned| planned.tells_zone()) => {
                Some((transition.tenant, transition.zone))
            }
            _ => None,
        };
        let zones: BTreeSet<(TenantId, ZoneId)> = items.iter().filter_map(told).collect();
        if zones.is_empty() {
            return Ok(());
        }
        let keys: Vec<_> =
            zones.iter().map(|(tenant, zone)| ((tenant.0, zone_bucket(zone.0)), (zone.0,))).collect();
        let rows = self.patience.with("read zones", || self.store.get_all::<ZoneRow>(&keys)).await?;
        let zone_of = |row: ZoneRow| ToldZone {
            metadata: serde_json::from_str(&row.metadata).unwrap_or_default(),
            name: row.name,
        };
        let rows: HashMap<_, _> = zones
            .into_iter()
            .zip(rows)
            .filter_map(|(zone, row)| Some((zone, Arc::new(zone_of(row?)))))
            .collect();
        for item in items {
            item.zone = told(item).and_then(|zone| rows.get(&zone).cloned());
        }
        Ok(())
    }

    /// The devices that are decided on, as they are now.
    pub(super) async fn devices_of(&self, items: &[Item]) -> Result<HashMap<DeviceKey, Device>, StageError> {
        let needed: BTreeSet<&DeviceKey> =
            items.iter().filter(|item| item.decisions() > 0).map(|item| &item.key).collect();
        let needed: Vec<DeviceKey> = needed.into_iter().cloned().collect();
        let mut devices = HashMap::with_capacity(needed.len());
        for keys in needed.chunks(ROWS_AT_ONCE) {
            let found = self.patience.with("read devices", || read_devices(&self.devices, keys)).await?;
            devices.extend(keys.iter().cloned().zip(found).filter_map(|(key, device)| Some((key, device?))));
        }
        Ok(devices)
    }
}

/// The devices of these keys. One whose row can't be read is taken as not registered, so that it holds up nobody else.
async fn read_devices(devices: &Devices, keys: &[DeviceKey]) -> Result<Vec<Option<Device>>, StoreError> {
    match devices.get_many(keys).await {
        Err(StoreError::Corrupt { .. }) => {}
        found => return found,
    }
    let mut found = Vec::with_capacity(keys.len());
    for key in keys {
        found.push(match devices.get(key.tenant, &key.device).await {
            Err(error @ StoreError::Corrupt { .. }) => {
                metrics::counter!("geopush_dispatcher_plan_unreadable_devices_total").increment(1);
                tracing::error!(%error, "a device is taken as not registered; register it again");
                None
            }
            device => device?,
        });
    }
    Ok(found)
}

/// The sends that ask for devices.
pub(super) fn sends_of(items: &[Item]) -> BTreeSet<(TenantId, SendId)> {
    items.iter().filter_map(|item| Some((item.key.tenant, item.send()?))).collect()
}
