//! A declaration as SQLite: one typed table each, and the statements on it.
//!
//! Rows live in the order of their whole key (`WITHOUT ROWID`). Where they expire, `expires_at` (ms since the Unix
//! epoch) says when, with an index of its own. A statement's parameters are `?1, ?2, …` in the order of its columns.

use std::ops::Bound as End;

use rusqlite::types::{ToSql, ToSqlOutput, ValueRef};

use crate::{Column, ColumnType, Direction, Schema, StoreError, Value};

/// The column that says when a row's time runs out.
pub(crate) const EXPIRES_AT: &str = "expires_at";

/// The type of a column in a `STRICT` table.
pub(crate) const fn type_of(kind: ColumnType) -> &'static str {
    match kind {
        ColumnType::Text => "TEXT",
        ColumnType::Uuid | ColumnType::Blob => "BLOB",
        ColumnType::BigInt | ColumnType::Int | ColumnType::Timestamp | ColumnType::Boolean => "INTEGER",
        ColumnType::Double => "REAL",
    }
}

/// A column's name and type.
pub(crate) fn definition(column: &Column) -> String {
    format!("\"{}\" {}", column.name, type_of(column.kind))
}

pub(crate) fn create_table(schema: &Schema) -> String {
    let mut columns: Vec<_> = schema.columns.iter().map(definition).collect();
    if schema.ttl_s.is_some() {
        columns.push(format!("{EXPIRES_AT} INTEGER"));
    }
    format!(
        "CREATE TABLE IF NOT EXISTS \"{}\" ({}, PRIMARY KEY ({})) STRICT, WITHOUT ROWID",
        schema.name,
        columns.join(", "),
        names(schema.key())
    )
}

pub(crate) fn create_expiry_index(schema: &Schema) -> String {
    format!("CREATE INDEX IF NOT EXISTS \"{0}_by_expiry\" ON \"{0}\" ({EXPIRES_AT})", schema.name)
}

/// Parameters: the row, then when it expires where it does.
pub(crate) fn put(schema: &Schema) -> String {
    if schema.newest_by.is_empty() {
        return format!("INSERT OR REPLACE {}", insert(schema));
    }
    let set = replaced(schema);
    let (new, old) = (stamp(schema, "excluded"), stamp(schema, schema.name));
    format!(
        "INSERT {} ON CONFLICT ({}) DO UPDATE SET {set} WHERE {new} >= {old}",
        insert(schema),
        names(schema.key())
    )
}

/// Parameters: the key, then the stamp.
pub(crate) fn delete_up_to(schema: &Schema) -> String {
    let stamp = stamp(schema, schema.name);
    format!("{} AND {stamp} <= ?{}", delete(schema), schema.key().len() + 1)
}

/// How new a row is: [`Schema::newest_by`].
fn stamp(schema: &Schema, row: &str) -> String {
    let terms: Vec<_> =
        schema.newest_by.iter().map(|(name, factor)| format!("\"{row}\".\"{name}\" * {factor}")).collect();
    format!("({})", terms.join(" + "))
}

/// What sets a row that is there to the one that was to be inserted.
fn replaced(schema: &Schema) -> String {
    let expires = schema.ttl_s.map(|_| EXPIRES_AT);
    let values = schema.values().iter().map(|column| column.name).chain(expires);
    values.map(|name| format!("\"{name}\" = excluded.\"{name}\"")).collect::<Vec<_>>().join(", ")
}

/// Parameters: the row, then when it expires and the time of now where it does. Changes one row or none.
pub(crate) fn put_if_absent(schema: &Schema) -> String {
    let then = match schema.ttl_s {
        None => "NOTHING".to_owned(),
        Some(_) => {
            let now = schema.columns.len() + 2;
            format!("UPDATE SET {} WHERE \"{}\".{EXPIRES_AT} <= ?{now}", replaced(schema), schema.name)
        }
    };
    format!("INSERT {} ON CONFLICT ({}) DO {then}", insert(schema), names(schema.key()))
}

/// Parameters: the row, the version, then when it expires and the time of now where it does. Changes one row or none.
pub(crate) fn put_if_version(schema: &Schema) -> String {
    let key_len = schema.key().len();
    let is = |(i, name): (usize, &str)| format!("\"{name}\" = ?{}", i + 1);
    let columns = || schema.columns.iter().map(|column| column.name).enumerate();
    let mut set: Vec<_> = columns().skip(key_len).map(is).collect();
    let mut wanted: Vec<_> = columns().take(key_len).map(is).collect();
    let version = schema.columns.len() + 1;
    wanted.push(format!("version = ?{version}"));
    if schema.ttl_s.is_some() {
        set.push(format!("{EXPIRES_AT} = ?{}", version + 1));
        wanted.push(format!("{EXPIRES_AT} > ?{}", version + 2));
    }
    format!("UPDATE \"{}\" SET {} WHERE {}", schema.name, set.join(", "), wanted.join(" AND "))
}

/// Parameters: the key, then the time of now where rows expire.
pub(crate) fn get(schema: &Schema) -> String {
    let mut wanted = equal(schema.key());
    if schema.ttl_s.is_some() {
        wanted.push(format!("{EXPIRES_AT} > ?{}", schema.key().len() + 1));
    }
    select(schema, &wanted)
}

/// Parameters: the key.
pub(crate) fn delete(schema: &Schema) -> String {
    format!("DELETE FROM \"{}\" WHERE {}", schema.name, equal(schema.key()).join(" AND "))
}

/// Parameters: the partition key, the limit, the bounds that are not open, then the time of now where rows expire.
pub(crate) fn page(schema: &Schema, lower: &End<()>, upper: &End<()>, direction: Direction) -> String {
    let mut wanted = equal(schema.partition());
    let limit = wanted.len() + 1;
    let mut next = limit + 1;
    let keys = names(schema.clustering());
    let mut bound = |end: &End<()>, included, excluded| {
        let operator = match end {
            End::Included(()) => included,
            End::Excluded(()) => excluded,
            End::Unbounded => return,
        };
        let marks: Vec<_> = (next..).take(schema.clustering().len()).map(|i| format!("?{i}")).collect();
        next += marks.len();
        wanted.push(format!("({keys}) {operator} ({})", marks.join(", ")));
    };
    bound(lower, ">=", ">");
    bound(upper, "<=", "<");
    if schema.ttl_s.is_some() {
        wanted.push(format!("{EXPIRES_AT} > ?{next}"));
    }
    let mut sql = select(schema, &wanted);
    if !schema.clustering().is_empty() {
        let way = match direction {
            Direction::Ascending => "ASC",
            Direction::Descending => "DESC",
        };
        let order: Vec<_> =
            schema.clustering().iter().map(|column| format!("\"{}\" {way}", column.name)).collect();
        sql.push_str(" ORDER BY ");
        sql.push_str(&order.join(", "));
    }
    sql.push_str(&format!(" LIMIT ?{limit}"));
    sql
}

/// Parameters: the time of now, and how many rows at most.
pub(crate) fn expire(schema: &Schema) -> String {
    let keys = names(schema.key());
    format!(
        "DELETE FROM \"{0}\" WHERE ({keys}) IN \
         (SELECT {keys} FROM \"{0}\" WHERE {EXPIRES_AT} <= ?1 ORDER BY {EXPIRES_AT} LIMIT ?2)",
        schema.name
    )
}

fn insert(schema: &Schema) -> String {
    let mut columns = names(schema.columns);
    let mut count = schema.columns.len();
    if schema.ttl_s.is_some() {
        columns.push_str(", ");
        columns.push_str(EXPIRES_AT);
        count += 1;
    }
    let marks: Vec<_> = (1..=count).map(|i| format!("?{i}")).collect();
    format!("INTO \"{}\" ({columns}) VALUES ({})", schema.name, marks.join(", "))
}

fn select(schema: &Schema, wanted: &[String]) -> String {
    format!("SELECT {} FROM \"{}\" WHERE {}", names(schema.columns), schema.name, wanted.join(" AND "))
}

fn equal(columns: &[Column]) -> Vec<String> {
    columns.iter().enumerate().map(|(i, column)| format!("\"{}\" = ?{}", column.name, i + 1)).collect()
}

fn names(columns: &[Column]) -> String {
    columns.iter().map(|column| format!("\"{}\"", column.name)).collect::<Vec<_>>().join(", ")
}

impl ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Null => ValueRef::Null,
            Self::Text(text) => ValueRef::Text(text.as_bytes()),
            Self::Uuid(uuid) => ValueRef::Blob(uuid.as_bytes()),
            Self::Int(int) => ValueRef::Integer(*int),
            Self::Double(double) => ValueRef::Real(*double),
            Self::Boolean(boolean) => ValueRef::Integer((*boolean).into()),
            Self::Blob(bytes) => ValueRef::Blob(bytes),
        }))
    }
}

/// The row that the statement is at. Nested, since only the outer error is SQLite's.
pub(crate) fn decode(
    schema: &'static Schema,
    row: &rusqlite::Row<'_>,
) -> rusqlite::Result<Result<Vec<Value>, StoreError>> {
    let mut values = Vec::with_capacity(schema.columns.len());
    for (i, column) in schema.columns.iter().enumerate() {
        match decode_value(column.kind, row.get_ref(i)?) {
            Some(value) => values.push(value),
            None => return Ok(Err(StoreError::Corrupt { table: schema.name, column: column.name })),
        }
    }
    Ok(Ok(values))
}

fn decode_value(kind: ColumnType, stored: ValueRef<'_>) -> Option<Value> {
    Some(match (kind, stored) {
        (_, ValueRef::Null) => Value::Null,
        (ColumnType::Text, ValueRef::Text(text)) => Value::Text(str::from_utf8(text).ok()?.to_owned()),
        (ColumnType::Uuid, ValueRef::Blob(bytes)) => Value::Uuid(uuid::Uuid::from_slice(bytes).ok()?),
        (ColumnType::BigInt | ColumnType::Int | ColumnType::Timestamp, ValueRef::Integer(int)) => {
            Value::Int(int)
        }
        (ColumnType::Double, ValueRef::Real(double)) => Value::Double(double),
        (ColumnType::Boolean, ValueRef::Integer(int)) => Value::Boolean(int != 0),
        (ColumnType::Blob, ValueRef::Blob(bytes)) => Value::Blob(bytes.to_vec()),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use rusqlite::Connection;

    use super::*;
    use crate::Table;
    use crate::tables::{ALL, DeliveryBySourceRow};

    /// How SQLite goes about a statement.
    fn plan(connection: &Connection, sql: &str) -> String {
        let mut explain = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
        let steps =
            explain.raw_query().mapped(|row| row.get::<_, String>("detail")).collect::<Result<Vec<_>, _>>();
        steps.unwrap().join("\n")
    }

    fn with_all_tables() -> Connection {
        let connection = Connection::open_in_memory().unwrap();
        for schema in ALL {
            connection.execute(&create_table(schema), []).unwrap();
            if schema.ttl_s.is_some() {
                connection.execute(&create_expiry_index(schema), []).unwrap();
            }
        }
        connection
    }

    #[test]
    fn a_page_is_a_walk_along_the_primary_key() {
        let connection = with_all_tables();
        let ends = [End::Unbounded, End::Included(()), End::Excluded(())];
        for schema in ALL.iter().filter(|schema| schema.clustering_len > 0) {
            for (lower, upper) in ends.iter().flat_map(|lower| ends.iter().map(move |upper| (lower, upper))) {
                for direction in [Direction::Ascending, Direction::Descending] {
                    let plan = plan(&connection, &page(schema, lower, upper, direction));
                    assert!(plan.contains("USING PRIMARY KEY ("), "{}: {plan}", schema.name);
                    assert!(!plan.contains("TEMP B-TREE"), "{}: {plan}", schema.name);
                    let bounded = !matches!((lower, upper), (End::Unbounded, End::Unbounded));
                    assert_eq!(plan.contains('>') || plan.contains('<'), bounded, "{}: {plan}", schema.name);
                }
            }
        }
    }

    #[test]
    fn a_page_after_a_key_starts_at_that_key_and_not_at_its_first_column() {
        let sql =
            page(&DeliveryBySourceRow::SCHEMA, &End::Excluded(()), &End::Unbounded, Direction::Ascending);
        let plan = plan(&with_all_tables(), &sql);
        assert!(plan.contains("(created_at,push)>(?,?)"), "{plan}");
    }

    #[test]
    fn expiry_looks_at_nothing_that_lives() {
        let connection = with_all_tables();
        for schema in ALL.iter().filter(|schema| schema.ttl_s.is_some()) {
            let plan = plan(&connection, &expire(schema));
            assert!(plan.contains("_by_expiry (expires_at<?)"), "{}: {plan}", schema.name);
            assert!(!plan.contains("SCAN") && !plan.contains("TEMP B-TREE"), "{}: {plan}", schema.name);
        }
    }
}
