//! The statements on a table. Parameters are in the order that each function says.

use std::ops::Bound as End;

use super::ddl::names;
use crate::{Column, Direction, Order, Schema};

/// What a statement does; with the declaration it says all of its text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Operation {
    /// Parameters: the row, then the write's timestamp where the table has the newest stay.
    Put,
    /// Parameters: the key.
    Get,
    /// The same, after whatever conditional write is under way. Parameters: the key.
    GetSettled,
    /// Parameters: the key.
    Delete,
    /// Parameters: the write's timestamp, then the key.
    DeleteUpTo,
    /// Parameters: the partition key, the bounds that are not open, then the limit.
    Page { lower: End<()>, upper: End<()>, reversed: bool },
    /// Parameters: the row.
    PutIfAbsent,
    /// Parameters: the columns outside the key, the key, then the version.
    PutIfVersion,
}

impl Operation {
    /// A page's statement.
    pub(super) fn page<T>(schema: &Schema, lower: &End<T>, upper: &End<T>, direction: Direction) -> Self {
        let kept = match schema.order {
            Order::Ascending => Direction::Ascending,
            Order::Descending => Direction::Descending,
        };
        Self::Page {
            lower: lower.as_ref().map(|_| ()),
            upper: upper.as_ref().map(|_| ()),
            reversed: direction != kept,
        }
    }

    /// Whether doing it twice is doing it once.
    pub(super) const fn is_idempotent(self) -> bool {
        !matches!(self, Self::PutIfAbsent | Self::PutIfVersion)
    }

    /// The statement on this declaration's table in this keyspace.
    pub(super) fn text(self, schema: &Schema, keyspace: &str) -> String {
        let table = format!("{keyspace}.{}", schema.name);
        match self {
            Self::Put => {
                let newest = if schema.newest_by.is_empty() { "" } else { " USING TIMESTAMP ?" };
                format!("{}{newest}", insert(schema, &table))
            }
            Self::PutIfAbsent => format!("{} IF NOT EXISTS", insert(schema, &table)),
            Self::PutIfVersion => {
                let set: Vec<_> =
                    schema.values().iter().map(|column| format!("{} = ?", column.name)).collect();
                let key = equal(schema.key());
                format!("UPDATE {table} SET {} WHERE {key} IF version = ?", set.join(", "))
            }
            Self::Get | Self::GetSettled => {
                format!("SELECT {} FROM {table} WHERE {}", names(schema.columns), equal(schema.key()))
            }
            Self::Delete => format!("DELETE FROM {table} WHERE {}", equal(schema.key())),
            Self::DeleteUpTo => {
                format!("DELETE FROM {table} USING TIMESTAMP ? WHERE {}", equal(schema.key()))
            }
            Self::Page { lower, upper, reversed } => page(schema, &table, lower, upper, reversed),
        }
    }
}

fn insert(schema: &Schema, table: &str) -> String {
    let marks = vec!["?"; schema.columns.len()].join(", ");
    format!("INSERT INTO {table} ({}) VALUES ({marks})", names(schema.columns))
}

fn page(schema: &Schema, table: &str, lower: End<()>, upper: End<()>, reversed: bool) -> String {
    let clustering = schema.clustering();
    let mut cql =
        format!("SELECT {} FROM {table} WHERE {}", names(schema.columns), equal(schema.partition()));
    let marks = vec!["?"; clustering.len()].join(", ");
    for (end, included, excluded) in [(lower, ">=", ">"), (upper, "<=", "<")] {
        let operator = match end {
            End::Included(()) => included,
            End::Excluded(()) => excluded,
            End::Unbounded => continue,
        };
        cql.push_str(&format!(" AND ({}) {operator} ({marks})", names(clustering)));
    }
    if reversed && !clustering.is_empty() {
        let way = match schema.order {
            Order::Ascending => "DESC",
            Order::Descending => "ASC",
        };
        let each: Vec<_> = clustering.iter().map(|column| format!("{} {way}", column.name)).collect();
        cql.push_str(&format!(" ORDER BY {}", each.join(", ")));
    }
    cql.push_str(" LIMIT ?");
    cql
}

fn equal(columns: &[Column]) -> String {
    columns.iter().map(|column| format!("{} = ?", column.name)).collect::<Vec<_>>().join(" AND ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Table;
    use crate::tables::{AppRow, DeliveryByDeviceRow, DeliveryTotalsRow, SourceHourRow};

    #[test]
    fn a_page_compares_whole_clustering_keys() {
        let schema = &DeliveryByDeviceRow::SCHEMA;
        let (lower, upper) = (End::Included(()), End::Excluded(()));
        let of = |direction| Operation::page(schema, &lower, &upper, direction).text(schema, "k");
        let asked = of(Direction::Descending);
        let wanted = "FROM k.deliveries_by_device WHERE tenant = ? AND device = ? AND month = ? \
            AND (created_at, push) >= (?, ?) AND (created_at, push) < (?, ?) LIMIT ?";
        assert!(asked.ends_with(wanted), "{asked}");
        let backwards = of(Direction::Ascending);
        assert!(backwards.ends_with(" ORDER BY created_at ASC, push ASC LIMIT ?"), "{backwards}");
    }

    #[test]
    fn a_row_is_put_whole() {
        let schema = &SourceHourRow::SCHEMA;
        assert_eq!(
            Operation::Put.text(schema, "k"),
            "INSERT INTO k.source_hours (tenant, source, hour) VALUES (?, ?, ?)"
        );
    }

    #[test]
    fn where_the_newest_stays_the_row_says_when_it_was_written() {
        let put = Operation::Put.text(&DeliveryTotalsRow::SCHEMA, "k");
        assert!(put.ends_with("USING TIMESTAMP ?"), "{put}");
    }

    #[test]
    fn a_conditional_write_names_its_condition() {
        let schema = &AppRow::SCHEMA;
        assert!(Operation::PutIfAbsent.text(schema, "k").ends_with(" IF NOT EXISTS"));
        assert_eq!(
            Operation::PutIfVersion.text(schema, "k"),
            "UPDATE k.apps SET sealed = ?, fcm = ?, apns = ?, deleted = ?, created_at = ?, updated_at = ?, \
             version = ? WHERE tenant = ? AND app = ? IF version = ?"
        );
    }
}
