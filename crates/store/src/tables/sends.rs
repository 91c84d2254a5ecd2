//! Sends, their targets, answers kept for callers who ask twice, and jobs.

use uuid::Uuid;

use crate::{Timestamp, table};

table! {
    /// A send: one message to many devices at once.
    pub struct SendRow: "sends" in Config, conditional, ascending {
        partition { tenant: Uuid }
        clustering { send: Uuid }
        values {
            app: String,
            /// JSON; none when its targets are listed. `{"all":[]}` is everyone.
            audience: Option<String>,
            /// JSON.
            message: String,
            /// How many devices it goes to, as far as they are known.
            targeted: i64,
            /// How many shards its targets are in.
            shards: i32,
            /// Over how many seconds its pages are spread; none: as fast as it goes.
            spread_s: Option<i64>,
            /// `running`, `paused` or `cancelled`; a running one is done when all its shards are.
            status: String,
            created_at: Timestamp,
            updated_at: Timestamp,
            version: i64,
        }
    }
}

table! {
    /// How far a shard of a send, or of a campaign's run (by its cause), is expanded. Written before its page is, so
    /// that nothing is asked for that no row counts.
    pub struct SendShardRow: "send_shards" in History, plain, ascending, ttl_days 90 {
        partition { tenant: Uuid, send: Uuid }
        clustering { shard: i32 }
        values {
            /// The last device that is done; none at the start.
            cursor: Option<String>,
            /// Devices that were asked for.
            expanded: i64,
            /// `running`, `paused` or `done`.
            state: String,
            /// The offset of the job that wrote this, so that its page can be told from another job's.
            job: Option<i64>,
            updated_at: Timestamp,
        }
    }
}

table! {
    /// The devices of the last page of a shard of an audience. Written before the shard's row counts them, so that a
    /// page that is done again asks for those that were counted, whatever has become of them.
    pub struct SendPageRow: "send_pages" in History, plain, ascending, ttl_days 7 {
        partition { tenant: Uuid, send: Uuid }
        clustering { shard: i32 }
        values {
            /// The offset of the page's job.
            job: i64,
            /// JSON.
            devices: String,
        }
    }
}

table! {
    /// A send, by when it was asked for.
    pub struct SendByTimeRow: "sends_by_time" in Config, plain, descending {
        partition {
            tenant: Uuid,
            /// [`month_of`](crate::tables::month_of) `created_at`.
            month: i32,
        }
        clustering { created_at: Timestamp, send: Uuid }
        values {}
    }
}

table! {
    /// A month in which a tenant has sends.
    pub struct SendMonthRow: "send_months" in Config, plain, descending {
        partition { tenant: Uuid }
        clustering { month: i32 }
        values {}
    }
}

table! {
    /// A device that a send was asked to go to.
    pub struct SendTargetRow: "send_targets" in History, plain, ascending, ttl_days 30 {
        partition {
            tenant: Uuid,
            send: Uuid,
            /// [`device_shard`](crate::tables::device_shard) among the send's shards.
            shard: i32,
        }
        clustering { device: String }
        values {}
    }
}

table! {
    /// What a caller was answered under an idempotency key.
    pub struct IdempotencyRow: "idempotency" in Config, conditional, ascending, ttl_days 1 {
        partition { tenant: Uuid, key: String }
        values {
            /// A hash of the request, so that another one under the same key is seen.
            request_hash: Vec<u8>,
            /// The HTTP status; 0 while the request is being worked on.
            status: i32,
            body: String,
            created_at: Timestamp,
            version: i64,
        }
    }
}

table! {
    /// An import of zones that goes on after it was answered.
    pub struct ImportJobRow: "import_jobs" in History, plain, ascending, ttl_days 30 {
        partition { tenant: Uuid }
        clustering { job: Uuid }
        values {
            /// `running`, `done` or `failed`.
            status: String,
            /// JSON, once it is done.
            result: Option<String>,
            /// Why it failed.
            detail: Option<String>,
            created_at: Timestamp,
            /// When it last said that it is alive.
            updated_at: Timestamp,
        }
    }
}
