//! The typed operations on tables, whatever the backend.

use std::sync::Arc;

use crate::{Backend, StoreError, Table};

/// The way through a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Smallest clustering key first.
    Ascending,
    /// Greatest first.
    Descending,
}

/// Which rows of a partition, in which order, how many at most.
#[derive(Clone, Debug)]
pub struct Page<K> {
    /// From this clustering key on, itself included.
    pub from: Option<K>,
    /// Before this clustering key.
    pub to: Option<K>,
    /// Only what comes after this key in the page's direction: where the last page ended.
    pub after: Option<K>,
    /// The way.
    pub direction: Direction,
    /// At most this many rows.
    pub limit: usize,
}

/// The tables of one deployment. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    backend: Arc<dyn Backend>,
}

impl Store {
    /// The tables behind this backend.
    pub fn new(backend: Arc<dyn Backend>) -> Self {
        Self { backend }
    }
    /// Creates or upgrades the tables; idempotent.
    pub async fn migrate(&self) -> Result<(), StoreError> { unimplemented!() }
    /// Writes a row, whether it was there or not. Not for conditional tables.
    pub async fn put<T: Table>(&self, _row: T) -> Result<(), StoreError> { unimplemented!() }
    /// Writes rows; those that share a partition together. Not atomic across partitions.
    pub async fn put_all<T: Table>(&self, _rows: Vec<T>) -> Result<(), StoreError> { unimplemented!() }
    /// The row of this key.
    pub async fn get<T: Table>(&self, _partition: &T::Partition, _clustering: &T::Clustering) -> Result<Option<T>, StoreError> { unimplemented!() }
    /// The rows of these keys, `None` where there is none, in the order asked.
    pub async fn get_all<T: Table>(&self, _keys: &[(T::Partition, T::Clustering)]) -> Result<Vec<Option<T>>, StoreError> { unimplemented!() }
    /// Removes a row. Not for conditional tables.
    pub async fn delete<T: Table>(&self, _partition: &T::Partition, _clustering: &T::Clustering) -> Result<(), StoreError> { unimplemented!() }
    /// Rows of one partition.
    pub async fn page<T: Table>(&self, _partition: &T::Partition, _page: &Page<T::Clustering>) -> Result<Vec<T>, StoreError> { unimplemented!() }
    /// Conditional tables: writes the row if its key has none; `false` if it has one.
    pub async fn put_if_absent<T: Table>(&self, _row: T) -> Result<bool, StoreError> { unimplemented!() }
    /// Conditional tables: replaces the row if its version is `version`; `false` if it is another or there is none.
    pub async fn put_if_version<T: Table>(&self, _row: T, _version: i64) -> Result<bool, StoreError> { unimplemented!() }
}
