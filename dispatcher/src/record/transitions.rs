//! The rows of a transition.

use std::collections::HashSet;

use geopush_model::{ExitReason, Transition};
use geopush_store::Timestamp;
use geopush_store::tables::{TransitionByDeviceRow, TransitionByZoneRow, day_of, id_shard, month_of};

use super::buckets::Bucket;

/// A batch of transitions, as rows.
#[derive(Clone, Debug, Default)]
pub(super) struct TransitionRows {
    pub(super) by_zone: Vec<TransitionByZoneRow>,
    pub(super) by_device: Vec<TransitionByDeviceRow>,
}

impl TransitionRows {
    pub(super) fn of(transitions: &[Transition]) -> Self {
        Self {
            by_zone: transitions.iter().map(by_zone).collect(),
            by_device: transitions.iter().map(by_device).collect(),
        }
    }
}

/// The buckets that these transitions are in.
pub(super) fn buckets_of(transitions: &[Transition]) -> HashSet<Bucket> {
    let buckets = transitions.iter().flat_map(|t| {
        [
            Bucket::ZoneDay { tenant: t.tenant, zone: t.zone, day: day_of(t.at.0) },
            Bucket::DeviceMonth { device: t.key(), kind: "transitions", month: month_of(t.at.0) },
        ]
    });
    buckets.collect()
}

/// `seq` as the tables have it.
pub(super) fn seq_of(t: &Transition) -> i64 {
    i64::try_from(t.seq).unwrap_or(i64::MAX)
}

fn by_zone(t: &Transition) -> TransitionByZoneRow {
    TransitionByZoneRow {
        tenant: t.tenant.0,
        zone: t.zone.0,
        day: day_of(t.at.0),
        shard: id_shard(t.id.0),
        at: Timestamp(t.at.0),
        id: t.id.0,
        incarnation: t.incarnation.0,
        seq: seq_of(t),
        device: t.device.as_str().to_owned(),
        zone_external_id: t.zone_external_id.clone(),
        kind: t.kind.as_str().to_owned(),
        reason: reason(t),
        initial: t.initial,
        dwell_s: t.dwell_s,
        zone_version: t.zone_version,
        fix_lat: t.fix.position.lat,
        fix_lon: t.fix.position.lon,
        fix_time: Timestamp(t.fix.time.0),
        fix_accuracy_m: t.fix.accuracy_m,
    }
}

fn by_device(t: &Transition) -> TransitionByDeviceRow {
    TransitionByDeviceRow {
        tenant: t.tenant.0,
        device: t.device.as_str().to_owned(),
        month: month_of(t.at.0),
        incarnation: t.incarnation.0,
        seq: seq_of(t),
        id: t.id.0,
        zone: t.zone.0,
        zone_external_id: t.zone_external_id.clone(),
        kind: t.kind.as_str().to_owned(),
        at: Timestamp(t.at.0),
        reason: reason(t),
        initial: t.initial,
        dwell_s: t.dwell_s,
        zone_version: t.zone_version,
        fix_lat: t.fix.position.lat,
        fix_lon: t.fix.position.lon,
        fix_time: Timestamp(t.fix.time.0),
        fix_accuracy_m: t.fix.accuracy_m,
    }
}

fn reason(t: &Transition) -> Option<String> {
    t.kind.reason().map(ExitReason::as_str).map(str::to_owned)
}
