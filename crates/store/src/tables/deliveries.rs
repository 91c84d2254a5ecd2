//! What became of each push, by source (a campaign or a send) and by device, and the totals of a source.

use uuid::Uuid;

use crate::{Timestamp, table};

table! {
    /// A finished push, by its source.
    pub struct DeliveryBySourceRow: "deliveries_by_source" in History, plain, descending, ttl_days 90 {
        partition {
            tenant: Uuid,
            /// The campaign or send.
            source: Uuid,
            /// [`hour_of`](crate::tables::hour_of) `created_at`.
            hour: i64,
            /// [`id_shard`](crate::tables::id_shard) of the push.
            shard: i32,
        }
        clustering { created_at: Timestamp, push: Uuid }
        values {
            device: String,
            campaign: Option<Uuid>,
            send: Option<Uuid>,
            cause: Uuid,
            provider: Option<String>,
            /// `accepted`, `failed`, `suppressed` or `expired`.
            outcome: String,
            reason: Option<String>,
            attempts: i32,
            finished_at: Timestamp,
            provider_message_id: Option<String>,
            app: Option<String>,
            /// Which of the campaign's variants.
            variant: Option<String>,
        }
    }
}

table! {
    /// A finished push, by its device.
    pub struct DeliveryByDeviceRow: "deliveries_by_device" in History, plain, descending, ttl_days 90 {
        partition {
            tenant: Uuid,
            device: String,
            /// [`month_of`](crate::tables::month_of) `created_at`.
            month: i32,
        }
        clustering { created_at: Timestamp, push: Uuid }
        values {
            campaign: Option<Uuid>,
            send: Option<Uuid>,
            cause: Uuid,
            provider: Option<String>,
            /// `accepted`, `failed`, `suppressed` or `expired`.
            outcome: String,
            reason: Option<String>,
            attempts: i32,
            finished_at: Timestamp,
            provider_message_id: Option<String>,
            app: Option<String>,
            /// Which of the campaign's variants.
            variant: Option<String>,
        }
    }
}

table! {
    /// An hour in which a source has deliveries.
    pub struct SourceHourRow: "source_hours" in History, plain, descending, ttl_days 90 {
        partition { tenant: Uuid, source: Uuid }
        clustering { hour: i64 }
        values {}
    }
}

table! {
    /// A month in which a device has rows of some kind.
    pub struct DeviceMonthRow: "device_months" in History, plain, descending, ttl_days 90 {
        partition {
            tenant: Uuid,
            device: String,
            /// `deliveries` or `transitions`.
            kind: String,
        }
        clustering { month: i32 }
        values {}
    }
}

table! {
    /// How many of a source's pushes ended how, as one partition of the log counts them. Readers add up. Whoever
    /// counted further is right, so that a process that lost the partition without knowing does no harm.
    pub struct DeliveryTotalsRow: "delivery_totals" in History, plain, descending, ttl_days 90,
        newest_by { hour * 3_600_000_000, counted_to * 1 }
    {
        partition { tenant: Uuid, source: Uuid }
        clustering {
            hour: i64,
            /// The partition of the topic of deliveries.
            log_partition: i32,
        }
        values {
            accepted: i64,
            failed: i64,
            suppressed: i64,
            expired: i64,
            /// The offset up to which deliveries are counted here, itself excluded.
            counted_to: i64,
            /// How many have not ended and were put off, to be tried again later; none where nobody counted them.
            put_off: Option<i64>,
        }
    }
}

table! {
    /// A push by its id: whose it is, for receipts, which name the push alone, and where its rows are.
    pub struct PushRow: "pushes_by_id" in History, plain, ascending, ttl_days 90 {
        partition { tenant: Uuid, push: Uuid }
        values {
            device: String,
            /// The campaign or send.
            source: Uuid,
            created_at: Timestamp,
        }
    }
}

table! {
    /// A push that failed though its token is good: to be looked at, and sent anew.
    pub struct DeadLetterRow: "dead_letters" in History, plain, descending, ttl_days 30 {
        partition {
            tenant: Uuid,
            /// [`hour_of`](crate::tables::hour_of) `created_at`.
            hour: i64,
            /// [`id_shard`](crate::tables::id_shard) of the push.
            shard: i32,
        }
        clustering { created_at: Timestamp, push: Uuid }
        values {
            device: String,
            app: String,
            campaign: Option<Uuid>,
            send: Option<Uuid>,
            variant: Option<String>,
            provider: Option<String>,
            reason: String,
            attempts: i32,
            finished_at: Timestamp,
            /// JSON.
            message: String,
        }
    }
}

table! {
    /// An hour in which a tenant has dead letters.
    pub struct DeadLetterHourRow: "dead_letter_hours" in History, plain, descending, ttl_days 30 {
        partition { tenant: Uuid }
        clustering { hour: i64 }
        values {}
    }
}

table! {
    /// What a phone said that it did with a push.
    pub struct ReceiptRow: "receipts" in History, plain, ascending, ttl_days 90 {
        partition { tenant: Uuid, push: Uuid }
        clustering {
            /// `delivered`, `opened` or `clicked`.
            event: String,
        }
        values { at: Timestamp, received_at: Timestamp }
    }
}

table! {
    /// A receipt that came before the row of its push: what it says of the device is still to be written.
    pub struct EarlyReceiptRow: "early_receipts" in History, plain, ascending, ttl_days 1 {
        partition {
            /// [`id_shard`](crate::tables::id_shard) of the push.
            shard: i32,
        }
        clustering { received_at: Timestamp, push: Uuid }
        values { tenant: Uuid, at: Timestamp }
    }
}
