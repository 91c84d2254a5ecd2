//! One try at each of a fleet's servers, and whether another is of any use.

use std::sync::Arc;

use geopush_log::{KafkaLog, KafkaOptions, LogError, SharedLog};
use geopush_store::{CqlOptions, CqlStore, Store, StoreError};

use crate::settings::{Cql, Kafka};
use crate::waiting::Failed;

/// Connects to Kafka, and makes or checks the topics.
pub(super) async fn log(kafka: &Kafka) -> Result<SharedLog, Failed> {
    let plain = |(name, value): (&String, &geopush_service::config::Secret)| {
        (name.clone(), value.expose().to_owned())
    };
    let options = KafkaOptions {
        brokers: kafka.brokers.join(","),
        prefix: kafka.prefix.clone(),
        partitions: kafka.partitions,
        replication: kafka.replication,
        properties: kafka.properties.iter().map(plain).collect(),
    };
    Ok(Arc::new(KafkaLog::open(options).await.map_err(log_failed)?))
}

/// Connects to ScyllaDB, whatever tables there are.
pub(super) async fn store(cql: &Cql) -> Result<Store, Failed> {
    let plain = |(user, password): &(String, geopush_service::config::Secret)| {
        (user.clone(), password.expose().to_owned())
    };
    let options = CqlOptions {
        nodes: cql.nodes.clone(),
        keyspace: cql.keyspace.clone(),
        datacenter: cql.datacenter.clone(),
        replication: cql.replication,
        credentials: cql.credentials.as_ref().map(plain),
        ca: cql.ca.clone(),
    };
    Ok(Store::new(Arc::new(CqlStore::connect(options).await.map_err(store_failed)?)))
}

/// Whether the tables are as this version needs them.
pub(super) async fn migrated(store: &Store) -> Result<(), Failed> {
    if store.is_migrated().await.map_err(store_failed)? {
        return Ok(());
    }
    Err(Failed::Again("they are not there or not up to date; run `geopush migrate`".to_owned()))
}

/// Makes or upgrades the tables.
pub(super) async fn migrate(store: &Store) -> Result<(), Failed> {
    store.migrate().await.map_err(store_failed)
}

pub(super) fn log_failed(error: LogError) -> Failed {
    match error {
        LogError::Backend(_) => Failed::Again(error.to_string()),
        LogError::Incompatible(_) | LogError::Closed => Failed::ForGood(error.into()),
    }
}

fn store_failed(error: StoreError) -> Failed {
    match error {
        StoreError::Unavailable(_) | StoreError::Full => Failed::Again(error.to_string()),
        StoreError::Corrupt { .. } | StoreError::Incompatible { .. } => Failed::ForGood(error.into()),
    }
}
