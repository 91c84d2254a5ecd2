//! A declaration as CQL: what `cqlsh` would show.

use std::fmt::Write;

use crate::{Column, ColumnType, Keyspace, Order, Schema};

/// Time windows in a table's life: enough that whole SSTables expire, few enough that a read meets few of them.
const WINDOWS: u32 = 30;
const HOUR_S: u32 = 60 * 60;

impl ColumnType {
    /// Its name in CQL.
    pub const fn cql(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Uuid => "uuid",
            Self::BigInt => "bigint",
            Self::Int => "int",
            Self::Timestamp => "timestamp",
            Self::Double => "double",
            Self::Boolean => "boolean",
            Self::Blob => "blob",
        }
    }
}

impl Schema {
    /// The table as a CQL `CREATE TABLE` statement, for the keyspace in use. Tables whose rows expire are compacted by
    /// time windows, 20 to 30 of them in a row's life.
    pub fn cql(&self) -> String {
        self.cql_in("")
    }

    /// The same, for the keyspace that this prefix names.
    pub(super) fn cql_in(&self, prefix: &str) -> String {
        let mut cql = format!("CREATE TABLE IF NOT EXISTS {prefix}{} (\n", self.name);
        for column in self.columns {
            let _ = writeln!(cql, "    {} {},", column.name, column.kind.cql());
        }
        let _ = write!(cql, "    PRIMARY KEY (({})", names(self.partition()));
        if !self.clustering().is_empty() {
            let _ = write!(cql, ", {}", names(self.clustering()));
        }
        cql.push_str(")\n)");

        let mut options = Vec::new();
        if !self.clustering().is_empty() {
            let order = match self.order {
                Order::Ascending => "ASC",
                Order::Descending => "DESC",
            };
            let each: Vec<_> =
                self.clustering().iter().map(|column| format!("{} {order}", column.name)).collect();
            options.push(format!("CLUSTERING ORDER BY ({})", each.join(", ")));
        }
        if self.ttl_s.is_some() {
            options.extend(lifetime(self));
        }
        if !options.is_empty() {
            let _ = write!(cql, " WITH {}", options.join("\n    AND "));
        }
        cql.push(';');
        cql
    }
}

/// The options that say how long rows live, and what follows from it.
pub(super) fn lifetime(schema: &Schema) -> Vec<String> {
    let Some(ttl_s) = schema.ttl_s else { return vec!["default_time_to_live = 0".to_owned()] };
    let (unit, size) = window(ttl_s);
    vec![
        format!("default_time_to_live = {ttl_s}"),
        format!(
            "compaction = {{'class': 'TimeWindowCompactionStrategy', 'compaction_window_unit': '{unit}', \
             'compaction_window_size': {size}}}"
        ),
    ]
}

/// A keyspace with so many replicas in one datacenter. Lightweight transactions need one without tablets, of which
/// Cassandra does not know.
pub(super) fn create_keyspace(
    name: &str,
    keyspace: Keyspace,
    datacenter: &str,
    replication: u16,
    is_scylla: bool,
) -> String {
    let tablets = match (is_scylla, keyspace) {
        (true, Keyspace::Config) => " AND tablets = {'enabled': false}",
        (true, Keyspace::History) | (false, _) => "",
    };
    let datacenter = datacenter.replace('\'', "''");
    format!(
        "CREATE KEYSPACE IF NOT EXISTS {name} WITH replication = \
         {{'class': 'NetworkTopologyStrategy', '{datacenter}': {replication}}}{tablets};"
    )
}

/// The unit and size of a time window for rows that live so long.
fn window(ttl_s: u32) -> (&'static str, u32) {
    let hours = ttl_s.div_ceil(WINDOWS * HOUR_S).max(1);
    if hours >= 24 { ("DAYS", ttl_s.div_ceil(WINDOWS * 24 * HOUR_S)) } else { ("HOURS", hours) }
}

pub(super) fn names(columns: &[Column]) -> String {
    columns.iter().map(|column| column.name).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Table;
    use crate::tables::{ALL, DeliveryBySourceRow, DevicePositionRow, IdempotencyRow, ZoneRow};

    #[test]
    fn a_conditional_table_is_plain_cql() {
        assert_eq!(
            ZoneRow::SCHEMA.cql(),
            "\
CREATE TABLE IF NOT EXISTS zones (
    tenant uuid,
    bucket int,
    zone uuid,
    external_id text,
    location_id text,
    name text,
    shape text,
    exit_buffer_m double,
    dwell_s bigint,
    max_accuracy_m double,
    active boolean,
    tags text,
    metadata text,
    deleted boolean,
    removed_version bigint,
    removed_at timestamp,
    created_at timestamp,
    updated_at timestamp,
    version bigint,
    PRIMARY KEY ((tenant, bucket), zone)
) WITH CLUSTERING ORDER BY (zone ASC);"
        );
    }

    #[test]
    fn history_expires_in_time_windows_newest_first() {
        assert_eq!(
            DeliveryBySourceRow::SCHEMA.cql(),
            "\
CREATE TABLE IF NOT EXISTS deliveries_by_source (
    tenant uuid,
    source uuid,
    hour bigint,
    shard int,
    created_at timestamp,
    push uuid,
    device text,
    campaign uuid,
    send uuid,
    cause uuid,
    provider text,
    outcome text,
    reason text,
    attempts int,
    finished_at timestamp,
    provider_message_id text,
    app text,
    variant text,
    PRIMARY KEY ((tenant, source, hour, shard), created_at, push)
) WITH CLUSTERING ORDER BY (created_at DESC, push DESC)
    AND default_time_to_live = 7776000
    AND compaction = {'class': 'TimeWindowCompactionStrategy', 'compaction_window_unit': 'DAYS', 'compaction_window_size': 3};"
        );
    }

    #[test]
    fn a_table_without_clustering_key_has_no_order() {
        let cql = DevicePositionRow::SCHEMA.cql();
        assert!(cql.contains("PRIMARY KEY ((tenant, device))\n) WITH default_time_to_live"), "{cql}");
    }

    #[test]
    fn a_day_is_cut_in_hours() {
        assert!(IdempotencyRow::SCHEMA.cql().contains("'HOURS', 'compaction_window_size': 1}"));
    }

    #[test]
    fn windows_are_twenty_to_thirty_of_a_life() {
        for schema in ALL {
            let Some(ttl_s) = schema.ttl_s else { continue };
            let (unit, size) = window(ttl_s);
            let window_s = size * if unit == "DAYS" { 24 * HOUR_S } else { HOUR_S };
            assert!((20..=30).contains(&(ttl_s / window_s)), "{}: {size} {unit}", schema.name);
        }
    }

    /// The reserved words of CQL 3 that a column may not have as its name unquoted.
    const RESERVED: &str = "add allow alter and apply asc authorize batch begin by columnfamily create default delete \
        desc describe drop entries execute from full grant if in index infinity insert into is keyspace limit \
        materialized mbean mbeans modify nan norecursive not null of on or order primary rename replace revoke schema \
        select set table to token truncate unlogged unset update use using view where with";

    #[test]
    fn every_name_is_one_that_cql_takes_as_it_is() {
        let plain =
            |name: &str| name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_' || b.is_ascii_digit());
        for schema in ALL {
            for name in schema.columns.iter().map(|column| column.name).chain([schema.name]) {
                assert!(plain(name) && !RESERVED.split_whitespace().any(|word| word == name), "{name}");
            }
        }
    }

    #[test]
    fn only_scylladb_hears_of_tablets_and_only_for_configuration() {
        let create = |keyspace, is_scylla| create_keyspace("k", keyspace, "dc1", 3, is_scylla);
        let plain = "CREATE KEYSPACE IF NOT EXISTS k WITH replication = \
            {'class': 'NetworkTopologyStrategy', 'dc1': 3};";
        assert_eq!(create(Keyspace::Config, false), plain);
        assert_eq!(create(Keyspace::History, true), plain);
        assert!(create(Keyspace::Config, true).ends_with("} AND tablets = {'enabled': false};"));
    }

    #[test]
    fn every_table_has_a_name_of_its_own() {
        let mut names: Vec<_> = ALL.iter().map(|schema| schema.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), ALL.len());
    }

    #[test]
    fn conditional_tables_are_where_lightweight_transactions_work() {
        assert!(ALL.iter().all(|schema| !schema.conditional || schema.keyspace == Keyspace::Config));
    }
}
