//! How fast the way of a ping is, against what it could be at best on this machine, in one run.
//!
//! [`kafka`]: a backlog of pings worked off by the evaluator, against a null stage with the same clients. [`store`]:
//! deliveries made rows by the record stage, against the driver alone. [`latency`]: from an accepted ping to an
//! accepted push at half of the saturating load, embedded and on servers. [`state`]: the evaluator with very many
//! devices. Ratios are of runs that took turns, so that
//! a machine that is slow today is slow for both.

pub mod kafka;
pub mod latency;
mod servers;
pub mod state;
pub mod store;
pub(crate) mod timeline;
mod transactions;
pub(crate) mod watched;

use std::collections::BTreeMap;
use std::path::PathBuf;

use geopush_log::{KafkaLog, KafkaOptions};
use geopush_service::BoxError;
use geopush_store::CqlOptions;
use geopush_store::baseline::RawDeliveries;
use std::sync::Arc;
use uuid::Uuid;

use crate::e2e::stand::Backing;
use crate::report::Report;
use servers::Servers;

/// The groups of all stages, whose names Kafka keeps until they are removed.
const GROUPS: [&str; 5] =
    ["geopush.geofence", "geopush.plan", "geopush.expand", "geopush.send", "geopush.record"];

/// A part of the bench.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Part {
    /// Pings on Kafka, against a null stage.
    Kafka,
    /// Delivery rows, against the driver alone.
    Store,
    /// A removed zone with very many devices in it, and the restore of very many, embedded and on Kafka.
    State,
    /// Ping to push at half of the saturating load, embedded.
    Embedded,
    /// The same with Kafka and Cassandra on the same machine.
    Fleet,
}

/// What to do.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// Seconds that each latency is measured for.
    #[arg(long, default_value_t = 20.0)]
    pub seconds: f64,
    /// Only these parts [default: all].
    #[arg(long, value_delimiter = ',')]
    pub only: Vec<Part>,
    /// Rounds of each comparison, after one that is not counted.
    #[arg(long, default_value_t = 5)]
    pub rounds: usize,
    /// Pings of the backlog on Kafka.
    #[arg(long, default_value_t = 1_200_000)]
    pub pings: usize,
    /// Deliveries written in each run.
    #[arg(long, default_value_t = 80_000)]
    pub deliveries: usize,
    /// Devices in the zone that is removed.
    #[arg(long, default_value_t = 100_000)]
    pub members: usize,
    /// Devices that are restored.
    #[arg(long, default_value_t = 1_000_000)]
    pub devices: usize,
    /// Phones on their way.
    #[arg(long, default_value_t = 2_000)]
    pub phones: usize,
    /// Zones in the town, which grows with them.
    #[arg(long, default_value_t = 200)]
    pub zones: usize,
    /// Fixes a second at which the search for the saturating load begins.
    #[arg(long, default_value_t = 2_000.0)]
    pub first_rate: f64,
    /// Loads in that search, at most.
    #[arg(long, default_value_t = 9)]
    pub steps: usize,
    /// Seconds of each of them.
    #[arg(long, default_value_t = 4.0)]
    pub step_seconds: f64,
    /// Requests that may be under way at once.
    #[arg(long, default_value_t = 128)]
    pub connections: usize,
    /// What the zones and the routes are made from.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// A running Kafka, as host:port; else one is started.
    #[arg(long)]
    pub kafka: Option<String>,
    /// A running ScyllaDB or Cassandra, as host:port; else a Cassandra is started.
    #[arg(long)]
    pub cql: Option<String>,
    /// Where the embedded system's files go meanwhile; best on the disk that is to be measured.
    #[arg(long, default_value = "bench-results")]
    pub scratch: PathBuf,
}

impl Options {
    fn has(&self, part: Part) -> bool {
        self.only.is_empty() || self.only.contains(&part)
    }

    fn latency(&self) -> latency::Plan {
        latency::Plan {
            seconds: self.seconds,
            step_s: self.step_seconds,
            first_rate: self.first_rate,
            steps: self.steps,
            phones: self.phones,
            zones: self.zones,
            connections: self.connections,
            seed: self.seed,
        }
    }

    fn parameters(&self) -> BTreeMap<String, serde_json::Value> {
        let all: [(&str, serde_json::Value); 12] = [
            ("seconds", self.seconds.into()),
            ("only", format!("{:?}", self.only).into()),
            ("rounds", self.rounds.into()),
            ("pings", self.pings.into()),
            ("deliveries", self.deliveries.into()),
            ("members", self.members.into()),
            ("devices", self.devices.into()),
            ("phones", self.phones.into()),
            ("zones", self.zones.into()),
            ("first_rate", self.first_rate.into()),
            ("step_seconds", self.step_seconds.into()),
            ("connections", self.connections.into()),
        ];
        all.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }
}

/// Runs the bench.
///
/// # Errors
/// When it could not be done; what was done wrongly is in the report's checks.
pub async fn run(options: &Options) -> Result<Report, BoxError> {
    if options.rounds == 0
        || options.pings == 0
        || options.deliveries == 0
        || options.members == 0
        || options.devices == 0
        || options.phones == 0
        || options.zones == 0
    {
        return Err("rounds, pings, deliveries, members, devices, phones and zones must be above 0".into());
    }
    let mut report = Report::begin("pipeline", options.seed);
    report.parameters = options.parameters();
    std::fs::create_dir_all(&options.scratch)?;
    // Before any server runs beside it.
    if options.has(Part::Embedded) {
        let backing = Backing::Embedded;
        latency::run(options.latency(), latency::EMBEDDED, &backing, &options.scratch, &mut report).await?;
    }
    let state = state::Plan { members: options.members, devices: options.devices };
    if options.has(Part::State) {
        state::run(state, state::Where::Embedded(&options.scratch), &mut report).await?;
    }
    let mut servers = Servers::new(options.kafka.clone(), options.cql.clone());
    if options.has(Part::Kafka) {
        let plan = kafka::Plan {
            pings: options.pings,
            phones: options.phones,
            zones: options.zones,
            seed: options.seed,
            rounds: options.rounds,
        };
        kafka::run(plan, &servers.kafka().await?, &mut report).await?;
    }
    if options.has(Part::State) {
        state::run(state, state::Where::Kafka(&servers.kafka().await?), &mut report).await?;
    }
    if options.has(Part::Store) {
        let plan = store::Plan { deliveries: options.deliveries, rounds: options.rounds };
        store::run(plan, &servers.cql().await?, &mut report).await?;
    }
    if options.has(Part::Fleet) {
        fleet(options, &mut servers, &mut report).await?;
    }
    Ok(report)
}

async fn fleet(options: &Options, servers: &mut Servers, report: &mut Report) -> Result<(), BoxError> {
    let name = Uuid::new_v4().simple().to_string();
    let (prefix, keyspace) = (format!("bench-{}.", &name[..8]), format!("bench_{}", &name[..8]));
    let (kafka, cql) = (servers.kafka().await?, servers.cql().await?);
    let backing = Backing::Fleet {
        kafka: kafka.clone(),
        prefix: prefix.clone(),
        cql: cql.clone(),
        keyspace: keyspace.clone(),
    };
    let measured = latency::run(options.latency(), latency::FLEET, &backing, &options.scratch, report).await;
    let (partitions, replication, properties) = (KafkaOptions::PARTITIONS, 1, BTreeMap::new());
    let log =
        KafkaLog::open(KafkaOptions { brokers: kafka, prefix, partitions, replication, properties }).await?;
    log.baseline().remove(&GROUPS).await?;
    let (datacenter, credentials, ca) = (None, None, None);
    let tables = CqlOptions { nodes: vec![cql], keyspace, datacenter, replication, credentials, ca };
    Arc::new(RawDeliveries::connect(&tables).await?).remove().await?;
    measured
}
