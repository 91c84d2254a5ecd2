//! Rows of deliveries written by the store and by the bare driver, on the same node, at the same concurrency.
//!
//! ```text
//! cargo run --release -p geopush-store --example cql_writes -- HOST:PORT [ROWS]
//! ```
//!
//! Both write the same rows into tables of the same declaration: the store a few hundred a call, as the dispatcher
//! does, the driver an insert a row. Five rounds of each in turn; the ratio is that of the medians.

use std::sync::Arc;
use std::time::Instant;

use futures::{StreamExt as _, stream};
use geopush_store::tables::{DeliveryByDeviceRow, DeliveryBySourceRow, hour_of, id_shard, month_of};
use geopush_store::{Backend, CqlOptions, CqlStore, Schema, Store, Table, Timestamp};
use scylla::client::session::Session;
use scylla::client::session_builder::SessionBuilder;
use scylla::statement::{Consistency, Statement};
use scylla::value::{CqlTimestamp, CqlValue};
use uuid::Uuid;

/// Rows in a call of the store.
const CALL: usize = 500;
/// Calls under way; and so many times [`BARE`] inserts.
const CALLS: usize = 4;
/// Inserts under way for each call, as the store has at most.
const BARE: usize = 128;
const ROUNDS: usize = 5;
const TABLES: &[&Schema] = &[&DeliveryBySourceRow::SCHEMA, &DeliveryByDeviceRow::SCHEMA];

type Failure = Box<dyn std::error::Error + Send + Sync>;

fn by_source(round: usize, i: usize) -> DeliveryBySourceRow {
    let push = Uuid::from_u128(
        ((round as u128) << 64) | (i as u128).wrapping_mul(0x9e37_79b9_7f4a_7c15) << 8 | (i as u128 % 256),
    );
    let at = 1_700_000_000_000 + i as i64;
    let source = Uuid::from_u128(i as u128 % 20);
    DeliveryBySourceRow {
        tenant: Uuid::from_u128(1),
        source,
        hour: hour_of(at),
        shard: id_shard(push),
        created_at: Timestamp(at),
        push,
        device: format!("device-{}", i % 50_000),
        campaign: Some(source),
        send: None,
        cause: push,
        provider: Some("fcm".to_owned()),
        outcome: "accepted".to_owned(),
        reason: None,
        attempts: 1,
        finished_at: Timestamp(at + 120),
        provider_message_id: Some(format!("projects/p/messages/{i}")),
        app: Some("app".to_owned()),
    }
}

fn by_device(round: usize, i: usize) -> DeliveryByDeviceRow {
    let row = by_source(round, i);
    DeliveryByDeviceRow {
        tenant: row.tenant,
        device: row.device,
        month: month_of(row.created_at.0),
        created_at: row.created_at,
        push: row.push,
        campaign: row.campaign,
        send: row.send,
        cause: row.cause,
        provider: row.provider,
        outcome: row.outcome,
        reason: row.reason,
        attempts: row.attempts,
        finished_at: row.finished_at,
        provider_message_id: row.provider_message_id,
        app: row.app,
    }
}

/// Rows a second, as the store writes them.
async fn by_store<T: Table>(store: &Store, rows: Vec<T>) -> Result<f64, Failure> {
    let count = rows.len();
    let mut rows = rows.into_iter();
    let calls: Vec<Vec<T>> = std::iter::from_fn(|| {
        let call: Vec<_> = rows.by_ref().take(CALL).collect();
        (!call.is_empty()).then_some(call)
    })
    .collect();
    let begun = Instant::now();
    let mut done = stream::iter(calls).map(|call| store.put_all(call)).buffer_unordered(CALLS);
    while let Some(call) = done.next().await {
        call?;
    }
    Ok(count as f64 / begun.elapsed().as_secs_f64())
}

/// Rows a second, as the driver inserts them.
async fn by_driver<T: Table>(session: &Session, keyspace: &str, rows: Vec<T>) -> Result<f64, Failure> {
    let names: Vec<_> = T::SCHEMA.columns.iter().map(|column| column.name).collect();
    let marks = vec!["?"; names.len()].join(", ");
    let table = T::SCHEMA.name;
    let mut insert =
        Statement::new(format!("INSERT INTO {keyspace}.{table} ({}) VALUES ({marks})", names.join(", ")));
    insert.set_consistency(Consistency::LocalQuorum);
    insert.set_is_idempotent(true);
    let insert = session.prepare(insert).await?;
    let rows: Vec<_> = rows.into_iter().map(parameters).collect();
    let count = rows.len();
    let begun = Instant::now();
    let mut done =
        stream::iter(rows).map(|row| session.execute_unpaged(&insert, row)).buffer_unordered(CALLS * BARE);
    while let Some(row) = done.next().await {
        row?;
    }
    Ok(count as f64 / begun.elapsed().as_secs_f64())
}

fn parameters<T: Table>(row: T) -> Vec<Option<CqlValue>> {
    let columns = T::SCHEMA.columns.iter();
    let value = |(column, value): (&geopush_store::Column, geopush_store::Value)| match (column.kind, value) {
        (_, geopush_store::Value::Null) => None,
        (_, geopush_store::Value::Text(text)) => Some(CqlValue::Text(text)),
        (_, geopush_store::Value::Uuid(uuid)) => Some(CqlValue::Uuid(uuid)),
        (geopush_store::ColumnType::Timestamp, geopush_store::Value::Int(ms)) => {
            Some(CqlValue::Timestamp(CqlTimestamp(ms)))
        }
        (geopush_store::ColumnType::Int, geopush_store::Value::Int(int)) => {
            i32::try_from(int).ok().map(CqlValue::Int)
        }
        (_, geopush_store::Value::Int(int)) => Some(CqlValue::BigInt(int)),
        (_, geopush_store::Value::Double(double)) => Some(CqlValue::Double(double)),
        (_, geopush_store::Value::Boolean(boolean)) => Some(CqlValue::Boolean(boolean)),
        (_, geopush_store::Value::Blob(bytes)) => Some(CqlValue::Blob(bytes)),
    };
    columns.zip(row.into_values()).map(value).collect()
}

fn median(mut rates: Vec<f64>) -> f64 {
    rates.sort_by(f64::total_cmp);
    rates[rates.len() / 2]
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let node = arguments.next().ok_or("usage: cql_writes HOST:PORT [ROWS]")?;
    let rows: usize = arguments.next().map_or(Ok(50_000), |rows| rows.parse())?;
    let options = CqlOptions {
        nodes: vec![node.clone()],
        keyspace: format!("writes_{}", &Uuid::new_v4().simple().to_string()[..12]),
        datacenter: None,
        replication: 1,
        credentials: None,
        ca: None,
    };
    let keyspace = format!("{}_history", options.keyspace);
    let backend: Arc<dyn Backend> = Arc::new(CqlStore::connect(options).await?);
    let store = Store::with_tables(backend, TABLES);
    store.migrate().await?;
    let session = SessionBuilder::new().known_node(&node).build().await?;

    let mut rates = [const { Vec::new() }; 4];
    for round in 0..=ROUNDS {
        let source = |round: usize| (0..rows).map(|i| by_source(round, i)).collect::<Vec<_>>();
        let device = |round: usize| (0..rows).map(|i| by_device(round, i)).collect::<Vec<_>>();
        let measured = [
            by_store(&store, source(2 * round)).await?,
            by_driver(&session, &keyspace, source(2 * round + 1)).await?,
            by_store(&store, device(2 * round)).await?,
            by_driver(&session, &keyspace, device(2 * round + 1)).await?,
        ];
        // The first round warms the node up.
        if round > 0 {
            for (rates, rate) in rates.iter_mut().zip(measured) {
                rates.push(rate);
            }
        }
    }
    let [source, bare_source, device, bare_device] = rates.map(median);
    println!(
        "by source: store {source:.0} rows/s, driver {bare_source:.0} rows/s, ratio {:.2}",
        source / bare_source
    );
    println!(
        "by device: store {device:.0} rows/s, driver {bare_device:.0} rows/s, ratio {:.2}",
        device / bare_device
    );
    Ok(())
}
