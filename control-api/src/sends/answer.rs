//! How far a send is.

use geopush_service::time::format_rfc3339_ms;
use geopush_store::tables::{DeliveryTotalsRow, SendRow, SendShardRow};
use geopush_store::{Direction, Store, StoreError};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

use super::input::everyone;
use crate::months::every;

/// How far a send is: `targeted` is the sum of the counts below it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Send)]
pub(super) struct SendAnswer {
    pub id: Uuid,
    app: String,
    /// `running`, `paused`, `cancelled`, or `done` when all of its devices are known and nothing is pending.
    #[schema(schema_with = status_schema)]
    pub status: &'static str,
    /// To how many devices it goes. Of an audience: to how many that are found so far.
    targeted: i64,
    /// Not decided or not finished yet.
    pending: i64,
    /// The provider took it.
    accepted: i64,
    /// It can't be sent.
    failed: i64,
    /// It was decided not to send it.
    suppressed: i64,
    /// Its time ran out.
    expired: i64,
    /// To whom, if its devices are not listed; `{}` is everyone.
    #[schema(value_type = Option<Object>, required)]
    audience: Option<Value>,
    /// Over how many seconds it is spread.
    #[schema(required)]
    spread_s: Option<i64>,
    /// When it was asked for (RFC 3339).
    #[schema(format = DateTime)]
    created_at: String,
}

fn status_schema() -> utoipa::openapi::schema::Schema {
    let schema = serde_json::json!({"type": "string", "enum": ["running", "paused", "cancelled", "done"]});
    serde_json::from_value(schema).expect("this is a schema")
}

/// How far a send is, as the tables say.
pub(super) async fn progress(store: &Store, row: SendRow) -> Result<SendAnswer, StoreError> {
    // What ended comes first: it was counted among the devices asked for before.
    let totals = every(store, &(row.tenant, row.send), Direction::Ascending).await?;
    let shards = match row.audience {
        Some(_) => every(store, &(row.tenant, row.send), Direction::Ascending).await?,
        None => Vec::new(),
    };
    Ok(answer(row, &shards, &totals))
}

fn answer(row: SendRow, shards: &[SendShardRow], totals: &[DeliveryTotalsRow]) -> SendAnswer {
    let sum = |count: fn(&DeliveryTotalsRow) -> i64| totals.iter().map(count).sum::<i64>();
    let (accepted, failed) = (sum(|row| row.accepted), sum(|row| row.failed));
    let (suppressed, expired) = (sum(|row| row.suppressed), sum(|row| row.expired));
    let ended = accepted + failed + suppressed + expired;
    let (known, all_known) = match row.audience {
        None => (row.targeted, true),
        Some(_) => {
            let done = shards.iter().filter(|shard| shard.state == "done").count();
            (shards.iter().map(|shard| shard.expanded).sum(), usize::try_from(row.shards) == Ok(done))
        }
    };
    let targeted = known.max(ended);
    let status = match row.status.as_str() {
        "cancelled" => "cancelled",
        _ if all_known && targeted == ended => "done",
        "paused" => "paused",
        _ => "running",
    };
    let audience: Option<Value> =
        row.audience.as_deref().map(|json| serde_json::from_str(json).unwrap_or_default());
    SendAnswer {
        id: row.send,
        app: row.app,
        status,
        targeted,
        pending: targeted - ended,
        accepted,
        failed,
        suppressed,
        expired,
        audience: audience
            .map(|json| if json == everyone() { Value::Object(serde_json::Map::new()) } else { json }),
        spread_s: row.spread_s,
        created_at: format_rfc3339_ms(row.created_at.0),
    }
}

#[cfg(test)]
mod tests {
    use geopush_store::Timestamp;

    use super::*;

    fn row(audience: Option<&str>, status: &str) -> SendRow {
        SendRow {
            tenant: Uuid::nil(),
            send: Uuid::nil(),
            app: "shop".into(),
            audience: audience.map(str::to_owned),
            message: String::new(),
            targeted: if audience.is_some() { 0 } else { 20 },
            shards: if audience.is_some() { 2 } else { 1 },
            spread_s: None,
            status: status.into(),
            created_at: Timestamp(0),
            updated_at: Timestamp(0),
            version: 1,
        }
    }

    fn shard(shard: i32, expanded: i64, state: &str) -> SendShardRow {
        SendShardRow {
            tenant: Uuid::nil(),
            send: Uuid::nil(),
            shard,
            cursor: None,
            expanded,
            state: state.into(),
            job: None,
            updated_at: Timestamp(0),
        }
    }

    fn totals(hour: i64, [accepted, failed, suppressed, expired]: [i64; 4]) -> DeliveryTotalsRow {
        DeliveryTotalsRow {
            tenant: Uuid::nil(),
            source: Uuid::nil(),
            hour,
            log_partition: 0,
            accepted,
            failed,
            suppressed,
            expired,
            counted_to: 0,
            put_off: None,
        }
    }

    #[test]
    fn what_is_targeted_is_the_sum_of_its_parts() {
        let some = answer(row(None, "running"), &[], &[totals(1, [1, 2, 3, 4]), totals(2, [5, 0, 0, 0])]);
        assert_eq!((some.status, some.pending, some.accepted, some.failed), ("running", 5, 6, 2));
        assert_eq!(
            some.pending + some.accepted + some.failed + some.suppressed + some.expired,
            some.targeted
        );
    }

    #[test]
    fn a_send_is_done_when_all_its_devices_are_known_and_ended() {
        let all = [totals(1, [20, 0, 0, 0])];
        assert_eq!(answer(row(None, "running"), &[], &all).status, "done");
        let vip = Some("{\"tag\":\"vip\"}");
        let status = |status, shards: &[SendShardRow]| {
            let answer = answer(row(vip, status), shards, &all);
            (answer.status, answer.targeted, answer.pending)
        };
        let done = [shard(0, 15, "done"), shard(1, 5, "done")];
        assert_eq!(status("running", &done), ("done", 20, 0));
        assert_eq!(status("paused", &done), ("done", 20, 0), "there is nothing left to pause");
        assert_eq!(status("cancelled", &done), ("cancelled", 20, 0));
        assert_eq!(status("running", &[shard(0, 20, "done")]), ("running", 20, 0));
        assert_eq!(status("paused", &[shard(0, 15, "done"), shard(1, 9, "paused")]), ("paused", 24, 4));
        assert_eq!(status("running", &[]), ("running", 20, 0), "what ended was targeted");
    }
}
