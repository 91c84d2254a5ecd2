//! Statements, prepared when they are first needed.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};

use scylla::client::session::Session;
use scylla::statement::Statement;
use scylla::statement::prepared::PreparedStatement;

use super::consistency::Level;
use super::errors;
use super::statements::Operation;
use crate::{Keyspace, Schema, StoreError};

/// Rows in a page from the database. Configuration has rows of hundreds of kilobytes (zones of 10,000 positions), and
/// an answer must stay well below what the protocol can carry.
const fn page_rows(keyspace: Keyspace) -> i32 {
    match keyspace {
        Keyspace::Config => 200,
        Keyspace::History => 2_000,
    }
}

/// The prepared statements of a session. Declarations are told apart by where they are, since they live for ever.
#[derive(Default)]
pub(super) struct Prepared {
    statements: RwLock<HashMap<(usize, Operation), PreparedStatement>>,
}

impl Prepared {
    /// The statement for an operation on a table of this keyspace.
    pub(super) async fn get(
        &self,
        session: &Session,
        keyspace: &str,
        schema: &'static Schema,
        operation: Operation,
    ) -> Result<PreparedStatement, StoreError> {
        let key = (std::ptr::from_ref(schema).addr(), operation);
        let known = self.statements.read().unwrap_or_else(PoisonError::into_inner).get(&key).cloned();
        if let Some(statement) = known {
            return Ok(statement);
        }
        let mut statement = Statement::new(operation.text(schema, keyspace));
        let level = Level::of(operation);
        statement.set_consistency(level.consistency);
        statement.set_serial_consistency(level.serial);
        statement.set_is_idempotent(operation.is_idempotent());
        statement.set_page_size(page_rows(schema.keyspace));
        let prepared =
            session.prepare(statement).await.map_err(|error| errors::unprepared(schema.name, &error))?;
        self.statements.write().unwrap_or_else(PoisonError::into_inner).insert(key, prepared.clone());
        Ok(prepared)
    }
}
