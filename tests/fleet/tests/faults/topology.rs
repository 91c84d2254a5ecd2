//! Which processes there are, and what they share.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use geopush_embedded::Database;
use geopush_fleet::{shared_cql, shared_kafka};
use geopush_log::{EmbeddedLog, KafkaLog, KafkaOptions, SharedLog};
use geopush_sandbox::Sandbox;
use geopush_service::clock::{Clock as _, SystemClock};
use serde_json::Value;

use crate::binary::binary;
use crate::http::{Place, until};
use crate::nemesis::Part;
use crate::process::Process;

const PARTITIONS: u32 = 8;
/// The shapes that a system is tested in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Every role in one process on one file.
    Embedded,
    /// The roles apart, on one Kafka and one Cassandra.
    Fleet,
    /// Of such a fleet what sends need.
    Senders,
}

/// The processes of a fleet: a name, a role, and whether it comes and goes.
const FLEET: [(&str, &str, Part); 10] = [
    ("ingest-1", "ingest", Part::Regular),
    ("ingest-2", "ingest", Part::Regular),
    ("geofence-1", "geofence", Part::Regular),
    ("geofence-2", "geofence", Part::Regular),
    ("geofence-3", "geofence", Part::Regular),
    ("dispatcher-1", "dispatcher", Part::Regular),
    ("dispatcher-2", "dispatcher", Part::Regular),
    ("control-api", "control-api", Part::Regular),
    ("geofence-extra", "geofence", Part::Extra),
    ("dispatcher-extra", "dispatcher", Part::Extra),
];
/// What seals apps' credentials in a fleet of tests.
const SECRETS: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

fn is_sender(role: &str, part: Part) -> bool {
    part == Part::Regular && matches!(role, "dispatcher" | "control-api")
}

impl Shape {
    pub fn name(self) -> &'static str {
        match self {
            Self::Embedded => "embedded",
            Self::Fleet => "fleet",
            Self::Senders => "senders",
        }
    }

    /// The processes' names, parts, and what is particular to each.
    fn members(self) -> Vec<(&'static str, Part, Vec<String>)> {
        match self {
            Self::Embedded => vec![("all", Part::Regular, vec![])],
            Self::Fleet | Self::Senders => FLEET
                .iter()
                .filter(|(_, role, part)| self == Self::Fleet || is_sender(role, *part))
                .map(|(name, role, part)| (*name, *part, vec![format!("--role={role}")]))
                .collect(),
        }
    }
}

/// What every process of a fleet is told, and who reads its log.
struct Servers {
    kafka: KafkaOptions,
    keyspace: String,
}

impl Servers {
    /// Names of this run's own: the servers may have seen others.
    fn of_run() -> Self {
        let unique = format!("{:x}", SystemClock.now_ms());
        let kafka = KafkaOptions {
            brokers: shared_kafka().to_owned(),
            prefix: format!("faults-{unique}."),
            partitions: PARTITIONS,
            replication: 1,
            properties: BTreeMap::new(),
        };
        Self { kafka, keyspace: format!("faults_{unique}") }
    }

    fn arguments(&self) -> Vec<String> {
        let Self { kafka: KafkaOptions { brokers, prefix, .. }, keyspace } = self;
        vec![
            format!("--kafka-brokers={brokers}"),
            format!("--kafka-prefix={prefix}"),
            "--kafka-replication=1".to_owned(),
            format!("--log-partitions={PARTITIONS}"),
            format!("--cql-nodes={}", shared_cql()),
            format!("--cql-keyspace={keyspace}"),
            "--cql-replication=1".to_owned(),
            format!("--secrets-key={SECRETS}"),
        ]
    }
}

/// A process, and what may be done to it.
pub struct Member {
    pub process: Process,
    pub part: Part,
}

/// The processes of a system that may run, and its providers' stand-ins.
pub struct Topology {
    pub processes: Vec<Member>,
    pub keys: Keys,
    pub sandbox: Sandbox,
    servers: Option<Servers>,
}

/// A tenant's keys.
pub struct Keys {
    pub secret: String,
    pub publishable: String,
    pub tenant: String,
}

impl Topology {
    /// Everything with its files in `dir`, and running.
    pub fn start(shape: Shape, sandbox: Sandbox, dir: &Path) -> Self {
        sandbox.write(&dir.join("sandbox")).expect("the sandbox's files are written");
        let ca = dir.join("sandbox").join("ca.pem");
        let binary = binary();
        let servers = (shape != Shape::Embedded).then(Servers::of_run);
        let mut shared = vec![format!("--provider-ca={}", ca.display()), "--allow-provider-urls".to_owned()];
        shared.extend(servers.iter().flat_map(Servers::arguments));
        let processes: Vec<Member> = shape
            .members()
            .into_iter()
            .map(|(name, part, own)| {
                let process = Process::new(name, binary, [shared.clone(), own].concat(), dir);
                Member { process, part }
            })
            .collect();
        if servers.is_some() {
            output(processes[0].process.command(&["migrate"]));
        }
        let keys = Keys::make(processes[0].process.command(&["tenant", "create", "merchant"]));
        let topology = Self { processes, keys, sandbox, servers };
        for process in topology.regular() {
            process.start();
        }
        until("every process is ready", || {
            topology.look();
            topology.regular().all(Process::is_ready).then_some(())
        });
        topology
    }

    /// What is always there.
    pub fn regular(&self) -> impl Iterator<Item = &Process> {
        self.processes.iter().filter(|member| member.part == Part::Regular).map(|member| &member.process)
    }

    fn all(&self) -> impl Iterator<Item = &Process> {
        self.processes.iter().map(|member| &member.process)
    }

    /// Where phones may turn to; some may be nowhere just now.
    pub fn doors(&self) -> Vec<Place> {
        self.regular().filter(|process| process.has("ingest")).map(|process| process.ingest.clone()).collect()
    }

    /// Where the merchant turns to.
    pub fn api(&self) -> Place {
        self.regular().find(|process| process.has("control-api")).expect("somebody serves it").api.clone()
    }

    /// Finds out where the started ones listen.
    pub fn look(&self) {
        self.all().for_each(Process::look);
    }

    /// Remembers what the dispatchers count.
    pub fn scrape(&self) {
        self.all().filter(|process| process.has("dispatcher")).for_each(Process::scrape);
    }

    /// Pushes that were counted as maybe sent before, by all, over their restarts.
    pub fn uncertain(&self) -> u64 {
        self.all().map(Process::uncertain).sum()
    }

    /// Ends everything as an orchestrator does.
    pub fn terminate(&self) {
        self.regular().for_each(Process::terminate);
    }

    /// The log, to be read once nothing runs on it.
    pub async fn log(&self) -> SharedLog {
        if let Some(servers) = &self.servers {
            return Arc::new(KafkaLog::open(servers.kafka.clone()).await.expect("the log opens"));
        }
        let data = self.processes[0].process.data();
        let file = Database::open(data).expect("the file is free");
        Arc::new(EmbeddedLog::open(file, PARTITIONS).await.expect("the log opens"))
    }
}

impl Keys {
    fn make(command: Command) -> Self {
        let keys: Value = serde_json::from_slice(&output(command)).expect("keys as JSON, and nothing else");
        let text = |name: &str| keys[name].as_str().expect("a string").to_owned();
        Self { secret: text("secret_key"), publishable: text("publishable_key"), tenant: text("tenant_id") }
    }
}

fn output(mut command: Command) -> Vec<u8> {
    let out = command.output().expect("the binary runs");
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    out.stdout
}
