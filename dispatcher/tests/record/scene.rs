//! Deliveries as the log has them, and what the tables say of them.

use std::collections::BTreeMap;

use geopush_log::{Record, Topic};
use geopush_model::{
    CauseId, Delivery, Origin, Outcome, Provider, PushId, Reason, Source, UnixMillis, Wire as _,
};
use geopush_store::tables::{DeliveryBySourceRow, DeliveryTotalsRow, SHARDS, SourceHourRow};
use geopush_store::{Direction, Page, Table};
use uuid::Uuid;

use crate::house::{APP, House, NOW, TENANT, id};

pub const OUTCOMES: [Outcome; 4] =
    [Outcome::Accepted, Outcome::Failed, Outcome::Suppressed, Outcome::Expired];

pub fn delivery(device: &str, n: u128, source: Source, outcome: Outcome) -> Delivery {
    let created_at = UnixMillis(NOW + i64::try_from(n).unwrap() * 60_000);
    Delivery {
        push: PushId(Uuid::from_u128(n * 0x0001_0000_0003)),
        tenant: TENANT,
        device: id(device),
        origin: Origin { source, cause: CauseId(Uuid::from_u128(n)) },
        app: APP.to_owned(),
        provider: (outcome != Outcome::Suppressed).then_some(Provider::Fcm),
        outcome,
        reason: (outcome != Outcome::Accepted).then_some(Reason::NoToken),
        attempts: 1,
        created_at,
        finished_at: created_at.plus_ms(5),
        provider_message_id: (outcome == Outcome::Accepted).then(|| format!("m{n}")),
        dead_token: None,
        variant: None,
        deferrals: 0,
        dead_letter: None,
    }
}

pub fn delivery_record(delivery: &Delivery) -> Record {
    Record::new(Topic::Deliveries, delivery.key().to_bytes(), delivery.encode())
}

pub async fn all<T: Table>(house: &House, partition: T::Partition) -> Vec<T> {
    house.store.page::<T>(&partition, &Page::first(1_000, Direction::Ascending)).await.unwrap()
}

pub async fn totals(house: &House, source: Uuid) -> BTreeMap<&'static str, i64> {
    let rows = all::<DeliveryTotalsRow>(house, (TENANT.0, source)).await;
    let mut totals = BTreeMap::new();
    for row in rows {
        for (outcome, count) in [
            ("accepted", row.accepted),
            ("failed", row.failed),
            ("suppressed", row.suppressed),
            ("expired", row.expired),
        ] {
            *totals.entry(outcome).or_insert(0) += count;
        }
    }
    totals
}

/// The rows of a source, found as readers find them: by the list of its hours.
pub async fn rows_of_source(house: &House, source: Uuid) -> Vec<DeliveryBySourceRow> {
    let mut rows = Vec::new();
    for hour in all::<SourceHourRow>(house, (TENANT.0, source)).await {
        for shard in 0..SHARDS {
            rows.extend(all::<DeliveryBySourceRow>(house, (TENANT.0, source, hour.hour, shard)).await);
        }
    }
    rows
}
