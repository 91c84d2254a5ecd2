//! Which buckets have their line in the lists of buckets already, so that each is written once a day, not once a row.
//!
//! A list expires like the rows that it leads to, and a bucket's last rows may be written a month after its first: so
//! the line is written anew each day, to outlive them all.

use std::collections::HashSet;

use geopush_model::{DeviceKey, TenantId, ZoneId};
use geopush_store::tables::{DeadLetterHourRow, DeviceMonthRow, SourceHourRow, ZoneDayRow, day_of};
use uuid::Uuid;

/// How many buckets are remembered; then all are forgotten, and written once more.
const MOST: usize = 100_000;

/// A line of a list of buckets.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Bucket {
    SourceHour { tenant: TenantId, source: Uuid, hour: i64 },
    DeviceMonth { device: DeviceKey, kind: &'static str, month: i32 },
    DeadLetterHour { tenant: TenantId, hour: i64 },
    ZoneDay { tenant: TenantId, zone: ZoneId, day: i32 },
}

/// The lines that are to be written.
#[derive(Clone, Debug, Default)]
pub(super) struct BucketRows {
    pub(super) source_hours: Vec<SourceHourRow>,
    pub(super) device_months: Vec<DeviceMonthRow>,
    pub(super) dead_letter_hours: Vec<DeadLetterHourRow>,
    pub(super) zone_days: Vec<ZoneDayRow>,
}

impl FromIterator<Bucket> for BucketRows {
    fn from_iter<I: IntoIterator<Item = Bucket>>(buckets: I) -> Self {
        let mut rows = Self::default();
        for bucket in buckets {
            match bucket {
                Bucket::SourceHour { tenant, source, hour } => {
                    rows.source_hours.push(SourceHourRow { tenant: tenant.0, source, hour });
                }
                Bucket::DeviceMonth { device: DeviceKey { tenant, device }, kind, month } => {
                    let (device, kind) = (device.as_str().to_owned(), kind.to_owned());
                    rows.device_months.push(DeviceMonthRow { tenant: tenant.0, device, kind, month });
                }
                Bucket::DeadLetterHour { tenant, hour } => {
                    rows.dead_letter_hours.push(DeadLetterHourRow { tenant: tenant.0, hour });
                }
                Bucket::ZoneDay { tenant, zone, day } => {
                    rows.zone_days.push(ZoneDayRow { tenant: tenant.0, zone: zone.0, day });
                }
            }
        }
        rows
    }
}

/// The buckets whose lines were written today.
#[derive(Debug, Default)]
pub(super) struct WrittenBuckets {
    today: i32,
    buckets: HashSet<Bucket>,
}

impl WrittenBuckets {
    /// Those of the buckets whose lines are still to be written.
    pub(super) fn missing(&mut self, buckets: HashSet<Bucket>, now_ms: i64) -> HashSet<Bucket> {
        let today = day_of(now_ms);
        if self.today != today || self.buckets.len() > MOST {
            self.buckets.clear();
            self.today = today;
        }
        buckets.into_iter().filter(|bucket| !self.buckets.contains(bucket)).collect()
    }

    /// To be called once their lines are durable.
    pub(super) fn written(&mut self, buckets: HashSet<Bucket>) {
        self.buckets.extend(buckets);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY_MS: i64 = 24 * 60 * 60 * 1_000;

    #[test]
    fn a_line_is_written_once_a_day() {
        let bucket = Bucket::ZoneDay { tenant: TenantId(Uuid::nil()), zone: ZoneId(Uuid::nil()), day: 3 };
        let wanted: HashSet<_> = [bucket].into();
        let mut written = WrittenBuckets::default();
        assert_eq!(written.missing(wanted.clone(), DAY_MS), wanted);
        assert_eq!(written.missing(wanted.clone(), DAY_MS), wanted, "it was not written yet");
        written.written(wanted.clone());
        assert!(written.missing(wanted.clone(), 2 * DAY_MS - 1).is_empty());
        assert_eq!(written.missing(wanted.clone(), 2 * DAY_MS), wanted);
    }
}
