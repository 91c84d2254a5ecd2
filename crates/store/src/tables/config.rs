//! What merchants configure: tenants, keys, apps, zones, campaigns.
//!
//! A row that was deleted stays with `deleted` set, so that its version never goes back.

use uuid::Uuid;

use crate::{Timestamp, table};

table! {
    /// A tenant and its settings.
    pub struct TenantRow: "tenants" in Config, conditional, ascending {
        partition { tenant: Uuid }
        values {
            name: String,
            /// Whether a zone passed between two fixes gives an enter and an exit; absent: not so.
            detect_crossings: Option<bool>,
            /// IANA's name; none: UTC.
            timezone: Option<String>,
            /// JSON.
            quiet_hours: Option<String>,
            /// JSON.
            caps: Option<String>,
            quota_per_day: Option<i64>,
            /// 1 to 100; none: 1.
            weight: Option<i32>,
            created_at: Timestamp,
            updated_at: Timestamp,
            version: i64,
        }
    }
}

table! {
    /// How many of a day's pushes a tenant's quota has given out, to all slices together.
    pub struct QuotaRow: "quotas" in Config, conditional, ascending {
        partition { tenant: Uuid }
        clustering {
            /// Days since 1970, UTC.
            day: i32,
        }
        values { leased: i64, version: i64 }
    }
}

table! {
    /// An API key, by the hash of what callers show.
    pub struct KeyRow: "keys" in Config, conditional, ascending {
        partition {
            /// SHA-256 of the key.
            hash: Vec<u8>,
        }
        values {
            tenant: Uuid,
            /// `secret` or `publishable`.
            kind: String,
            revoked: bool,
            created_at: Timestamp,
            updated_at: Timestamp,
            version: i64,
        }
    }
}

table! {
    /// An app: the credentials of a tenant at the providers.
    pub struct AppRow: "apps" in Config, conditional, ascending {
        partition { tenant: Uuid }
        clustering { app: String }
        values {
            /// The credentials, encrypted.
            sealed: Vec<u8>,
            /// Whether there are credentials for FCM among them.
            fcm: bool,
            /// Whether there are credentials for APNs among them.
            apns: bool,
            deleted: bool,
            created_at: Timestamp,
            updated_at: Timestamp,
            version: i64,
        }
    }
}

table! {
    /// A zone as it is now.
    pub struct ZoneRow: "zones" in Config, conditional, ascending {
        partition {
            tenant: Uuid,
            /// [`zone_bucket`](crate::tables::zone_bucket) of the zone.
            bucket: i32,
        }
        clustering { zone: Uuid }
        values {
            external_id: Option<String>,
            location_id: Option<String>,
            name: String,
            /// GeoJSON, or a circle: JSON.
            shape: String,
            exit_buffer_m: Option<f64>,
            dwell_s: Option<i64>,
            max_accuracy_m: Option<f64>,
            active: bool,
            /// A JSON array.
            tags: String,
            /// A JSON object.
            metadata: String,
            deleted: bool,
            /// The version that last deleted or deactivated it.
            removed_version: Option<i64>,
            /// When that was.
            removed_at: Option<Timestamp>,
            created_at: Timestamp,
            updated_at: Timestamp,
            version: i64,
        }
    }
}

table! {
    /// A campaign as it is now.
    pub struct CampaignRow: "campaigns" in Config, conditional, ascending {
        partition { tenant: Uuid }
        clustering { campaign: Uuid }
        values {
            name: String,
            app: String,
            /// `draft`, `active` or `paused`.
            status: String,
            /// JSON.
            trigger: String,
            starts_at: Option<Timestamp>,
            ends_at: Option<Timestamp>,
            /// JSON.
            hours: Option<String>,
            cooldown_s: i64,
            ignores_caps: Option<bool>,
            ignores_quiet_hours: Option<bool>,
            /// JSON; none means everyone.
            audience: Option<String>,
            holdout_percent: Option<i32>,
            /// JSON.
            message: String,
            /// JSON.
            variants: Option<String>,
            deleted: bool,
            created_at: Timestamp,
            updated_at: Timestamp,
            version: i64,
        }
    }
}

table! {
    /// A change whose row was written and that is to be published: there until it has been.
    pub struct IntentRow: "intents" in Config, plain, ascending {
        partition {
            /// [`intent_shard`](crate::tables::intent_shard) of the entity.
            shard: i32,
        }
        clustering {
            /// What the entity is: `zone`, `campaign`, and so on.
            kind: String,
            /// Its id.
            entity: String,
        }
        values { tenant: Uuid, created_at: Timestamp }
    }
}
