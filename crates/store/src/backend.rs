//! What a backend does, on declarations and values; the types are put on by [`crate::Store`].

use async_trait::async_trait;

use crate::{Direction, Schema, Value};

/// Where a page begins or ends: a whole clustering key, in or out, or the end of the partition.
pub type Bound = std::ops::Bound<Vec<Value>>;

/// Why an operation failed. Every operation of a store may be repeated: those of plain tables have the same effect,
/// and conditional ones answer `false` where the first try had been applied unseen.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The store could not be reached, or failed. A write may or may not have happened.
    #[error("the store is unavailable: {0}; try again, and check its health if this lasts")]
    Unavailable(String),
    /// Too much is waiting already; nothing was written.
    #[error("the store is full: too many writes are waiting; try again in a moment")]
    Full,
    /// A value is not of its column's type, on its way in or out, or is no key; a double that is not a number is of no
    /// type.
    #[error(
        "table {table}, column {column}: the value is not of the declared type; check which version wrote it"
    )]
    Corrupt {
        /// The table.
        table: &'static str,
        /// The column.
        column: &'static str,
    },
    /// The table is there in a form that no migration can make the declared one.
    #[error("table {table} is not as declared: {reason}; run the version that made it")]
    Incompatible {
        /// The table.
        table: &'static str,
        /// What is otherwise.
        reason: String,
    },
}

impl StoreError {
    /// The variant's name, for metrics.
    pub(crate) const fn outcome(&self) -> &'static str {
        match self {
            Self::Unavailable(_) => "unavailable",
            Self::Full => "full",
            Self::Corrupt { .. } => "corrupt",
            Self::Incompatible { .. } => "incompatible",
        }
    }
}

/// The operations on tables, by declaration. A row is a value for each column, in the declaration's order; a key is
/// the values of the partition key and then those of the clustering key.
///
/// Rows whose time has run out are never returned, whether or not they were removed yet.
#[async_trait]
pub trait Backend: Send + Sync + 'static {
    /// Makes the tables that are missing and adds the columns that are; idempotent.
    async fn migrate(&self, schemas: &[&'static Schema]) -> Result<(), StoreError>;

    /// Whether [`Backend::migrate`] left nothing to do that the operations need; cheap enough to ask every second.
    async fn is_migrated(&self, schemas: &[&'static Schema]) -> Result<bool, StoreError>;

    /// Writes rows, in their order: of two with the same key the later one stays, or the one with the greater
    /// [`Schema::stamp`] where the table is declared so.
    async fn put(&self, schema: &'static Schema, rows: Vec<Vec<Value>>) -> Result<(), StoreError>;

    /// The rows of these keys, in their order.
    async fn get(
        &self,
        schema: &'static Schema,
        keys: Vec<Vec<Value>>,
    ) -> Result<Vec<Option<Vec<Value>>>, StoreError>;

    /// The row of this key of a conditional table. A conditional write whose answer was never seen has come true by
    /// then or never will; so this is more than [`Backend::get`] where writes can be half done.
    async fn get_settled(
        &self,
        schema: &'static Schema,
        key: Vec<Value>,
    ) -> Result<Option<Vec<Value>>, StoreError> {
        Ok(self.get(schema, vec![key]).await?.pop().flatten())
    }

    /// Removes the row of this key.
    async fn delete(&self, schema: &'static Schema, key: Vec<Value>) -> Result<(), StoreError>;

    /// Removes the row of this key where its [`Schema::stamp`] is not greater, and any such that is put later.
    /// Where writes can't come late, the second need not be so.
    async fn delete_up_to(
        &self,
        schema: &'static Schema,
        key: Vec<Value>,
        stamp: i64,
    ) -> Result<(), StoreError>;

    /// The rows of a partition from `lower` to `upper` (both by smaller and greater, whatever the direction), at most
    /// `limit`. Bounds are [`Bound::Unbounded`] where there is no clustering key.
    async fn page(
        &self,
        schema: &'static Schema,
        partition: Vec<Value>,
        lower: Bound,
        upper: Bound,
        direction: Direction,
        limit: usize,
    ) -> Result<Vec<Vec<Value>>, StoreError>;

    /// Writes the row if its key has none; whether it did.
    async fn put_if_absent(&self, schema: &'static Schema, row: Vec<Value>) -> Result<bool, StoreError>;

    /// Replaces the row if it is there with this version; whether it did.
    async fn put_if_version(
        &self,
        schema: &'static Schema,
        row: Vec<Value>,
        version: i64,
    ) -> Result<bool, StoreError>;

    /// Removes the rows whose time ran out at `now_ms` or before; how many. Zero where the database does it itself.
    async fn expire(&self, schema: &'static Schema, now_ms: i64) -> Result<u64, StoreError>;
}
