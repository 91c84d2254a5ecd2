//! Makes the tables what is declared, step by step, one process at a time.
//!
//! What lies between the two is found out anew each time, so a migration that broke off is gone on with by the next.
//! Each step is kept in `schema_versions`, numbered in the order in which they were made, with its statement.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use scylla::response::query_result::QueryResult;
use scylla::statement::unprepared::Statement;
use scylla::statement::{Consistency, SerialConsistency};
use uuid::Uuid;

use super::connect::{Cluster, CqlOptions};
use super::plan::{Found, FoundColumn, Step, steps};
use super::run::applied;
use super::{ddl, errors};
use crate::{Keyspace, Schema, StoreError};

/// The table of steps, and of who is making them.
const VERSIONS: &str = "schema_versions";
/// What its ids on Cassandra are made of, with its name: two processes that make it at once make the same.
const VERSIONS_IDS: Uuid = Uuid::from_u128(0x6c5c_9a3e_2f0b_4a43_9d0e_5d5b_1f0c_7a11);
/// A change of the schema has this long, with the agreement of all nodes.
pub(super) const CHANGE: Duration = Duration::from_secs(60);
/// Who migrates is believed to be alive for this long after his last word.
const LEASE_S: i32 = 120;
/// Whoever finds somebody else migrating waits for this long, and asks this often.
const WAIT: Duration = Duration::from_secs(180);
const ASK: Duration = Duration::from_millis(250);

pub(super) struct Migration<'a> {
    pub(super) cluster: &'a Arc<Cluster>,
    pub(super) options: &'a CqlOptions,
}

impl Migration<'_> {
    /// Makes the keyspaces, tables and columns that are missing.
    pub(super) async fn run(&self, schemas: &[&'static Schema]) -> Result<(), StoreError> {
        self.keyspaces().await?;
        if steps(schemas, &self.found().await?)?.is_empty() {
            return Ok(());
        }
        self.versions().await?;
        let me = Uuid::new_v4();
        self.lock(me).await?;
        let done = self.make(schemas, me).await;
        let unlock =
            format!("DELETE FROM {} WHERE kind = 'lock' AND version = 0 IF owner = {me}", self.table());
        // Should this fail, the lease runs out.
        let unlocked = self.ask(&unlock).await;
        done.and(unlocked.map(drop))
    }

    /// Whether nothing is missing that statements need.
    pub(super) async fn is_done(&self, schemas: &[&'static Schema]) -> Result<bool, StoreError> {
        let missing = steps(schemas, &self.found().await?)?;
        Ok(!missing.into_iter().any(Step::is_needed_to_run))
    }

    async fn make(&self, schemas: &[&'static Schema], me: Uuid) -> Result<(), StoreError> {
        let mut version = self.last_version().await?;
        for step in steps(schemas, &self.found().await?)? {
            let renew = format!(
                "UPDATE {} USING TTL {LEASE_S} SET owner = {me} WHERE kind = 'lock' AND version = 0 IF owner = {me}",
                self.table()
            );
            if applied(self.ask(&renew).await?) != Some(true) {
                return Err(StoreError::Unavailable("another process took over the migration".to_owned()));
            }
            let text = step.text(|keyspace| self.options.name_of(keyspace));
            self.change(step.table(), &text).await?;
            version += 1;
            let note = format!(
                "INSERT INTO {} (kind, version, statement, applied_at) \
                 VALUES ('step', {version}, $${text}$$, toTimestamp(now()))",
                self.table()
            );
            self.ask(&note).await?;
        }
        Ok(())
    }

    /// Makes the keyspaces that are missing. Those that are there stay as they are: replication is the operators'.
    async fn keyspaces(&self) -> Result<(), StoreError> {
        for keyspace in [Keyspace::Config, Keyspace::History] {
            let name = self.options.name_of(keyspace);
            let asked =
                format!("SELECT keyspace_name FROM system_schema.keyspaces WHERE keyspace_name = '{name}'");
            if rows(self.ask(&asked).await?)?.rows_num() == 0 {
                let Cluster { datacenter, is_scylla, .. } = &**self.cluster;
                let create =
                    ddl::create_keyspace(&name, keyspace, datacenter, self.options.replication, *is_scylla);
                self.change(&name, &create).await?;
            }
        }
        Ok(())
    }

    async fn versions(&self) -> Result<(), StoreError> {
        let id = match self.cluster.is_scylla {
            // Its nodes agree on one change of the schema at a time.
            true => String::new(),
            false => format!(" WITH ID = {}", Uuid::new_v5(&VERSIONS_IDS, self.table().as_bytes())),
        };
        let create = format!(
            "CREATE TABLE IF NOT EXISTS {} (kind text, version int, statement text, applied_at timestamp, \
             owner uuid, PRIMARY KEY ((kind), version)){id};",
            self.table()
        );
        self.change(VERSIONS, &create).await
    }

    /// Waits until nobody else migrates.
    async fn lock(&self, me: Uuid) -> Result<(), StoreError> {
        let lock = format!(
            "INSERT INTO {} (kind, version, owner) VALUES ('lock', 0, {me}) IF NOT EXISTS USING TTL {LEASE_S}",
            self.table()
        );
        let begun = Instant::now();
        while applied(self.ask(&lock).await?) != Some(true) {
            if begun.elapsed() > WAIT {
                let waited = WAIT.as_secs();
                let said = format!("another process has been migrating the tables for more than {waited} s");
                return Err(StoreError::Unavailable(said));
            }
            tokio::time::sleep(ASK).await;
        }
        Ok(())
    }

    async fn last_version(&self) -> Result<i32, StoreError> {
        let asked = format!("SELECT max(version) FROM {} WHERE kind = 'step'", self.table());
        let rows = rows(self.ask(&asked).await?)?;
        let (last,) = rows.first_row::<(Option<i32>,)>().map_err(|error| unreadable(&error))?;
        Ok(last.unwrap_or(0))
    }

    /// The tables that there are.
    async fn found(&self) -> Result<Found, StoreError> {
        let mut found: Found = HashMap::new();
        for keyspace in [Keyspace::Config, Keyspace::History] {
            let name = self.options.name_of(keyspace);
            let columns = format!(
                "SELECT table_name, column_name, type, kind, position, clustering_order \
                 FROM system_schema.columns WHERE keyspace_name = '{name}'"
            );
            let columns = rows(self.ask(&columns).await?)?;
            let columns = columns
                .rows::<(String, String, String, String, i32, String)>()
                .map_err(|error| unreadable(&error))?;
            for column in columns {
                let (table, name, kind, part, position, order) =
                    column.map_err(|error| unreadable(&error))?;
                let columns = &mut found.entry((keyspace, table)).or_default().columns;
                columns.push(FoundColumn { name, kind, part, position, order });
            }
            let tables = format!(
                "SELECT table_name, default_time_to_live FROM system_schema.tables WHERE keyspace_name = '{name}'"
            );
            let tables = rows(self.ask(&tables).await?)?;
            for table in tables.rows::<(String, Option<i32>)>().map_err(|error| unreadable(&error))? {
                let (table, ttl_s) = table.map_err(|error| unreadable(&error))?;
                // One that was made since its columns were asked for is not there yet.
                if let Some(found) = found.get_mut(&(keyspace, table)) {
                    found.ttl_s = ttl_s.unwrap_or(0);
                }
            }
        }
        Ok(found)
    }

    fn table(&self) -> String {
        format!("{}.{VERSIONS}", self.options.name_of(Keyspace::Config))
    }

    async fn ask(&self, text: &str) -> Result<QueryResult, StoreError> {
        let mut statement = Statement::new(text);
        statement.set_consistency(Consistency::LocalQuorum);
        statement.set_serial_consistency(Some(SerialConsistency::LocalSerial));
        let answer = self.cluster.session.query_unpaged(statement, ()).await;
        answer.map_err(|error| errors::failed(VERSIONS, &error))
    }

    async fn change(&self, table: &str, text: &str) -> Result<(), StoreError> {
        let mut statement = Statement::new(text);
        statement.set_request_timeout(Some(CHANGE));
        let changed = self.cluster.session.query_unpaged(statement, ()).await;
        changed.map(drop).map_err(|error| errors::failed(table, &error))
    }
}

fn rows(answer: QueryResult) -> Result<scylla::response::query_result::QueryRowsResult, StoreError> {
    answer.into_rows_result().map_err(|error| unreadable(&error))
}

fn unreadable(error: &dyn std::fmt::Display) -> StoreError {
    StoreError::Unavailable(format!("the tables' declarations can't be read: {error}"))
}
