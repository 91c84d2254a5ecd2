//! The topics: their names, how they are partitioned and how they are cleaned up.

use std::time::Duration;

/// A topic of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Topic {
    /// Accepted fixes, a request's for one device in one record; and devices to be forgotten.
    Pings,
    /// Zones as they are now, the deleted ones marked.
    Zones,
    /// What the geofence stage knows of each device: its changelog.
    DeviceState,
    /// Enters, exits and dwells.
    Transitions,
    /// Campaigns as they are now, the deleted ones marked.
    Campaigns,
    /// Tenants, keys' hashes and apps (sealed) as they are now.
    Config,
    /// Pages of sends that are still to be expanded.
    Jobs,
    /// One device of one send.
    PushRequests,
    /// What the plan stage knows of each device: its changelog.
    PlanState,
    /// Pushes that were decided on.
    Pushes,
    /// Pushes to be tried again in a minute.
    PushRetries1m,
    /// Pushes to be tried again in ten minutes.
    PushRetries10m,
    /// Pushes to be tried again in an hour.
    PushRetries1h,
    /// How pushes ended.
    Deliveries,
    /// Records that could not be decoded, with the reason.
    Rejected,
}

/// How a topic's old records go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cleanup {
    /// This long after they arrived.
    After(Duration),
    /// When a newer record has the same key.
    Compact,
}

const DAY: Duration = Duration::from_hours(24);

/// Every topic: its name, whether it is partitioned by key (else it has one partition), its cleanup.
const TABLE: [(Topic, &str, bool, Cleanup); 15] = [
    (Topic::Pings, "geopush.pings", true, Cleanup::After(DAY.saturating_mul(7))),
    (Topic::Zones, "geopush.zones", false, Cleanup::Compact),
    (Topic::DeviceState, "geopush.device-state", true, Cleanup::Compact),
    (Topic::Transitions, "geopush.transitions", true, Cleanup::After(DAY.saturating_mul(30))),
    (Topic::Campaigns, "geopush.campaigns", false, Cleanup::Compact),
    (Topic::Config, "geopush.config", false, Cleanup::Compact),
    (Topic::Jobs, "geopush.jobs", true, Cleanup::After(DAY.saturating_mul(7))),
    (Topic::PushRequests, "geopush.push-requests", true, Cleanup::After(DAY.saturating_mul(7))),
    (Topic::PlanState, "geopush.plan-state", true, Cleanup::Compact),
    (Topic::Pushes, "geopush.pushes", true, Cleanup::After(DAY.saturating_mul(7))),
    (Topic::PushRetries1m, "geopush.push-retries-1m", true, Cleanup::After(DAY.saturating_mul(7))),
    (Topic::PushRetries10m, "geopush.push-retries-10m", true, Cleanup::After(DAY.saturating_mul(7))),
    (Topic::PushRetries1h, "geopush.push-retries-1h", true, Cleanup::After(DAY.saturating_mul(7))),
    (Topic::Deliveries, "geopush.deliveries", true, Cleanup::After(DAY.saturating_mul(7))),
    (Topic::Rejected, "geopush.rejected", false, Cleanup::After(DAY.saturating_mul(7))),
];

impl Topic {
    /// Every topic.
    pub fn all() -> impl Iterator<Item = Topic> {
        TABLE.iter().map(|row| row.0)
    }

    fn row(self) -> &'static (Topic, &'static str, bool, Cleanup) {
        &TABLE[self as usize]
    }

    /// Its name, as Kafka knows it.
    pub fn name(self) -> &'static str {
        self.row().1
    }

    /// Whether records are spread over partitions by their keys; else there is one partition.
    pub fn is_partitioned(self) -> bool {
        self.row().2
    }

    /// How its old records go.
    pub fn cleanup(self) -> Cleanup {
        self.row().3
    }
}

/// The partition of a key among `partitions`: murmur2 as Kafka's own clients compute it, so that any client agrees.
pub fn partition_of(key: &[u8], partitions: u32) -> u32 {
    (murmur2(key) & 0x7fff_ffff) % partitions
}

/// Kafka's murmur2 (org.apache.kafka.common.utils.Utils.murmur2).
fn murmur2(data: &[u8]) -> u32 {
    const SEED: u32 = 0x9747_b28c;
    const M: u32 = 0x5bd1_e995;
    const R: u32 = 24;
    // Kafka's lengths are 32 bits; so are its hashes of longer keys.
    let mut h = SEED ^ data.len() as u32;
    let (words, rest) = data.as_chunks::<4>();
    for word in words {
        let mut k = u32::from_le_bytes(*word).wrapping_mul(M);
        k ^= k >> R;
        h = h.wrapping_mul(M) ^ k.wrapping_mul(M);
    }
    if !rest.is_empty() {
        for (i, byte) in rest.iter().enumerate() {
            h ^= u32::from(*byte) << (8 * i);
        }
        h = h.wrapping_mul(M);
    }
    h ^= h >> 13;
    h = h.wrapping_mul(M);
    h ^ (h >> 15)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_the_enums_order() {
        for topic in Topic::all() {
            assert_eq!(topic.row().0, topic);
        }
    }

    /// The vectors of Kafka's own `UtilsTest.testMurmur2`.
    #[test]
    fn murmur2_agrees_with_kafkas_clients() {
        let vectors: [(&str, i32); 6] = [
            ("21", -973_932_308),
            ("foobar", -790_332_482),
            ("a-little-bit-long-string", -985_981_536),
            ("a-little-bit-longer-string", -1_486_304_829),
            ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
            ("abc", 479_470_107),
        ];
        for (key, hash) in vectors {
            assert_eq!(murmur2(key.as_bytes()) as i32, hash, "{key}");
        }
    }
}
