//! In which bucket a row lives.

use jiff::tz::Offset;
use uuid::Uuid;

/// Zones of a tenant are in this many partitions; see [`zone_bucket`].
pub const ZONE_BUCKETS: i32 = 16;
/// Devices of a tenant are in this many partitions; see [`device_bucket`].
pub const DEVICE_BUCKETS: i32 = 16;
/// Deliveries and transitions of one source or zone and time are in this many partitions; see [`id_shard`].
pub const SHARDS: i32 = 4;
/// Devices in one zone are in this many partitions; see [`device_shard`].
pub const PRESENCE_SHARDS: i32 = 16;
/// Intents are in this many partitions; see [`intent_shard`].
pub const INTENT_SHARDS: i32 = 4;

/// The partition of a zone: the first nibble of its id, so that walking the buckets gives zones by id.
pub fn zone_bucket(zone: Uuid) -> i32 {
    i32::from(zone.as_bytes()[0] >> 4)
}

/// The partition of a device: 0 to [`DEVICE_BUCKETS`] - 1.
pub fn device_bucket(device: &str) -> i32 {
    device_shard(device, DEVICE_BUCKETS)
}

/// The shard of a device among `shards` (at least one): 0 to `shards` - 1.
pub fn device_shard(device: &str, shards: i32) -> i32 {
    let shards = shards.max(1).unsigned_abs();
    i32::try_from(fnv1a_32(device.as_bytes()) % shards).expect("less than an i32")
}

/// The shard of a push or transition: 0 to [`SHARDS`] - 1. Their ids are hashes, or random, in the last byte.
pub fn id_shard(id: Uuid) -> i32 {
    i32::from(id.as_bytes()[15]) % SHARDS
}

/// The shard of an intent about `entity`: 0 to [`INTENT_SHARDS`] - 1.
pub fn intent_shard(entity: &str) -> i32 {
    device_shard(entity, INTENT_SHARDS)
}

/// The hour since the Unix epoch of a moment in ms.
pub fn hour_of(ms: i64) -> i64 {
    ms.div_euclid(60 * 60 * 1000)
}

/// The day (UTC) since the Unix epoch of a moment in ms; what is beyond an `i32` is its nearest end.
pub fn day_of(ms: i64) -> i32 {
    let day = ms.div_euclid(24 * 60 * 60 * 1000);
    i32::try_from(day).unwrap_or(if day < 0 { i32::MIN } else { i32::MAX })
}

/// The month (UTC) of a moment in ms, as year * 12 + the month from 0; what is beyond the years -9999 to 9999 is in
/// the nearest month of these.
pub fn month_of(ms: i64) -> i32 {
    let nearest = if ms < 0 { jiff::Timestamp::MIN } else { jiff::Timestamp::MAX };
    let date = Offset::UTC.to_datetime(jiff::Timestamp::from_millisecond(ms).unwrap_or(nearest)).date();
    i32::from(date.year()) * 12 + i32::from(date.month()) - 1
}

/// FNV-1a, 32 bits, of <https://www.rfc-editor.org/rfc/rfc9923>: short, stable, and in every language.
fn fnv1a_32(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_stay_in_their_buckets_for_ever() {
        // The published FNV-1a vectors of "", "a" and "foobar".
        assert_eq!(fnv1a_32(b""), 0x811c_9dc5);
        assert_eq!(fnv1a_32(b"a"), 0xe40c_292c);
        assert_eq!(fnv1a_32(b"foobar"), 0xbf9c_f968);
        assert_eq!((device_bucket(""), device_bucket("a"), device_bucket("foobar")), (5, 12, 8));
        assert_eq!(device_shard("foobar", 0), 0);
    }

    #[test]
    fn devices_spread_over_their_buckets() {
        let mut counts = [0; DEVICE_BUCKETS as usize];
        for i in 0..16_000 {
            counts[device_bucket(&format!("device-{i}")) as usize] += 1;
        }
        assert!(counts.iter().all(|count| (800..1200).contains(count)), "{counts:?}");
    }

    #[test]
    fn zone_buckets_are_in_the_order_of_the_ids() {
        assert_eq!(zone_bucket(Uuid::nil()), 0);
        assert_eq!(zone_bucket(Uuid::from_u128(0x7fff << 112)), 7);
        assert_eq!(zone_bucket(Uuid::max()), ZONE_BUCKETS - 1);
    }

    #[test]
    fn times_before_the_epoch_are_in_the_bucket_before() {
        assert_eq!((hour_of(0), hour_of(-1), hour_of(3_599_999), hour_of(3_600_000)), (0, -1, 0, 1));
        assert_eq!((day_of(0), day_of(-1), day_of(86_400_000)), (0, -1, 1));
        assert_eq!((month_of(0), month_of(-1)), (1970 * 12, 1970 * 12 - 1));
    }

    #[test]
    fn months_begin_where_the_calendar_says() {
        // 2024-02-29T23:59:59.999Z and 2024-03-01T00:00:00Z.
        assert_eq!(month_of(1_709_251_199_999), 2024 * 12 + 1);
        assert_eq!(month_of(1_709_251_200_000), 2024 * 12 + 2);
    }

    #[test]
    fn no_time_is_too_far() {
        assert_eq!((month_of(i64::MIN), month_of(i64::MAX)), (-9999 * 12, 9999 * 12 + 11));
        assert!(day_of(i64::MIN) < day_of(i64::MAX) && hour_of(i64::MIN) < hour_of(i64::MAX));
    }
}
