//! What writing deliveries costs with the driver alone: a prepared insert a row, typed, many at once. For benches alone.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures::future::try_join_all;
use scylla::SerializeRow;
use scylla::serialize::row::SerializeRow as AnyRow;
use scylla::statement::Statement;
use scylla::statement::prepared::PreparedStatement;
use scylla::value::CqlTimestamp;
use uuid::Uuid;

use super::connect::{Cluster, CqlOptions};
use super::consistency::Level;
use super::errors;
use super::migrate::CHANGE;
use super::statements::Operation;
use crate::tables::{DeliveryByDeviceRow, DeliveryBySourceRow, PushRow};
use crate::{Keyspace, Schema, StoreError, Table};

/// Inserts deliveries into the tables of a store, past it.
pub struct RawDeliveries {
    cluster: Arc<Cluster>,
    by_source: PreparedStatement,
    by_device: PreparedStatement,
    by_id: PreparedStatement,
    keyspaces: [String; 2],
}

/// The rows of a delivery.
#[derive(Clone, Debug)]
pub struct DeliveryRow {
    /// As a source's reader finds it.
    pub by_source: DeliveryBySourceRow,
    /// As a device's reader finds it.
    pub by_device: DeliveryByDeviceRow,
    /// As whoever has the push's id finds it; none of one that no phone shows.
    pub by_id: Option<PushRow>,
}

impl RawDeliveries {
    /// Connects as [`crate::CqlStore`] does; its tables must be there.
    ///
    /// # Errors
    /// As for [`crate::CqlStore::connect`].
    pub async fn connect(options: &CqlOptions) -> Result<Self, StoreError> {
        let cluster = Arc::new(Cluster::reach(options).await?);
        let history = options.name_of(Keyspace::History);
        let by_source = prepared(&cluster, &history, &DeliveryBySourceRow::SCHEMA).await?;
        let by_device = prepared(&cluster, &history, &DeliveryByDeviceRow::SCHEMA).await?;
        let by_id = prepared(&cluster, &history, &PushRow::SCHEMA).await?;
        let keyspaces = [history, options.name_of(Keyspace::Config)];
        Ok(Self { cluster, by_source, by_device, by_id, keyspaces })
    }

    /// Inserts all rows into their tables, with `at_once` requests under way; `progress` counts deliveries.
    ///
    /// # Errors
    /// When an insert fails.
    pub async fn insert(
        self: &Arc<Self>,
        rows: &Arc<Vec<DeliveryRow>>,
        at_once: usize,
        progress: &Arc<AtomicU64>,
    ) -> Result<(), StoreError> {
        // Each has up to three requests under way.
        let workers = at_once.div_ceil(3).max(1);
        let tasks = (0..workers).map(|worker| {
            let (raw, rows, progress) = (Arc::clone(self), Arc::clone(rows), Arc::clone(progress));
            tokio::spawn(async move {
                for row in rows.iter().skip(worker).step_by(workers) {
                    raw.each(row).await?;
                    progress.fetch_add(1, Ordering::Relaxed);
                }
                Ok::<_, StoreError>(())
            })
        });
        for ended in try_join_all(tasks).await.map_err(|error| StoreError::Unavailable(error.to_string()))? {
            ended?;
        }
        Ok(())
    }

    async fn each(&self, row: &DeliveryRow) -> Result<(), StoreError> {
        let by_id = async {
            match &row.by_id {
                Some(row) => self.one(&self.by_id, ById::of(row)).await,
                None => Ok(()),
            }
        };
        futures::try_join!(
            self.one(&self.by_source, BySource::of(&row.by_source)),
            self.one(&self.by_device, ByDevice::of(&row.by_device)),
            by_id
        )
        .map(drop)
    }

    async fn one(&self, statement: &PreparedStatement, row: impl AnyRow) -> Result<(), StoreError> {
        let done = self.cluster.session.execute_unpaged(statement, row).await;
        done.map(drop).map_err(|error| errors::failed("deliveries", &error))
    }

    /// Removes the keyspaces. The store is of no use afterwards.
    ///
    /// # Errors
    /// When the cluster doesn't.
    pub async fn remove(&self) -> Result<(), StoreError> {
        for keyspace in &self.keyspaces {
            let mut drop = Statement::new(format!("DROP KEYSPACE IF EXISTS {keyspace}"));
            drop.set_request_timeout(Some(CHANGE));
            let done = self.cluster.session.query_unpaged(drop, ()).await;
            done.map_err(|error| errors::failed(keyspace, &error))?;
        }
        Ok(())
    }
}

async fn prepared(
    cluster: &Cluster,
    keyspace: &str,
    schema: &'static Schema,
) -> Result<PreparedStatement, StoreError> {
    let mut statement = Statement::new(Operation::Put.text(schema, keyspace));
    statement.set_consistency(Level::of(Operation::Put).consistency);
    statement.set_is_idempotent(true);
    cluster.session.prepare(statement).await.map_err(|error| errors::unprepared(schema.name, &error))
}

#[derive(SerializeRow)]
#[scylla(flavor = "enforce_order")]
struct BySource<'a> {
    tenant: Uuid,
    source: Uuid,
    hour: i64,
    shard: i32,
    created_at: CqlTimestamp,
    push: Uuid,
    device: &'a str,
    campaign: Option<Uuid>,
    send: Option<Uuid>,
    cause: Uuid,
    provider: Option<&'a str>,
    outcome: &'a str,
    reason: Option<&'a str>,
    attempts: i32,
    finished_at: CqlTimestamp,
    provider_message_id: Option<&'a str>,
    app: Option<&'a str>,
    variant: Option<&'a str>,
}

impl<'a> BySource<'a> {
    fn of(row: &'a DeliveryBySourceRow) -> Self {
        Self {
            tenant: row.tenant,
            source: row.source,
            hour: row.hour,
            shard: row.shard,
            created_at: CqlTimestamp(row.created_at.0),
            push: row.push,
            device: &row.device,
            campaign: row.campaign,
            send: row.send,
            cause: row.cause,
            provider: row.provider.as_deref(),
            outcome: &row.outcome,
            reason: row.reason.as_deref(),
            attempts: row.attempts,
            finished_at: CqlTimestamp(row.finished_at.0),
            provider_message_id: row.provider_message_id.as_deref(),
            app: row.app.as_deref(),
            variant: row.variant.as_deref(),
        }
    }
}

#[derive(SerializeRow)]
#[scylla(flavor = "enforce_order")]
struct ByDevice<'a> {
    tenant: Uuid,
    device: &'a str,
    month: i32,
    created_at: CqlTimestamp,
    push: Uuid,
    campaign: Option<Uuid>,
    send: Option<Uuid>,
    cause: Uuid,
    provider: Option<&'a str>,
    outcome: &'a str,
    reason: Option<&'a str>,
    attempts: i32,
    finished_at: CqlTimestamp,
    provider_message_id: Option<&'a str>,
    app: Option<&'a str>,
    variant: Option<&'a str>,
}

impl<'a> ByDevice<'a> {
    fn of(row: &'a DeliveryByDeviceRow) -> Self {
        Self {
            tenant: row.tenant,
            device: &row.device,
            month: row.month,
            created_at: CqlTimestamp(row.created_at.0),
            push: row.push,
            campaign: row.campaign,
            send: row.send,
            cause: row.cause,
            provider: row.provider.as_deref(),
            outcome: &row.outcome,
            reason: row.reason.as_deref(),
            attempts: row.attempts,
            finished_at: CqlTimestamp(row.finished_at.0),
            provider_message_id: row.provider_message_id.as_deref(),
            app: row.app.as_deref(),
            variant: row.variant.as_deref(),
        }
    }
}

#[derive(SerializeRow)]
#[scylla(flavor = "enforce_order")]
struct ById<'a> {
    tenant: Uuid,
    push: Uuid,
    device: &'a str,
    source: Uuid,
    created_at: CqlTimestamp,
}

impl<'a> ById<'a> {
    fn of(row: &'a PushRow) -> Self {
        Self {
            tenant: row.tenant,
            push: row.push,
            device: &row.device,
            source: row.source,
            created_at: CqlTimestamp(row.created_at.0),
        }
    }
}
