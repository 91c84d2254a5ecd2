//! One statement, one batch, one page.

use scylla::response::PagingState;
use scylla::response::query_result::QueryResult;
use scylla::statement::batch::{Batch, BatchType};
use scylla::statement::prepared::PreparedStatement;
use scylla::value::{CqlValue, Row};

use super::connect::Cluster;
use super::consistency::Level;
use super::errors;
use super::pacing::Pacing;
use super::prepared::Prepared;
use super::statements::Operation;
use super::values::{self, cells};
use crate::{Schema, StoreError, Value};

/// What runs statements on a cluster.
pub(super) struct Runner {
    pub(super) cluster: std::sync::Arc<Cluster>,
    pub(super) config: String,
    pub(super) history: String,
    pub(super) prepared: Prepared,
    pub(super) pacing: Pacing,
}

impl Runner {
    pub(super) async fn statement(
        &self,
        schema: &'static Schema,
        operation: Operation,
    ) -> Result<PreparedStatement, StoreError> {
        let keyspace = match schema.keyspace {
            crate::Keyspace::Config => &self.config,
            crate::Keyspace::History => &self.history,
        };
        self.prepared.get(&self.cluster.session, keyspace, schema, operation).await
    }

    /// Runs a statement.
    pub(super) async fn execute(
        &self,
        schema: &'static Schema,
        statement: &PreparedStatement,
        parameters: &[Value],
    ) -> Result<QueryResult, StoreError> {
        let _request = self.pacing.request().await?;
        let done = self.cluster.session.execute_unpaged(statement, cells(parameters)).await;
        done.map_err(|error| errors::failed(schema.name, &error))
    }

    /// Writes rows of one partition.
    pub(super) async fn write(
        &self,
        schema: &'static Schema,
        put: &PreparedStatement,
        mut rows: Vec<Vec<Value>>,
    ) -> Result<(), StoreError> {
        for row in &mut rows {
            values::check(schema, schema.columns, row)?;
            if !schema.newest_by.is_empty() {
                row.push(Value::Int(schema.stamp(row)));
            }
        }
        if let [row] = rows.as_slice() {
            return self.execute(schema, put, row).await.map(drop);
        }
        let level = Level::of(Operation::Put);
        let mut batch = Batch::new_with_statements(
            BatchType::Unlogged,
            rows.iter().map(|_| put.clone().into()).collect(),
        );
        batch.set_consistency(level.consistency);
        batch.set_is_idempotent(true);
        let rows: Vec<_> = rows.iter().map(|row| cells(row)).collect();
        let _request = self.pacing.request().await?;
        let done = self.cluster.session.batch(&batch, rows).await;
        done.map(drop).map_err(|error| errors::failed(schema.name, &error))
    }

    /// The first rows that a statement finds, at most `limit`, a page after another.
    pub(super) async fn rows(
        &self,
        schema: &'static Schema,
        statement: &PreparedStatement,
        parameters: &[Value],
        limit: usize,
    ) -> Result<Vec<Vec<Value>>, StoreError> {
        let mut found = Vec::new();
        let mut next = PagingState::start();
        loop {
            let _request = self.pacing.request().await?;
            let page = self.cluster.session.execute_single_page(statement, cells(parameters), next).await;
            let (page, more) = page.map_err(|error| errors::failed(schema.name, &error))?;
            found.extend(decoded(schema, page)?);
            match more.into_paging_control_flow() {
                std::ops::ControlFlow::Continue(state) if found.len() < limit => next = state,
                _ => return Ok(found),
            }
        }
    }

    /// Runs a conditional write of a partition; whether it was applied.
    pub(super) async fn apply(
        &self,
        schema: &'static Schema,
        operation: Operation,
        partition: &[u8],
        parameters: &[Value],
    ) -> Result<bool, StoreError> {
        let statement = self.statement(schema, operation).await?;
        let _turn = self.pacing.turn(schema.name, partition).await?;
        let answer = self.execute(schema, &statement, parameters).await?;
        applied(answer).ok_or_else(|| {
            StoreError::Unavailable(format!("table {}: no word whether it was applied", schema.name))
        })
    }
}

/// What a conditional statement says of itself.
pub(super) fn applied(answer: QueryResult) -> Option<bool> {
    let rows = answer.into_rows_result().ok()?;
    let (place, _) = rows.column_specs().get_by_name("[applied]")?;
    match rows.first_row::<Row>().ok()?.columns.into_iter().nth(place)? {
        Some(CqlValue::Boolean(applied)) => Some(applied),
        _ => None,
    }
}

/// The rows of an answer.
pub(super) fn decoded(schema: &'static Schema, answer: QueryResult) -> Result<Vec<Vec<Value>>, StoreError> {
    let unreadable = |error: &dyn std::fmt::Display| {
        StoreError::Unavailable(format!("table {}: an answer that can't be read: {error}", schema.name))
    };
    let rows = answer.into_rows_result().map_err(|error| unreadable(&error))?;
    let rows = rows.rows::<Row>().map_err(|error| unreadable(&error))?;
    rows.map(|row| values::decode(schema, row.map_err(|error| unreadable(&error))?)).collect()
}
