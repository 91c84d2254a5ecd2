//! The rows of a delivery.

use std::collections::HashSet;

use geopush_log::Offset;
use geopush_model::{Delivery, Provider, Reason};
use geopush_store::Timestamp;
use geopush_store::tables::{DeliveryByDeviceRow, DeliveryBySourceRow, hour_of, id_shard, month_of};

use super::buckets::Bucket;

/// A batch of deliveries with their offsets, as rows.
#[derive(Clone, Debug, Default)]
pub(super) struct DeliveryRows {
    pub(super) by_source: Vec<DeliveryBySourceRow>,
    pub(super) by_device: Vec<DeliveryByDeviceRow>,
}

impl DeliveryRows {
    pub(super) fn of(deliveries: &[(Offset, Delivery)]) -> Self {
        Self {
            by_source: deliveries.iter().map(|(_, delivery)| by_source(delivery)).collect(),
            by_device: deliveries.iter().map(|(_, delivery)| by_device(delivery)).collect(),
        }
    }
}

/// The buckets that these deliveries are in.
pub(super) fn buckets_of(deliveries: &[(Offset, Delivery)]) -> HashSet<Bucket> {
    let buckets = deliveries.iter().flat_map(|(_, d)| {
        let (tenant, source) = (d.tenant, d.origin.source.id());
        [
            Bucket::SourceHour { tenant, source, hour: hour_of(d.created_at.0) },
            Bucket::DeviceMonth { device: d.key(), kind: "deliveries", month: month_of(d.created_at.0) },
        ]
    });
    buckets.collect()
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

fn provider(d: &Delivery) -> Option<String> {
    d.provider.map(Provider::as_str).map(str::to_owned)
}

fn reason(d: &Delivery) -> Option<String> {
    d.reason.map(Reason::as_str).map(str::to_owned)
}

fn attempts(d: &Delivery) -> i32 {
    i32::try_from(d.attempts).unwrap_or(i32::MAX)
}
