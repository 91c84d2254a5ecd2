//! A process on servers that others share: it waits for them, role by role, and watches them from then on.

mod connect;
mod watch;

use std::sync::Arc;
use std::time::Duration;

use geopush_registry::Directory;
use geopush_service::BoxError;
use geopush_service::health::Readiness;
use geopush_service::shutdown::Shutdown;

use crate::roles::Shared;
use crate::settings::{Cql, Fleet, Kafka, Role, Settings, StoreNeed};
use crate::storage::{self, Storage};
use crate::system::System;
use crate::waiting::Waiting;

/// How the two parts are called in `/readyz` and in metrics.
const LOG: &str = "log";
const STORE: &str = "store";
/// How long a command waits for the servers.
const PATIENCE: Duration = Duration::from_secs(60);

/// Starts each role as soon as what it needs is there; returns when all have started, or shutdown was asked for.
pub(crate) async fn come_up(system: &mut System, settings: Settings, fleet: &Fleet) -> Result<(), BoxError> {
    let shutdown = system.roles.shutdown.clone();
    let sealer = storage::sealer(&settings)?;
    let need = settings.roles.iter().map(|role| role.store()).max().unwrap_or(StoreNeed::None);
    let log_part = system.health.register(LOG);
    let store_part = (need != StoreNeed::None).then(|| system.health.register(STORE));
    if let Some(part) = &store_part {
        part.not_ready_unlogged("Kafka is waited for first");
    }

    let kafka = waiting_for_kafka(&fleet.kafka, Some(&log_part), &shutdown);
    let Some(log) = kafka.until(|| connect::log(&fleet.kafka)).await? else { return Ok(()) };
    system.log = Some(Arc::clone(&log));
    log_part.ready();
    let probed = Arc::clone(&log);
    let probe = move || watch::log_answers(Arc::clone(&probed));
    let watching = watch::watch(LOG, kafka.what, log_part.clone(), shutdown.clone(), probe);
    system.roles.running.spawn("watching the log", watching);
    if settings.roles.contains(&Role::Geofence) {
        system.roles.geofence(settings.geofence, &log);
    }

    let (Some(cql), Some(part)) = (&fleet.cql, store_part) else { return Ok(()) };
    let cluster = waiting_for_cql(cql, Some(&part), &shutdown);
    let Some(store) = cluster.until(|| connect::store(cql)).await? else { return Ok(()) };
    let tables = waiting_for_tables(cql, Some(&part), &shutdown);
    let Some(()) = tables.until(|| connect::migrated(&store)).await? else { return Ok(()) };
    let configuration = Waiting { what: "the configuration in the log".to_owned(), ..tables };
    let follow =
        || async { Directory::follow(Arc::clone(&log), sealer.clone()).await.map_err(connect::log_failed) };
    let Some(directory) = configuration.until(follow).await? else { return Ok(()) };
    part.ready();
    if need == StoreNeed::Always {
        let probed = store.clone();
        let probe = move || watch::store_answers(probed.clone());
        let watching = watch::watch(STORE, cluster.what, part.clone(), shutdown.clone(), probe);
        system.roles.running.spawn("watching the store", watching);
    }
    system.start_on_tables(settings, &Shared::new(log, store, sealer, directory)).await
}

/// The log and the tables of a migrated fleet, for a command; it waits a minute at most.
pub(crate) async fn open(fleet: &Fleet) -> Result<Storage, BoxError> {
    in_time(async {
        let (cql, shutdown) = (cql_of(fleet)?, Shutdown::new());
        let kafka = waiting_for_kafka(&fleet.kafka, None, &shutdown);
        let log = kafka.until(|| connect::log(&fleet.kafka)).await?.ok_or(NOBODY_ASKS)?;
        let cluster = waiting_for_cql(cql, None, &shutdown);
        let store = cluster.until(|| connect::store(cql)).await?.ok_or(NOBODY_ASKS)?;
        let tables = waiting_for_tables(cql, None, &shutdown);
        tables.until(|| connect::migrated(&store)).await?;
        Ok(Storage::of(log, store))
    })
    .await
}

/// Makes or upgrades the tables, and makes or checks the topics; returns what there is now, a line each.
pub(crate) async fn migrate(fleet: &Fleet) -> Result<Vec<String>, BoxError> {
    let (cql, shutdown) = (cql_of(fleet)?, Shutdown::new());
    let cluster = waiting_for_cql(cql, None, &shutdown);
    let store = in_time(cluster.until(|| connect::store(cql))).await?.ok_or(NOBODY_ASKS)?;
    // Making tables takes as long as it takes: every node has to agree.
    cluster.until(|| connect::migrate(&store)).await?;
    let kafka = waiting_for_kafka(&fleet.kafka, None, &shutdown);
    let log = in_time(kafka.until(|| connect::log(&fleet.kafka))).await?.ok_or(NOBODY_ASKS)?;
    storage::close(Some(log), None).await;
    let Kafka { brokers, prefix, partitions, .. } = &fleet.kafka;
    let (nodes, brokers, keyspace) = (cql.nodes.join(","), brokers.join(","), &cql.keyspace);
    Ok(vec![
        format!("the tables in {keyspace}_config and {keyspace}_history at {nodes} are up to date"),
        format!("the topics {prefix}geopush.* with {partitions} partitions at {brokers} are there"),
    ])
}

const NOBODY_ASKS: &str = "the wait ended early";

async fn in_time<T>(work: impl Future<Output = Result<T, BoxError>>) -> Result<T, BoxError> {
    let done = tokio::time::timeout(PATIENCE, work).await;
    done.unwrap_or_else(|_| {
        Err(format!("gave up after {PATIENCE:?}; see above what did not answer, and try again").into())
    })
}

fn cql_of(fleet: &Fleet) -> Result<&Cql, BoxError> {
    fleet.cql.as_ref().ok_or_else(|| "cql.nodes is needed".into())
}

fn waiting_for_kafka<'a>(
    kafka: &Kafka,
    readiness: Option<&'a Readiness>,
    shutdown: &'a Shutdown,
) -> Waiting<'a> {
    Waiting { part: LOG, what: format!("Kafka at {}", kafka.brokers.join(",")), readiness, shutdown }
}

fn waiting_for_cql<'a>(cql: &Cql, readiness: Option<&'a Readiness>, shutdown: &'a Shutdown) -> Waiting<'a> {
    Waiting { part: STORE, what: format!("ScyllaDB at {}", cql.nodes.join(",")), readiness, shutdown }
}

fn waiting_for_tables<'a>(
    cql: &Cql,
    readiness: Option<&'a Readiness>,
    shutdown: &'a Shutdown,
) -> Waiting<'a> {
    let what = format!("the tables in {}_config and {}_history", cql.keyspace, cql.keyspace);
    Waiting { part: STORE, what, readiness, shutdown }
}
