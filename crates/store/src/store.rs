//! The typed operations on tables, whatever the backend.

use std::ops::Bound as End;
use std::sync::Arc;
use std::time::Instant;

use crate::{Backend, Bound, Schema, StoreError, Table, Value, tables};

/// The longest key that CQL keeps.
const MOST_KEY_BYTES: usize = 65_535;

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

impl<K> Page<K> {
    /// The first `limit` rows in this direction.
    pub const fn first(limit: usize, direction: Direction) -> Self {
        Self { from: None, to: None, after: None, direction, limit }
    }
}

/// The tables of one deployment. Cheap to clone.
///
/// Every operation fails with [`StoreError::Unavailable`] or [`StoreError::Full`] when the backend does, and with
/// [`StoreError::Corrupt`] when a value is not of its column's type, or a key is one that not every backend keeps: a
/// partition key of nothing, or a key of more than 64 kB. Plain writes of conditional tables, and conditional writes of
/// plain ones, do not compile:
/// ```compile_fail
/// # use geopush_store::{Store, tables::ZoneRow};
/// fn overwrite(store: Store, zone: ZoneRow) -> Box<dyn Future<Output = ()>> {
///     Box::new(async move { store.put(zone).await.unwrap_or_default() })
/// }
/// # let _: fn(Store, ZoneRow) -> Box<dyn Future<Output = ()>> = overwrite;
/// ```
#[derive(Clone)]
pub struct Store {
    backend: Arc<dyn Backend>,
    tables: &'static [&'static Schema],
}

impl Store {
    /// The tables behind this backend.
    pub fn new(backend: Arc<dyn Backend>) -> Self {
        Self::with_tables(backend, tables::ALL)
    }

    /// Like [`Store::new`], for other tables than GeoPush's own.
    pub fn with_tables(backend: Arc<dyn Backend>, tables: &'static [&'static Schema]) -> Self {
        Self { backend, tables }
    }

    /// Creates or upgrades the tables; idempotent.
    ///
    /// # Errors
    /// Also [`StoreError::Incompatible`], when a table is there in a form that can't become the declared one.
    pub async fn migrate(&self) -> Result<(), StoreError> {
        self.backend.migrate(self.tables).await
    }

    /// Whether the tables are there as declared, so that the other operations can be used: what a process waits for
    /// whose tables are made by another. Cheap enough to ask every second.
    ///
    /// # Errors
    /// Also [`StoreError::Incompatible`], as for [`Store::migrate`].
    pub async fn is_migrated(&self) -> Result<bool, StoreError> {
        self.backend.is_migrated(self.tables).await
    }

    /// Writes a row, whether it was there or not. Not for conditional tables.
    ///
    /// # Errors
    /// As [`Store`] says.
    pub async fn put<T: Table>(&self, row: T) -> Result<(), StoreError> {
        self.put_all(vec![row]).await
    }

    /// Writes rows, in their order; those that share a partition together. Not atomic: when it fails some may be
    /// written, and all may be put again. Not for conditional tables.
    ///
    /// # Errors
    /// As [`Store`] says.
    pub async fn put_all<T: Table>(&self, rows: Vec<T>) -> Result<(), StoreError> {
        let schema = const { plain(&T::SCHEMA) };
        if rows.is_empty() {
            return Ok(());
        }
        let rows = rows.into_iter().map(values::<T>).collect::<Result<_, _>>()?;
        observed(schema, "put", self.backend.put(schema, rows)).await
    }

    /// The row of this key. Where the table is conditional it decides what is written next, so no write that was
    /// begun before and whose answer was never seen comes true after it.
    ///
    /// # Errors
    /// As [`Store`] says.
    pub async fn get<T: Table>(
        &self,
        partition: &T::Partition,
        clustering: &T::Clustering,
    ) -> Result<Option<T>, StoreError> {
        let schema = const { &T::SCHEMA };
        let key = key::<T>(partition, clustering)?;
        let row = observed(schema, "get", async {
            match schema.conditional {
                true => self.backend.get_settled(schema, key).await,
                false => Ok(self.backend.get(schema, vec![key]).await?.pop().flatten()),
            }
        });
        row.await?.map(T::from_values).transpose()
    }

    /// The rows of these keys, `None` where there is none, in the order asked; to be looked at. Whoever decides by one
    /// uses [`Store::get`].
    ///
    /// # Errors
    /// As [`Store`] says.
    pub async fn get_all<T: Table>(
        &self,
        keys: &[(T::Partition, T::Clustering)],
    ) -> Result<Vec<Option<T>>, StoreError> {
        let schema = const { &T::SCHEMA };
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let keys = keys
            .iter()
            .map(|(partition, clustering)| key::<T>(partition, clustering))
            .collect::<Result<_, _>>()?;
        let rows = observed(schema, "get", self.backend.get(schema, keys)).await?;
        rows.into_iter().map(|row| row.map(T::from_values).transpose()).collect()
    }

    /// Removes a row. Not for conditional tables, nor where the newest stays: see [`Store::delete_up_to`].
    ///
    /// # Errors
    /// As [`Store`] says.
    pub async fn delete<T: Table>(
        &self,
        partition: &T::Partition,
        clustering: &T::Clustering,
    ) -> Result<(), StoreError> {
        let schema = const { unstamped(&T::SCHEMA) };
        observed(schema, "delete", self.backend.delete(schema, key::<T>(partition, clustering)?)).await
    }

    /// Removes the row of this one's key, unless a newer one is there; and an older one that comes later stays away
    /// too. For tables that are declared with `newest_by` alone.
    ///
    /// # Errors
    /// As [`Store`] says.
    pub async fn delete_up_to<T: Table>(&self, row: T) -> Result<(), StoreError> {
        let schema = const { stamped(&T::SCHEMA) };
        let mut key = values(row)?;
        let stamp = schema.stamp(&key);
        key.truncate(schema.key().len());
        observed(schema, "delete", self.backend.delete_up_to(schema, key, stamp)).await
    }

    /// Rows of one partition.
    ///
    /// # Errors
    /// As [`Store`] says.
    pub async fn page<T: Table>(
        &self,
        partition: &T::Partition,
        page: &Page<T::Clustering>,
    ) -> Result<Vec<T>, StoreError> {
        let schema = const { &T::SCHEMA };
        let Some((lower, upper)) = bounds::<T>(page) else { return Ok(Vec::new()) };
        let partition = kept_key(schema, T::partition_values(partition))?;
        let rows = self.backend.page(schema, partition, lower, upper, page.direction, page.limit);
        observed(schema, "page", rows).await?.into_iter().map(T::from_values).collect()
    }

    /// Conditional tables: writes the row if its key has none; `false` if it has one.
    ///
    /// # Errors
    /// As [`Store`] says.
    pub async fn put_if_absent<T: Table>(&self, row: T) -> Result<bool, StoreError> {
        let schema = const { conditional(&T::SCHEMA) };
        let row = values(row)?;
        observed(schema, "put_if_absent", self.backend.put_if_absent(schema, row)).await
    }

    /// Conditional tables: replaces the row if its version is `version`; `false` if it is another or there is none.
    ///
    /// # Errors
    /// As [`Store`] says.
    pub async fn put_if_version<T: Table>(&self, row: T, version: i64) -> Result<bool, StoreError> {
        let schema = const { conditional(&T::SCHEMA) };
        let row = values(row)?;
        observed(schema, "put_if_version", self.backend.put_if_version(schema, row, version)).await
    }

    /// Removes the rows of all tables whose time ran out at `now_ms` (ms since the Unix epoch) or before, and returns
    /// how many there were. To be called every minute or so by whoever owns the deployment; rows whose time ran out
    /// are not seen before that either.
    ///
    /// # Errors
    /// As [`Store`] says.
    pub async fn expire(&self, now_ms: i64) -> Result<u64, StoreError> {
        let mut removed = 0;
        for schema in self.tables.iter().filter(|schema| schema.ttl_s.is_some()) {
            removed += observed(schema, "expire", self.backend.expire(schema, now_ms)).await?;
        }
        Ok(removed)
    }
}

/// The declaration, at compile time, if it has plain writes.
const fn plain(schema: &'static Schema) -> &'static Schema {
    assert!(!schema.conditional, "a conditional table knows put_if_absent and put_if_version alone");
    schema
}

/// The declaration, at compile time, if the row that was put last stays.
const fn unstamped(schema: &'static Schema) -> &'static Schema {
    assert!(schema.newest_by.is_empty(), "where the newest stays, only delete_up_to says which it removes");
    plain(schema)
}

/// The declaration, at compile time, if the newest row stays.
const fn stamped(schema: &'static Schema) -> &'static Schema {
    assert!(!schema.newest_by.is_empty(), "where the row that was put last stays, there is delete");
    schema
}

/// The declaration, at compile time, if it has conditional writes.
const fn conditional(schema: &'static Schema) -> &'static Schema {
    assert!(schema.conditional, "a plain table has no put_if_absent and put_if_version");
    schema
}

/// A row's values, if every backend can keep them: what is not a number has no place in SQLite.
fn values<T: Table>(row: T) -> Result<Vec<Value>, StoreError> {
    let values = row.into_values();
    match values.iter().position(|value| matches!(value, Value::Double(double) if double.is_nan())) {
        Some(i) => Err(StoreError::Corrupt { table: T::SCHEMA.name, column: T::SCHEMA.columns[i].name }),
        None => kept_key(&T::SCHEMA, values),
    }
}

fn key<T: Table>(partition: &T::Partition, clustering: &T::Clustering) -> Result<Vec<Value>, StoreError> {
    let mut key = T::partition_values(partition);
    key.extend(T::clustering_values(clustering));
    kept_key(&T::SCHEMA, key)
}

/// The beginning of a row or key, if CQL can keep it: a partition key has 1 to 65,535 bytes, with three more for each
/// column where there are several, and a clustering column at most as many.
fn kept_key(schema: &Schema, values: Vec<Value>) -> Result<Vec<Value>, StoreError> {
    let length = |value: &Value| match value {
        Value::Text(text) => text.len(),
        Value::Blob(bytes) => bytes.len(),
        Value::Null | Value::Uuid(_) | Value::Int(_) | Value::Double(_) | Value::Boolean(_) => 16,
    };
    let frame = if schema.partition_len > 1 { 3 } else { 0 };
    let mut partition = 0;
    for (i, (column, value)) in schema.key().iter().zip(&values).enumerate() {
        let length = length(value);
        if i < schema.partition_len {
            partition += length + frame;
        }
        if partition == 0 || partition > MOST_KEY_BYTES || length > MOST_KEY_BYTES {
            return Err(StoreError::Corrupt { table: schema.name, column: column.name });
        }
    }
    Ok(values)
}

/// A page's ends, by smaller and greater, one bound each since CQL takes no more; `None` when nothing is between them.
fn bounds<T: Table>(page: &Page<T::Clustering>) -> Option<(Bound, Bound)> {
    let (mut lower, mut upper) = (page.from.as_ref().map(End::Included), page.to.as_ref());
    if let Some(after) = &page.after {
        match page.direction {
            Direction::Ascending if page.from.as_ref().is_none_or(|from| from <= after) => {
                lower = Some(End::Excluded(after));
            }
            Direction::Descending if upper.is_none_or(|to| after <= to) => upper = Some(after),
            Direction::Ascending | Direction::Descending => (),
        }
    }
    let nothing = match (lower, upper) {
        (Some(End::Included(lower) | End::Excluded(lower)), Some(upper)) => lower >= upper,
        // The one row of a partition without clustering key has nothing before or after it.
        _ => T::SCHEMA.clustering_len == 0 && (page.to.is_some() || page.after.is_some()),
    };
    if nothing || page.limit == 0 {
        return None;
    }
    if T::SCHEMA.clustering_len == 0 {
        return Some((End::Unbounded, End::Unbounded));
    }
    let lower = lower.unwrap_or(End::Unbounded).map(T::clustering_values);
    let upper = upper.map_or(End::Unbounded, End::Excluded).map(T::clustering_values);
    Some((lower, upper))
}

/// Counts and times an operation.
async fn observed<R>(
    schema: &Schema,
    operation: &'static str,
    work: impl Future<Output = Result<R, StoreError>>,
) -> Result<R, StoreError> {
    let begun = Instant::now();
    let result = work.await;
    let outcome = result.as_ref().map_or_else(StoreError::outcome, |_| "ok");
    let table = schema.name;
    metrics::histogram!("geopush_store_operation_seconds", "table" => table, "operation" => operation)
        .record(begun.elapsed().as_secs_f64());
    metrics::counter!(
        "geopush_store_operations_total", "table" => table, "operation" => operation, "outcome" => outcome
    )
    .increment(1);
    result
}
