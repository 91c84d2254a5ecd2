//! What lies between the tables that there are and those that are declared.

use std::collections::HashMap;

use super::ddl;
use crate::{Column, Keyspace, Order, Schema, StoreError};

/// A table as the database has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct FoundTable {
    pub(super) columns: Vec<FoundColumn>,
    pub(super) ttl_s: i32,
}

/// A column as `system_schema.columns` has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FoundColumn {
    pub(super) name: String,
    pub(super) kind: String,
    /// `partition_key`, `clustering`, `regular` or `static`.
    pub(super) part: String,
    /// Its place in the partition key or the clustering key, from 0.
    pub(super) position: i32,
    /// `asc`, `desc` or `none`.
    pub(super) order: String,
}

/// The tables of both keyspaces.
pub(super) type Found = HashMap<(Keyspace, String), FoundTable>;

/// A change to the tables.
#[derive(Clone, Copy, Debug)]
pub(super) enum Step {
    Create(&'static Schema),
    Add(&'static Schema, &'static Column),
    /// Rows live for another time, or stay.
    Lifetime(&'static Schema),
}

impl Step {
    /// Whether statements on the table fail before it.
    pub(super) const fn is_needed_to_run(self) -> bool {
        !matches!(self, Self::Lifetime(_))
    }

    pub(super) const fn table(self) -> &'static str {
        match self {
            Self::Create(schema) | Self::Add(schema, _) | Self::Lifetime(schema) => schema.name,
        }
    }

    /// The statement. It may be run twice, but for a column that was added in the meantime.
    pub(super) fn text(self, keyspace: impl Fn(Keyspace) -> String) -> String {
        match self {
            Self::Create(schema) => schema.cql_in(&format!("{}.", keyspace(schema.keyspace))),
            Self::Add(schema, column) => {
                let (keyspace, kind) = (keyspace(schema.keyspace), column.kind.cql());
                format!("ALTER TABLE {keyspace}.{} ADD {} {kind};", schema.name, column.name)
            }
            Self::Lifetime(schema) => {
                let options = ddl::lifetime(schema).join("\n    AND ");
                format!("ALTER TABLE {}.{} WITH {options};", keyspace(schema.keyspace), schema.name)
            }
        }
    }
}

/// What makes the declared tables of those that there are.
pub(super) fn steps(schemas: &[&'static Schema], found: &Found) -> Result<Vec<Step>, StoreError> {
    let mut steps = Vec::new();
    for schema in schemas {
        match found.get(&(schema.keyspace, schema.name.to_owned())) {
            None => steps.push(Step::Create(schema)),
            Some(table) => {
                let missing = missing(schema, table)
                    .map_err(|reason| StoreError::Incompatible { table: schema.name, reason })?;
                steps.extend(missing.into_iter().map(|column| Step::Add(schema, column)));
                if i64::from(table.ttl_s) != i64::from(schema.ttl_s.unwrap_or(0)) {
                    steps.push(Step::Lifetime(schema));
                }
            }
        }
    }
    Ok(steps)
}

/// The columns that the table lacks, or why it can't become what is declared.
fn missing(schema: &'static Schema, table: &FoundTable) -> Result<Vec<&'static Column>, String> {
    let (found, declared) = (found_key(table), declared_key(schema));
    if found != declared {
        return Err(format!("its key is ({}), not ({})", found.join(", "), declared.join(", ")));
    }
    let mut missing = Vec::new();
    for column in schema.values() {
        match table.columns.iter().find(|found| found.name == column.name) {
            Some(found) if found.kind == column.kind.cql() => (),
            Some(found) => return Err(format!("its column {} is {}", found.name, found.kind)),
            None if column.optional => missing.push(column),
            None => {
                return Err(format!("it has no column {}, and its rows have no value for it", column.name));
            }
        }
    }
    Ok(missing)
}

fn found_key(table: &FoundTable) -> Vec<String> {
    let mut key: Vec<_> = table
        .columns
        .iter()
        .filter(|column| ["partition_key", "clustering"].contains(&&*column.part))
        .collect();
    key.sort_by_key(|column| (column.part == "clustering", column.position));
    key.into_iter().map(|column| key_column(&column.name, &column.kind, &column.order)).collect()
}

fn declared_key(schema: &Schema) -> Vec<String> {
    let order = match schema.order {
        Order::Ascending => "asc",
        Order::Descending => "desc",
    };
    let partition = schema.partition().iter().map(|column| (column, "none"));
    let clustering = schema.clustering().iter().map(|column| (column, order));
    partition
        .chain(clustering)
        .map(|(column, order)| key_column(column.name, column.kind.cql(), order))
        .collect()
}

fn key_column(name: &str, kind: &str, order: &str) -> String {
    match order {
        "none" => format!("{name} {kind}"),
        order => format!("{name} {kind} {order}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Table;
    use crate::tables::{ALL, ReceiptRow, SendRow};

    const RECEIPTS: &Schema = &ReceiptRow::SCHEMA;

    /// The table as it is after it was created.
    fn as_declared(schema: &Schema) -> FoundTable {
        let order = match schema.order {
            Order::Ascending => "asc",
            Order::Descending => "desc",
        };
        let column = |(i, column): (usize, &Column)| {
            let (part, position, order) = match i {
                _ if i < schema.partition_len => ("partition_key", i, "none"),
                _ if i < schema.key().len() => ("clustering", i - schema.partition_len, order),
                _ => ("regular", 0, "none"),
            };
            FoundColumn {
                name: column.name.to_owned(),
                kind: column.kind.cql().to_owned(),
                part: part.to_owned(),
                position: if part == "regular" { -1 } else { position as i32 },
                order: order.to_owned(),
            }
        };
        // In the order of their names, as the database lists them.
        let mut columns: Vec<_> = schema.columns.iter().enumerate().map(column).collect();
        columns.sort_by(|a, b| a.name.cmp(&b.name));
        FoundTable { columns, ttl_s: schema.ttl_s.unwrap_or(0) as i32 }
    }

    fn one(schema: &'static Schema, change: impl FnOnce(&mut FoundTable)) -> Result<Vec<String>, StoreError> {
        let mut table = as_declared(schema);
        change(&mut table);
        let found = [((schema.keyspace, schema.name.to_owned()), table)].into();
        Ok(steps(&[schema], &found)?.into_iter().map(|step| step.text(|_| "k".to_owned())).collect())
    }

    #[test]
    fn what_is_as_declared_stays_as_it_is() {
        let found = ALL
            .iter()
            .map(|schema| ((schema.keyspace, schema.name.to_owned()), as_declared(schema)))
            .collect();
        assert!(steps(ALL, &found).unwrap().is_empty());
        let all = steps(ALL, &Found::new()).unwrap();
        assert!(all.len() == ALL.len() && all.iter().all(|step| matches!(step, Step::Create(_))));
    }

    #[test]
    fn an_optional_column_is_added() {
        let added = one(&SendRow::SCHEMA, |table| table.columns.retain(|column| column.name != "audience"));
        assert_eq!(added.unwrap(), ["ALTER TABLE k.sends ADD audience text;"]);
    }

    #[test]
    fn a_column_of_a_later_version_does_not_disturb() {
        let later = FoundColumn {
            name: "later".to_owned(),
            kind: "text".to_owned(),
            part: "regular".to_owned(),
            position: -1,
            order: "none".to_owned(),
        };
        assert!(one(RECEIPTS, |table| table.columns.push(later)).unwrap().is_empty());
    }

    #[test]
    fn another_lifetime_is_taken_over_but_not_waited_for() {
        let changed = one(RECEIPTS, |table| table.ttl_s = 5).unwrap();
        assert!(
            changed[0].starts_with("ALTER TABLE k.receipts WITH default_time_to_live = 7776000"),
            "{changed:?}"
        );
        assert!(!Step::Lifetime(RECEIPTS).is_needed_to_run());
    }

    #[test]
    fn what_can_not_be_changed_is_refused() {
        let changes: [fn(&mut FoundTable); 5] = [
            |table| table.columns.retain(|column| column.name != "at"),
            |table| table.columns.retain(|column| column.name != "event"),
            |table| table.columns.iter_mut().for_each(|column| column.order = "desc".to_owned()),
            |table| table.columns.iter_mut().for_each(|column| column.kind = "text".to_owned()),
            |table| table.columns.iter_mut().for_each(|column| column.position = -column.position),
        ];
        for change in changes {
            let refused = one(RECEIPTS, change);
            assert!(
                matches!(refused, Err(StoreError::Incompatible { table: "receipts", .. })),
                "{refused:?}"
            );
        }
    }
}
