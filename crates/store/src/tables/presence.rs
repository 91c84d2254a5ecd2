//! Which devices are in which zones now. Rows go when the device does, so nothing expires by itself.
//!
//! The transition that a row comes from says how new it is, by the device's incarnation (a moment in ms) and its
//! number since: so nobody who is late puts a device back into a zone that it has left.

use uuid::Uuid;

use crate::{Timestamp, table};

table! {
    /// A zone that a device is in.
    pub struct PresenceByDeviceRow: "presence_by_device" in History, plain, ascending,
        newest_by { incarnation * 1_000, seq * 1 }
    {
        partition { tenant: Uuid, device: String }
        clustering { zone: Uuid }
        values {
            zone_external_id: Option<String>,
            since: Timestamp,
            incarnation: i64,
            seq: i64,
        }
    }
}

table! {
    /// A device that is in a zone.
    pub struct PresenceByZoneRow: "presence_by_zone" in History, plain, ascending,
        newest_by { incarnation * 1_000, seq * 1 }
    {
        partition {
            tenant: Uuid,
            zone: Uuid,
            /// [`device_shard`](crate::tables::device_shard) among
            /// [`PRESENCE_SHARDS`](crate::tables::PRESENCE_SHARDS).
            shard: i32,
        }
        clustering { device: String }
        values { since: Timestamp, incarnation: i64, seq: i64 }
    }
}
