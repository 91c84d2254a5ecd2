//! The operations on tables.

use std::sync::Arc;

use async_trait::async_trait;
use futures::{StreamExt as _, TryStreamExt as _, stream};

use super::connect::{Cluster, CqlOptions, REQUEST};
use super::migrate::Migration;
use super::observe;
use super::pacing::Pacing;
use super::pieces::{bytes_of, pieces};
use super::prepared::Prepared;
use super::run::{Runner, decoded};
use super::statements::Operation;
use super::values::check;
use crate::{Backend, Bound, Direction, Keyspace, Schema, StoreError, Value};

/// Requests of one call under way at once.
const AT_ONCE: usize = 128;

/// The tables on ScyllaDB or Cassandra, in two keyspaces of one cluster. Cheap to clone.
#[derive(Clone)]
pub struct CqlStore {
    runner: Arc<Runner>,
    options: Arc<CqlOptions>,
}

impl CqlStore {
    /// Makes one attempt to reach the cluster, of 20 s at most. Tables are neither looked for nor made.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when no node can be spoken to in this way, with what to check.
    pub async fn connect(options: CqlOptions) -> Result<Self, StoreError> {
        let cluster = Arc::new(Cluster::reach(&options).await?);
        tokio::spawn(observe::watch(Arc::downgrade(&cluster)));
        let runner = Runner {
            cluster,
            config: options.name_of(Keyspace::Config),
            history: options.name_of(Keyspace::History),
            prepared: Prepared::default(),
            pacing: Pacing::new(REQUEST),
        };
        Ok(Self { runner: Arc::new(runner), options: Arc::new(options) })
    }

    fn migration(&self) -> Migration<'_> {
        Migration { cluster: &self.runner.cluster, options: &self.options }
    }
}

#[async_trait]
impl Backend for CqlStore {
    async fn migrate(&self, schemas: &[&'static Schema]) -> Result<(), StoreError> {
        self.migration().run(schemas).await
    }

    async fn is_migrated(&self, schemas: &[&'static Schema]) -> Result<bool, StoreError> {
        self.migration().is_done(schemas).await
    }

    async fn put(&self, schema: &'static Schema, rows: Vec<Vec<Value>>) -> Result<(), StoreError> {
        let _operation = self.runner.pacing.operation()?;
        let put = self.runner.statement(schema, Operation::Put).await?;
        stream::iter(pieces(schema, rows))
            .map(|piece| self.runner.write(schema, &put, piece))
            .buffer_unordered(AT_ONCE)
            .try_collect()
            .await
    }

    async fn get(
        &self,
        schema: &'static Schema,
        keys: Vec<Vec<Value>>,
    ) -> Result<Vec<Option<Vec<Value>>>, StoreError> {
        let _operation = self.runner.pacing.operation()?;
        let get = &self.runner.statement(schema, Operation::Get).await?;
        stream::iter(keys)
            .map(|key| async move {
                check(schema, schema.key(), &key)?;
                let answer = self.runner.execute(schema, get, &key).await?;
                Ok(decoded(schema, answer)?.pop())
            })
            .buffered(AT_ONCE)
            .try_collect()
            .await
    }

    async fn get_settled(
        &self,
        schema: &'static Schema,
        key: Vec<Value>,
    ) -> Result<Option<Vec<Value>>, StoreError> {
        let _operation = self.runner.pacing.operation()?;
        check(schema, schema.key(), &key)?;
        let get = self.runner.statement(schema, Operation::GetSettled).await?;
        // It is agreed on like a write, so it would stand in writes' way.
        let partition = bytes_of(&key[..schema.partition_len]);
        let _turn = self.runner.pacing.turn(schema.name, &partition).await?;
        let answer = self.runner.execute(schema, &get, &key).await?;
        Ok(decoded(schema, answer)?.pop())
    }

    async fn delete(&self, schema: &'static Schema, key: Vec<Value>) -> Result<(), StoreError> {
        let _operation = self.runner.pacing.operation()?;
        check(schema, schema.key(), &key)?;
        let delete = self.runner.statement(schema, Operation::Delete).await?;
        self.runner.execute(schema, &delete, &key).await.map(drop)
    }

    async fn delete_up_to(
        &self,
        schema: &'static Schema,
        key: Vec<Value>,
        stamp: i64,
    ) -> Result<(), StoreError> {
        let _operation = self.runner.pacing.operation()?;
        check(schema, schema.key(), &key)?;
        let delete = self.runner.statement(schema, Operation::DeleteUpTo).await?;
        let parameters: Vec<_> = [Value::Int(stamp)].into_iter().chain(key).collect();
        self.runner.execute(schema, &delete, &parameters).await.map(drop)
    }

    async fn page(
        &self,
        schema: &'static Schema,
        partition: Vec<Value>,
        lower: Bound,
        upper: Bound,
        direction: Direction,
        limit: usize,
    ) -> Result<Vec<Vec<Value>>, StoreError> {
        let _operation = self.runner.pacing.operation()?;
        check(schema, schema.partition(), &partition)?;
        let operation = Operation::page(schema, &lower, &upper, direction);
        let page = self.runner.statement(schema, operation).await?;
        let mut parameters = partition;
        for bound in [lower, upper] {
            match bound {
                std::ops::Bound::Included(key) | std::ops::Bound::Excluded(key) => {
                    check(schema, schema.clustering(), &key)?;
                    parameters.extend(key);
                }
                std::ops::Bound::Unbounded => (),
            }
        }
        parameters.push(Value::Int(i32::try_from(limit).unwrap_or(i32::MAX).into()));
        self.runner.rows(schema, &page, &parameters, limit).await
    }

    async fn put_if_absent(&self, schema: &'static Schema, row: Vec<Value>) -> Result<bool, StoreError> {
        let _operation = self.runner.pacing.operation()?;
        check(schema, schema.columns, &row)?;
        let partition = bytes_of(&row[..schema.partition_len]);
        self.runner.apply(schema, Operation::PutIfAbsent, &partition, &row).await
    }

    async fn put_if_version(
        &self,
        schema: &'static Schema,
        row: Vec<Value>,
        version: i64,
    ) -> Result<bool, StoreError> {
        let _operation = self.runner.pacing.operation()?;
        check(schema, schema.columns, &row)?;
        let partition = bytes_of(&row[..schema.partition_len]);
        let mut parameters = row;
        parameters.rotate_left(schema.key().len());
        parameters.push(Value::Int(version));
        self.runner.apply(schema, Operation::PutIfVersion, &partition, &parameters).await
    }

    /// The database removes them itself.
    async fn expire(&self, _schema: &'static Schema, _now_ms: i64) -> Result<u64, StoreError> {
        Ok(0)
    }
}
