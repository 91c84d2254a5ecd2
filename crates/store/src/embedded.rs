//! The tables in the embedded default's one file, beside the log.

use std::ops::Bound as End;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use geopush_embedded::{Database, DatabaseError};
use rusqlite::{Connection, ToSql, params_from_iter};

use crate::{Backend, Bound, Direction, Schema, StoreError, Value, sqlite};

/// Rows in one piece of work, at most: the log's appends wait for it.
const CHUNK_ROWS: usize = 500;
/// Bytes in one piece of work, but for a single row that has more.
const CHUNK_BYTES: usize = 1 << 20;

/// The tables in a [`Database`], which it shares with the log. Cheap to clone.
#[derive(Clone)]
pub struct EmbeddedStore {
    database: Database,
    now_ms: Arc<dyn Fn() -> i64 + Send + Sync>,
}

impl EmbeddedStore {
    /// The tables in this database; rows expire by the system's clock.
    pub fn new(database: Database) -> Self {
        Self::with_clock(database, system_ms)
    }

    /// The tables in this database; rows expire by this clock, in ms since the Unix epoch.
    pub fn with_clock(database: Database, now_ms: impl Fn() -> i64 + Send + Sync + 'static) -> Self {
        Self { database, now_ms: Arc::new(now_ms) }
    }

    /// When a row written now expires, and the time of now; nothing where rows stay.
    fn lifetime(&self, schema: &Schema) -> Option<[Value; 2]> {
        let ttl_s = schema.ttl_s?;
        let now_ms = (self.now_ms)();
        Some([Value::Int(now_ms.saturating_add(i64::from(ttl_s) * 1000)), Value::Int(now_ms)])
    }

    /// The time of now, where rows expire.
    fn now(&self, schema: &Schema) -> Option<Value> {
        schema.ttl_s.map(|_| Value::Int((self.now_ms)()))
    }

    /// Runs a statement that changes one row or none; whether it did.
    async fn change(&self, sql: String, parameters: Vec<Value>) -> Result<bool, StoreError> {
        let bytes = row_bytes(&parameters);
        let work = move |connection: &Connection| {
            connection.prepare_cached(&sql)?.execute(params_from_iter(&parameters)).map(|changed| changed > 0)
        };
        Ok(self.database.write_then(bytes, work, |_| ()).await?)
    }

    /// The rows that a statement finds with each of these parameters.
    async fn find(
        &self,
        schema: &'static Schema,
        sql: String,
        parameters: Vec<Vec<Value>>,
    ) -> Result<Vec<Vec<Vec<Value>>>, StoreError> {
        let query = move |connection: &Connection| {
            let mut statement = connection.prepare_cached(&sql)?;
            let mut found = Vec::with_capacity(parameters.len());
            for parameters in &parameters {
                let rows =
                    statement.query_map(params_from_iter(parameters), |row| sqlite::decode(schema, row))?;
                match rows.collect::<rusqlite::Result<Result<Vec<_>, _>>>()? {
                    Ok(rows) => found.push(rows),
                    Err(corrupt) => return Ok(Err(corrupt)),
                }
            }
            Ok(Ok(found))
        };
        self.database.read(query).await?
    }
}

#[async_trait]
impl Backend for EmbeddedStore {
    async fn migrate(&self, schemas: &[&'static Schema]) -> Result<(), StoreError> {
        for schema in schemas {
            let schema = *schema;
            let lifetime = self.lifetime(schema);
            self.database.write(move |connection| migrate(connection, schema, lifetime.as_ref())).await??;
        }
        Ok(())
    }

    async fn is_migrated(&self, schemas: &[&'static Schema]) -> Result<bool, StoreError> {
        let schemas = schemas.to_vec();
        let look = move |connection: &Connection| {
            for schema in schemas {
                let found = found_columns(connection, schema)?;
                let expires =
                    schema.ttl_s.is_none() || found.iter().any(|(name, ..)| name == sqlite::EXPIRES_AT);
                match missing_columns(schema, &found) {
                    _ if found.is_empty() || !expires => return Ok(Ok(false)),
                    Ok(missing) if missing.is_empty() => (),
                    Ok(_) => return Ok(Ok(false)),
                    Err(reason) => return Ok(Err(StoreError::Incompatible { table: schema.name, reason })),
                }
            }
            Ok(Ok(true))
        };
        self.database.read(look).await?
    }

    async fn put(&self, schema: &'static Schema, rows: Vec<Vec<Value>>) -> Result<(), StoreError> {
        let sql: Arc<str> = sqlite::put(schema).into();
        let expires_at = self.lifetime(schema).map(|[expires_at, _]| expires_at);
        for (bytes, chunk) in chunks(rows) {
            let sql = Arc::clone(&sql);
            let expires_at = expires_at.clone();
            let work = move |connection: &Connection| {
                let mut statement = connection.prepare_cached(&sql)?;
                for row in &chunk {
                    statement.execute(params_from_iter(row.iter().chain(&expires_at)))?;
                }
                Ok(())
            };
            self.database.write_then(bytes, work, |_| ()).await?;
        }
        Ok(())
    }

    async fn get(
        &self,
        schema: &'static Schema,
        keys: Vec<Vec<Value>>,
    ) -> Result<Vec<Option<Vec<Value>>>, StoreError> {
        let now = self.now(schema);
        let mut rows = Vec::with_capacity(keys.len());
        let mut keys = keys.into_iter().map(|mut key| {
            key.extend(now.clone());
            key
        });
        loop {
            let chunk: Vec<_> = keys.by_ref().take(CHUNK_ROWS).collect();
            if chunk.is_empty() {
                return Ok(rows);
            }
            let found = self.find(schema, sqlite::get(schema), chunk).await?;
            rows.extend(found.into_iter().map(|mut rows| rows.pop()));
        }
    }

    async fn delete(&self, schema: &'static Schema, key: Vec<Value>) -> Result<(), StoreError> {
        self.change(sqlite::delete(schema), key).await.map(drop)
    }

    async fn delete_up_to(
        &self,
        schema: &'static Schema,
        key: Vec<Value>,
        stamp: i64,
    ) -> Result<(), StoreError> {
        let parameters = key.into_iter().chain([Value::Int(stamp)]).collect();
        self.change(sqlite::delete_up_to(schema), parameters).await.map(drop)
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
        let sql = sqlite::page(schema, &lower.as_ref().map(|_| ()), &upper.as_ref().map(|_| ()), direction);
        let mut parameters = partition;
        parameters.push(Value::Int(i64::try_from(limit).unwrap_or(i64::MAX)));
        for bound in [lower, upper] {
            match bound {
                End::Included(key) | End::Excluded(key) => parameters.extend(key),
                End::Unbounded => (),
            }
        }
        parameters.extend(self.now(schema));
        let found = self.find(schema, sql, vec![parameters]).await?;
        Ok(found.into_iter().flatten().collect())
    }

    async fn put_if_absent(&self, schema: &'static Schema, row: Vec<Value>) -> Result<bool, StoreError> {
        let parameters = row.into_iter().chain(self.lifetime(schema).into_iter().flatten()).collect();
        self.change(sqlite::put_if_absent(schema), parameters).await
    }

    async fn put_if_version(
        &self,
        schema: &'static Schema,
        row: Vec<Value>,
        version: i64,
    ) -> Result<bool, StoreError> {
        let lifetime = self.lifetime(schema).into_iter().flatten();
        let parameters = row.into_iter().chain([Value::Int(version)]).chain(lifetime).collect();
        self.change(sqlite::put_if_version(schema), parameters).await
    }

    /// A chunk at a time, so that others' writes go in between; what expires while it works is left for the next
    /// time.
    async fn expire(&self, schema: &'static Schema, now_ms: i64) -> Result<u64, StoreError> {
        if schema.ttl_s.is_none() {
            return Ok(0);
        }
        let sql: Arc<str> = sqlite::expire(schema).into();
        let mut removed = 0;
        loop {
            let sql = Arc::clone(&sql);
            let work = move |connection: &Connection| {
                connection.prepare_cached(&sql)?.execute([&now_ms as &dyn ToSql, &(CHUNK_ROWS as i64)])
            };
            let chunk = self.database.write(work).await?;
            removed += chunk as u64;
            if chunk < CHUNK_ROWS {
                return Ok(removed);
            }
        }
    }
}

impl From<DatabaseError> for StoreError {
    fn from(error: DatabaseError) -> Self {
        match error {
            DatabaseError::Full => Self::Full,
            other => Self::Unavailable(other.to_string()),
        }
    }
}

/// Makes the table, or adds the columns that it has not; changes nothing when it can't be made as declared.
fn migrate(
    connection: &Connection,
    schema: &'static Schema,
    lifetime: Option<&[Value; 2]>,
) -> rusqlite::Result<Result<(), StoreError>> {
    let found = found_columns(connection, schema)?;
    if found.is_empty() {
        connection.execute(&sqlite::create_table(schema), [])?;
    } else {
        let missing = match missing_columns(schema, &found) {
            Ok(missing) => missing,
            Err(reason) => return Ok(Err(StoreError::Incompatible { table: schema.name, reason })),
        };
        for definition in missing {
            connection.execute(&format!("ALTER TABLE \"{}\" ADD COLUMN {definition}", schema.name), [])?;
        }
        let expires = found.iter().any(|(name, ..)| name == sqlite::EXPIRES_AT);
        if let (Some([Value::Int(expires_at), _]), false) = (lifetime, expires) {
            // The rows of before live as long as if they were written now.
            let column = format!("{} INTEGER DEFAULT {expires_at}", sqlite::EXPIRES_AT);
            connection.execute(&format!("ALTER TABLE \"{}\" ADD COLUMN {column}", schema.name), [])?;
        }
    }
    if lifetime.is_some() {
        connection.execute(&sqlite::create_expiry_index(schema), [])?;
    }
    Ok(Ok(()))
}

/// A column that there is: its name, its type, and its place in the key from 1.
type FoundColumn = (String, String, i64);

fn found_columns(connection: &Connection, schema: &Schema) -> rusqlite::Result<Vec<FoundColumn>> {
    let mut columns = connection.prepare("SELECT name, type, pk FROM pragma_table_info(?1)")?;
    let columns = columns.query_map([schema.name], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    columns.collect()
}

/// The definitions of the columns that a table with those found lacks, or why it can't become what is declared.
fn missing_columns(schema: &Schema, found: &[FoundColumn]) -> Result<Vec<String>, String> {
    let mut key: Vec<_> = found.iter().filter(|(.., place)| *place > 0).collect();
    key.sort_by_key(|(.., place)| *place);
    let key: Vec<_> = key.into_iter().map(|(name, kind, _)| format!("\"{name}\" {kind}")).collect();
    let declared: Vec<_> = schema.key().iter().map(sqlite::definition).collect();
    if key != declared {
        return Err(format!("its key is ({}), not ({})", key.join(", "), declared.join(", ")));
    }
    let mut missing = Vec::new();
    for column in schema.values() {
        match found.iter().find(|(name, ..)| name == column.name) {
            Some((_, kind, _)) if kind == sqlite::type_of(column.kind) => (),
            Some((name, kind, _)) => return Err(format!("its column {name} is {kind}")),
            None if column.optional => missing.push(sqlite::definition(column)),
            None => {
                return Err(format!("it has no column {}, and its rows have no value for it", column.name));
            }
        }
    }
    Ok(missing)
}

/// Rows in pieces of bounded size, each with about how many bytes it holds.
fn chunks(rows: Vec<Vec<Value>>) -> impl Iterator<Item = (usize, Vec<Vec<Value>>)> {
    let mut rows = rows.into_iter().peekable();
    std::iter::from_fn(move || {
        let mut chunk = vec![rows.next()?];
        let mut bytes = row_bytes(&chunk[0]);
        while chunk.len() < CHUNK_ROWS && bytes < CHUNK_BYTES {
            let Some(row) = rows.next_if(|row| bytes + row_bytes(row) <= CHUNK_BYTES) else { break };
            bytes += row_bytes(&row);
            chunk.push(row);
        }
        Some((bytes, chunk))
    })
}

fn row_bytes(row: &[Value]) -> usize {
    row.iter().map(Value::bytes).sum()
}

/// The system's clock; the epoch itself where it is set before that.
#[expect(
    clippy::disallowed_methods,
    reason = "expiry is the store's own; it stands below the crate with the clock"
)]
fn system_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
