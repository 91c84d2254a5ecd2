//! The tables as the database has them after a migration: what anybody with cqlsh finds.

use geopush_store::{Keyspace, Schema, Store, tables};

use crate::harness::Harness;
use crate::look::ask;
use crate::{OnCassandra, options};

async fn migrated() -> OnCassandra {
    let harness = OnCassandra::start().await;
    Store::new(harness.backend()).migrate().await.unwrap();
    harness
}

impl OnCassandra {
    fn keyspace(&self, schema: &Schema) -> String {
        let which = match schema.keyspace {
            Keyspace::Config => "config",
            Keyspace::History => "history",
        };
        format!("{}_{which}", self.options.keyspace)
    }

    fn ask(&self, question: &str) -> Vec<Vec<String>> {
        ask(&self.options.nodes[0], question)
    }
}

#[tokio::test]
async fn every_column_has_its_declared_type() {
    let harness = migrated().await;
    for schema in tables::ALL {
        let mut found = harness.ask(&format!(
            "SELECT column_name, type FROM system_schema.columns WHERE keyspace_name = '{}' AND table_name = '{}'",
            harness.keyspace(schema),
            schema.name
        ));
        found.sort();
        let mut declared: Vec<_> =
            schema.columns.iter().map(|c| vec![c.name.to_owned(), c.kind.cql().to_owned()]).collect();
        declared.sort();
        assert_eq!(found, declared, "{}", schema.name);
    }
}

#[tokio::test]
async fn history_expires_by_time_windows_and_the_rest_stays() {
    let harness = migrated().await;
    for schema in tables::ALL {
        let found = harness.ask(&format!(
            "SELECT default_time_to_live, compaction FROM system_schema.tables WHERE keyspace_name = '{}' AND \
             table_name = '{}'",
            harness.keyspace(schema),
            schema.name
        ));
        let [row] = found.as_slice() else { panic!("{} is not there", schema.name) };
        assert_eq!(row[0], schema.ttl_s.unwrap_or(0).to_string(), "{}", schema.name);
        assert_eq!(
            row[1].contains("TimeWindowCompactionStrategy"),
            schema.ttl_s.is_some(),
            "{}",
            schema.name
        );
    }
}

#[tokio::test]
async fn each_step_of_a_migration_is_kept_with_its_number() {
    let harness = migrated().await;
    let asked = format!(
        "SELECT version, statement FROM {}_config.schema_versions WHERE kind = 'step'",
        harness.options.keyspace
    );
    let steps = harness.ask(&asked);
    assert_eq!(steps.len(), tables::ALL.len());
    for (i, (step, schema)) in steps.iter().zip(tables::ALL).enumerate() {
        assert_eq!(step[0], (i + 1).to_string());
        assert!(step[1].contains(&format!(".{} (", schema.name)), "{step:?}");
    }
    // There was nothing left to do, so nothing was done.
    Store::new(harness.backend()).migrate().await.unwrap();
    assert_eq!(harness.ask(&asked), steps);
}

#[tokio::test]
async fn the_replicas_of_a_keyspace_are_the_operators() {
    let harness = migrated().await;
    let name = format!("{}_history", harness.options.keyspace);
    let replication =
        format!("SELECT replication FROM system_schema.keyspaces WHERE keyspace_name = '{name}'");
    let made = harness.ask(&replication);
    assert!(
        made[0][0].contains("NetworkTopologyStrategy") && made[0][0].contains("datacenter1 1"),
        "{made:?}"
    );
    let mut more = OnCassandra::with(harness.options.clone()).await;
    more.options.replication = 3;
    let store = Store::new(more.reopen().await.backend());
    store.migrate().await.unwrap();
    assert_eq!(harness.ask(&replication), made);
}

#[tokio::test]
async fn a_row_is_readable_as_what_it_is() {
    let harness = migrated().await;
    let tenant = uuid::Uuid::from_u128(5);
    let at = geopush_store::Timestamp(1_700_000_000_000);
    let row = tables::TenantRow {
        tenant,
        name: "Käse & Söhne".to_owned(),
        detect_crossings: None,
        timezone: None,
        quiet_hours: None,
        caps: None,
        quota_per_day: None,
        weight: None,
        created_at: at,
        updated_at: at,
        version: 1,
    };
    assert!(Store::new(harness.backend()).put_if_absent(row).await.unwrap());
    let found = harness.ask(&format!(
        "SELECT name FROM {}_config.tenants WHERE tenant = {tenant} AND version = 1 \
         AND created_at = '2023-11-14T22:13:20.000Z' ALLOW FILTERING",
        harness.options.keyspace
    ));
    assert_eq!(found, [["Käse & Söhne"]]);
}

#[tokio::test]
async fn a_datacenter_that_there_is_none_is_named() {
    let harness = OnCassandra::start().await;
    let elsewhere = geopush_store::CqlOptions {
        datacenter: Some("moon".to_owned()),
        ..options(&harness.options.nodes[0])
    };
    let said = geopush_store::CqlStore::connect(elsewhere).await.map(drop).unwrap_err().to_string();
    assert!(
        said.contains("`moon`") && said.contains("datacenter1") && said.contains("cql.datacenter"),
        "{said}"
    );
}
