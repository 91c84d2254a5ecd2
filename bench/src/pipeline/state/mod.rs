//! The evaluator's state where there is much of it: a zone with very many devices in it is removed, and very many
//! devices are restored; on the embedded log, and on Kafka.

mod removal;
mod restore;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use geopush_embedded::Database;
use geopush_geofence::{Dependencies, GeofenceConfig};
use geopush_log::{EmbeddedLog, KafkaLog, KafkaOptions, Record, SharedLog};
use geopush_model::{DeviceId, TenantId, UnixMillis};
use geopush_service::BoxError;
use geopush_service::clock::{Clock as _, SystemClock};
use geopush_service::health::Health;
use geopush_service::shutdown::Shutdown;
use indicatif::ProgressBar;
use tokio::task::JoinHandle;
use uuid::Uuid;

use crate::progress;
use crate::report::Report;

/// Nothing has happened for this long: nothing more will.
const PATIENCE: Duration = Duration::from_secs(60);
/// Records appended at once.
const AT_ONCE: usize = 2_000;
const EMBEDDED_PARTITIONS: u32 = 8;

/// How much of it.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Devices in the zone that is removed.
    pub members: usize,
    /// Devices that are restored.
    pub devices: usize,
}

/// Where the log is.
#[derive(Clone, Copy, Debug)]
pub enum Where<'a> {
    /// In a directory.
    Embedded(&'a Path),
    /// At these brokers.
    Kafka(&'a str),
}

impl Where<'_> {
    fn name(self) -> &'static str {
        match self {
            Self::Embedded(_) => "embedded",
            Self::Kafka(_) => "Kafka",
        }
    }
}

/// Runs this part on one kind of log, and adds what it found to the report.
///
/// # Errors
/// When the log can't be used.
pub async fn run(plan: Plan, at: Where<'_>, report: &mut Report) -> Result<(), BoxError> {
    let bar = progress::bar("devices", (2 * plan.members + plan.devices) as u64)?;
    let site = Site::new(at).await?;
    let removed = removal::run(plan.members, &site, &bar, report).await;
    site.close().await?;
    removed?;
    let site = Site::new(at).await?;
    let restored = restore::run(plan.devices, &site, &bar, report).await;
    site.close().await?;
    bar.finish_and_clear();
    restored
}

/// An empty log, and a tenant to fill it.
struct Site {
    name: &'static str,
    log: SharedLog,
    kafka: Option<Arc<KafkaLog>>,
    tenant: TenantId,
    /// Removed when dropped.
    _dir: Option<tempfile::TempDir>,
}

/// The evaluator, running.
struct Running {
    shutdown: Shutdown,
    task: JoinHandle<Result<(), BoxError>>,
}

impl Running {
    async fn stop(self) -> Result<(), BoxError> {
        self.shutdown.request();
        self.task.await?
    }
}

impl Site {
    async fn new(at: Where<'_>) -> Result<Self, BoxError> {
        let tenant = TenantId(Uuid::new_v4());
        let name = at.name();
        match at {
            Where::Embedded(scratch) => {
                let dir = tempfile::Builder::new().prefix("state-data-").tempdir_in(scratch)?;
                let log = EmbeddedLog::open(Database::open(dir.path())?, EMBEDDED_PARTITIONS).await?;
                Ok(Self { name, log: Arc::new(log), kafka: None, tenant, _dir: Some(dir) })
            }
            Where::Kafka(brokers) => {
                let options = KafkaOptions {
                    brokers: brokers.to_owned(),
                    prefix: format!("bench-{}.", &tenant.0.simple().to_string()[..8]),
                    partitions: KafkaOptions::PARTITIONS,
                    replication: 1,
                    properties: BTreeMap::new(),
                };
                let log = Arc::new(KafkaLog::open(options).await?);
                Ok(Self { name, log: Arc::<KafkaLog>::clone(&log), kafka: Some(log), tenant, _dir: None })
            }
        }
    }

    fn run(&self) -> Running {
        let shutdown = Shutdown::new();
        let dependencies = Dependencies {
            log: Arc::clone(&self.log),
            clock: Arc::new(SystemClock),
            health: Health::new(shutdown.clone()),
        };
        let task =
            tokio::spawn(geopush_geofence::serve(GeofenceConfig::default(), dependencies, shutdown.clone()));
        Running { shutdown, task }
    }

    /// Appends records of one topic, shown by the bar.
    async fn append(&self, records: &[Record], bar: &ProgressBar) -> Result<(), BoxError> {
        for records in records.chunks(AT_ONCE) {
            self.log.append(records.to_vec()).await?;
            bar.inc(records.len() as u64);
        }
        Ok(())
    }

    async fn close(self) -> Result<(), BoxError> {
        if let Some(kafka) = &self.kafka {
            kafka.baseline().remove(&["geopush.geofence"]).await?;
        }
        self.log.close().await;
        Ok(())
    }
}

fn device(name: &str) -> Result<DeviceId, BoxError> {
    DeviceId::new(name).map_err(|error| error.to_string().into())
}

fn now() -> UnixMillis {
    UnixMillis(SystemClock.now_ms())
}
