//! The rows of a delivery.

use std::collections::HashSet;

use geopush_log::Offset;
use geopush_model::{Delivery, Message, Outcome, Provider, Reason};
use geopush_registry::message_json;
use geopush_store::Timestamp;
use geopush_store::tables::{
    DeadLetterRow, DeliveryByDeviceRow, DeliveryBySourceRow, PushRow, hour_of, id_shard, month_of,
};

use super::buckets::Bucket;

/// A batch of deliveries with their offsets, as rows.
#[derive(Clone, Debug, Default)]
pub(super) struct DeliveryRows {
    pub(super) by_source: Vec<DeliveryBySourceRow>,
    pub(super) by_device: Vec<DeliveryByDeviceRow>,
    pub(super) by_id: Vec<PushRow>,
    pub(super) dead_letters: Vec<DeadLetterRow>,
}

impl DeliveryRows {
    pub(super) fn of(deliveries: &[(Offset, Delivery)]) -> Self {
        let all = || ends(deliveries);
        Self {
            by_source: all().map(by_source).collect(),
            by_device: all().map(by_device).collect(),
            by_id: all().filter(|delivery| is_asked_for_by_id(delivery)).map(by_id).collect(),
            dead_letters: all().filter_map(|d| Some(dead_letter(d, d.dead_letter.as_ref()?))).collect(),
        }
    }
}

/// Those that have a row: the others say that a push waits to be tried again, which is only counted.
pub(super) fn ends(deliveries: &[(Offset, Delivery)]) -> impl Iterator<Item = &Delivery> {
    deliveries.iter().map(|(_, delivery)| delivery).filter(|delivery| delivery.outcome.is_end())
}

/// Whether somebody may come with nothing but the push's id: a phone that shows it, which one may whose answer was
/// never seen too, or whoever looks at a dead letter. Most of what is suppressed or failed costs no row.
fn is_asked_for_by_id(d: &Delivery) -> bool {
    let may_be_shown = match d.outcome {
        Outcome::Accepted => true,
        Outcome::Expired => d.attempts > 0,
        Outcome::Failed | Outcome::Suppressed | Outcome::Deferred => false,
    };
    may_be_shown || d.dead_letter.is_some()
}

/// The buckets that these deliveries are in.
pub(super) fn buckets_of(deliveries: &[(Offset, Delivery)]) -> HashSet<Bucket> {
    let buckets = ends(deliveries).flat_map(|d| {
        let (tenant, source, hour) = (d.tenant, d.origin.source.id(), hour_of(d.created_at.0));
        let month = month_of(d.created_at.0);
        [
            Some(Bucket::SourceHour { tenant, source, hour }),
            Some(Bucket::DeviceMonth { device: d.key(), kind: "deliveries", month }),
            d.dead_letter.is_some().then_some(Bucket::DeadLetterHour { tenant, hour }),
        ]
    });
    buckets.flatten().collect()
}

fn by_source(d: &Delivery) -> DeliveryBySourceRow {
    DeliveryBySourceRow {
        tenant: d.tenant.0,
        source: d.origin.source.id(),
        hour: hour_of(d.created_at.0),
        shard: id_shard(d.push.0),
        created_at: Timestamp(d.created_at.0),
        push: d.push.0,
        device: d.device.as_str().to_owned(),
        campaign: d.origin.source.campaign().map(|id| id.0),
        send: d.origin.source.send().map(|id| id.0),
        cause: d.origin.cause.0,
        provider: provider(d),
        outcome: d.outcome.as_str().to_owned(),
        reason: reason(d),
        attempts: attempts(d),
        finished_at: Timestamp(d.finished_at.0),
        provider_message_id: d.provider_message_id.clone(),
        app: Some(d.app.clone()),
        variant: d.variant.clone(),
    }
}

fn by_device(d: &Delivery) -> DeliveryByDeviceRow {
    DeliveryByDeviceRow {
        tenant: d.tenant.0,
        device: d.device.as_str().to_owned(),
        month: month_of(d.created_at.0),
        created_at: Timestamp(d.created_at.0),
        push: d.push.0,
        campaign: d.origin.source.campaign().map(|id| id.0),
        send: d.origin.source.send().map(|id| id.0),
        cause: d.origin.cause.0,
        provider: provider(d),
        outcome: d.outcome.as_str().to_owned(),
        reason: reason(d),
        attempts: attempts(d),
        finished_at: Timestamp(d.finished_at.0),
        provider_message_id: d.provider_message_id.clone(),
        app: Some(d.app.clone()),
        variant: d.variant.clone(),
    }
}

fn by_id(d: &Delivery) -> PushRow {
    PushRow {
        tenant: d.tenant.0,
        push: d.push.0,
        device: d.device.as_str().to_owned(),
        source: d.origin.source.id(),
        created_at: Timestamp(d.created_at.0),
    }
}

fn dead_letter(d: &Delivery, message: &Message) -> DeadLetterRow {
    DeadLetterRow {
        tenant: d.tenant.0,
        hour: hour_of(d.created_at.0),
        shard: id_shard(d.push.0),
        created_at: Timestamp(d.created_at.0),
        push: d.push.0,
        device: d.device.as_str().to_owned(),
        app: d.app.clone(),
        campaign: d.origin.source.campaign().map(|id| id.0),
        send: d.origin.source.send().map(|id| id.0),
        variant: d.variant.clone(),
        provider: provider(d),
        reason: reason(d).unwrap_or_default(),
        attempts: attempts(d),
        finished_at: Timestamp(d.finished_at.0),
        message: message_json(message),
    }
}

fn provider(d: &Delivery) -> Option<String> {
    d.provider.map(Provider::as_str).map(str::to_owned)
}

fn reason(d: &Delivery) -> Option<String> {
    d.reason.map(Reason::as_str).map(str::to_owned)
}

fn attempts(d: &Delivery) -> i32 {
    i32::try_from(d.attempts).unwrap_or(i32::MAX)
}
