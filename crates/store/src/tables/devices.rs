//! Devices: what is known of them, and where they were last.

use uuid::Uuid;

use crate::{Timestamp, table};

table! {
    /// A device as it is now.
    pub struct DeviceRow: "devices" in Config, conditional, ascending {
        partition {
            tenant: Uuid,
            /// [`device_bucket`](crate::tables::device_bucket) of the device.
            bucket: i32,
        }
        clustering { device: String }
        values {
            /// `android`, `ios` or `web`.
            platform: Option<String>,
            app: Option<String>,
            push_token: Option<String>,
            /// When the token was registered.
            token_at: Option<Timestamp>,
            locale: Option<String>,
            timezone: Option<String>,
            /// A JSON object.
            attributes: String,
            /// A JSON array.
            tags: String,
            push_consent: bool,
            location_consent: bool,
            deleted: bool,
            created_at: Timestamp,
            updated_at: Timestamp,
            version: i64,
        }
    }
}

table! {
    /// The push that a device's owner opened last.
    pub struct DeviceEngagementRow: "device_engagement" in History, plain, ascending, ttl_days 400,
        newest_by { opened_at * 1_000 }
    {
        partition { tenant: Uuid, device: String }
        values { opened_at: Timestamp, push: Uuid }
    }
}

table! {
    /// A device's last fix, which may be as old as the last flush.
    pub struct DevicePositionRow: "device_positions" in History, plain, ascending, ttl_days 90 {
        partition { tenant: Uuid, device: String }
        values {
            lat: f64,
            lon: f64,
            time: Timestamp,
            accuracy_m: Option<f64>,
            received_at: Timestamp,
        }
    }
}
