//! Transitions, by zone and by device.

use uuid::Uuid;

use crate::{Timestamp, table};

table! {
    /// A transition, by its zone.
    pub struct TransitionByZoneRow: "transitions_by_zone" in History, plain, descending, ttl_days 90 {
        partition {
            tenant: Uuid,
            zone: Uuid,
            /// [`day_of`](crate::tables::day_of) `at`.
            day: i32,
            /// [`id_shard`](crate::tables::id_shard) of the transition.
            shard: i32,
        }
        clustering { at: Timestamp, id: Uuid }
        values {
            incarnation: i64,
            seq: i64,
            device: String,
            zone_external_id: Option<String>,
            /// `enter`, `exit` or `dwell`.
            kind: String,
            reason: Option<String>,
            initial: bool,
            dwell_s: Option<i64>,
            zone_version: i64,
            fix_lat: f64,
            fix_lon: f64,
            fix_time: Timestamp,
            fix_accuracy_m: Option<f64>,
        }
    }
}

table! {
    /// A transition, by its device.
    pub struct TransitionByDeviceRow: "transitions_by_device" in History, plain, descending, ttl_days 90 {
        partition {
            tenant: Uuid,
            device: String,
            /// [`month_of`](crate::tables::month_of) `at`.
            month: i32,
        }
        clustering {
            /// Grows each time that the device is forgotten and comes back.
            incarnation: i64,
            /// Counts the device's transitions since.
            seq: i64,
        }
        values {
            id: Uuid,
            zone: Uuid,
            zone_external_id: Option<String>,
            /// `enter`, `exit` or `dwell`.
            kind: String,
            at: Timestamp,
            reason: Option<String>,
            initial: bool,
            dwell_s: Option<i64>,
            zone_version: i64,
            fix_lat: f64,
            fix_lon: f64,
            fix_time: Timestamp,
            fix_accuracy_m: Option<f64>,
        }
    }
}

table! {
    /// A day on which a zone has transitions.
    pub struct ZoneDayRow: "zone_days" in History, plain, descending, ttl_days 90 {
        partition { tenant: Uuid, zone: Uuid }
        clustering { day: i32 }
        values {}
    }
}
