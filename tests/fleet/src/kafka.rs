//! A Kafka cluster of one node or several, each a broker and a controller in one.

mod settings;

use std::ffi::OsStr;
use std::process::Command;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::jars::{Jars, Product};
use crate::java::Purpose;
use crate::ports::Port;
use crate::secured::{Secured, write_certificates};
use crate::server::{Order, RunDir, Server};
use crate::{FleetError, java, probe};

use settings::Settings;

const READY_WITHIN: Duration = Duration::from_secs(120);

/// A running cluster with empty disks, at ports of its own that stay over restarts. Ends when dropped.
///
/// Topics must be created by whoever uses them, and what is acknowledged by `acks=all` survives the kill of any one
/// node of three.
#[derive(Debug)]
pub struct Kafka {
    nodes: Vec<Node>,
    jars: Jars,
    purpose: Purpose,
    secured: Option<Secured>,
}

#[derive(Debug)]
struct Node {
    // The first field is dropped first: a server goes before its files.
    server: Mutex<Option<Server>>,
    dir: RunDir,
    ports: Ports,
}

/// Where a node listens.
#[derive(Debug)]
struct Ports {
    /// Clients.
    clients: Port,
    /// Controllers, for one another.
    controller: Port,
    /// Brokers for one another, and the probe, where clients must use TLS and passwords.
    inside: Option<Port>,
}

impl Ports {
    fn plain(&self) -> &Port {
        self.inside.as_ref().unwrap_or(&self.clients)
    }
}

impl Node {
    /// Brokers that it says are alive; `None` when it does not answer.
    fn brokers_known(&self) -> Option<usize> {
        probe::kafka_brokers(self.ports.plain().number).ok().and_then(|known| usize::try_from(known).ok())
    }
}

impl Kafka {
    /// A cluster of `nodes` nodes. With three or more, replication factors are 3 and two replicas must be in sync.
    ///
    /// # Panics
    ///
    /// When `nodes` is 0.
    pub fn start(nodes: usize) -> Result<Self, FleetError> {
        assert!(nodes > 0, "a cluster has nodes");
        Self::with(nodes, Purpose::Test, false)
    }

    /// One node to be measured: it starts more slowly and runs faster.
    pub fn start_to_measure() -> Result<Self, FleetError> {
        Self::with(1, Purpose::Measure, false)
    }

    /// One node whose clients must use TLS and log in, by SASL's PLAIN or SCRAM-SHA-512.
    pub fn start_secured() -> Result<Self, FleetError> {
        Self::with(1, Purpose::Test, true)
    }

    fn with(count: usize, purpose: Purpose, is_secured: bool) -> Result<Self, FleetError> {
        java::check(Product::Kafka)?;
        let jars = Jars::of(Product::Kafka)?;
        let mut nodes = Vec::new();
        for _ in 0..count {
            let inside = if is_secured { Some(Port::take()?) } else { None };
            let ports = Ports { clients: Port::take()?, controller: Port::take()?, inside };
            nodes.push(Node { server: Mutex::new(None), dir: RunDir::new()?, ports });
        }
        let secured = if is_secured {
            let (ca, _) = write_certificates(&nodes[0].dir)?;
            Some(Secured { ca, username: settings::USERNAME, password: settings::PASSWORD })
        } else {
            None
        };
        let kafka = Self { nodes, jars, purpose, secured };
        kafka.format()?;
        for number in 0..count {
            kafka.launch(number)?;
        }
        for node in &kafka.nodes {
            kafka.wait(node, || count)?;
        }
        Ok(kafka)
    }

    /// Clients' addresses: `host:port`, joined by commas.
    pub fn brokers(&self) -> String {
        self.nodes.iter().map(|node| node.ports.clients.address()).collect::<Vec<_>>().join(",")
    }

    /// How to be let in; `None` where anybody is.
    pub fn secured(&self) -> Option<&Secured> {
        self.secured.as_ref()
    }

    /// Ends `node`, counted from 0, by SIGKILL; its disk stays.
    pub fn kill(&self, node: usize) -> Result<(), FleetError> {
        self.order(node, Order::Kill)
    }

    /// Stops `node` without closing its connections (SIGSTOP).
    pub fn pause(&self, node: usize) -> Result<(), FleetError> {
        self.order(node, Order::Pause)
    }

    /// Lets a paused `node` go on.
    pub fn resume(&self, node: usize) -> Result<(), FleetError> {
        self.order(node, Order::Resume)
    }

    /// Starts a killed `node` again, with its ports and its disk, and waits until it sees every node that runs.
    pub fn start_node(&self, node: usize) -> Result<(), FleetError> {
        self.launch(node)?;
        let answering = || self.nodes.iter().filter_map(Node::brokers_known).count();
        self.wait(self.node(node)?, answering)
    }

    /// A command that runs one of Kafka's own tools, such as `org.apache.kafka.tools.TopicCommand`.
    pub fn tool(&self, class: impl AsRef<OsStr>) -> Command {
        let mut command = java::with(&self.jars, Purpose::Test);
        command.args(["-Xmx256m", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"]).arg(class);
        command
    }

    fn node(&self, number: usize) -> Result<&Node, FleetError> {
        self.nodes.get(number).ok_or(FleetError::NoSuchNode(number))
    }

    fn order(&self, number: usize, order: Order) -> Result<(), FleetError> {
        let mut server = self.node(number)?.server.lock().unwrap_or_else(PoisonError::into_inner);
        server.as_mut().map_or(Ok(()), |server| server.order(order))
    }

    /// Prepares every node's disk.
    fn format(&self) -> Result<(), FleetError> {
        let format = |number: usize, node: &Node| -> Result<(), FleetError> {
            let text = Settings { number, nodes: &self.nodes, dir: node.dir.path() }.text();
            let path = node.dir.write("server.properties", &text)?;
            let mut command = self.tool("kafka.tools.StorageTool");
            command.args(["format", "--cluster-id", settings::CLUSTER, "--config"]).arg(&path);
            if self.secured.is_some() {
                command.args(["--add-scram", &settings::scram()]);
            }
            let output = command.output().map_err(FleetError::io("format by", &path))?;
            if output.status.success() {
                return Ok(());
            }
            let log = [output.stdout, output.stderr].concat();
            Err(FleetError::Server {
                server: name(number),
                what: "could not format its disk".to_owned(),
                log: String::from_utf8_lossy(&log).into_owned(),
            })
        };
        std::thread::scope(|scope| {
            let nodes = self.nodes.iter().enumerate();
            let tasks: Vec<_> =
                nodes.map(|(number, node)| scope.spawn(move || format(number, node))).collect();
            tasks.into_iter().try_for_each(|task| task.join().expect("formatting does not panic"))
        })
    }

    fn launch(&self, number: usize) -> Result<(), FleetError> {
        let node = self.node(number)?;
        let mut command = java::with(&self.jars, self.purpose);
        command.arg(if self.nodes.len() > 1 { "-Xmx384m" } else { "-Xmx768m" });
        command.arg(format!("-Djava.io.tmpdir={}", node.dir.path().join("tmp").display()));
        command.args(["-Dorg.slf4j.simpleLogger.showDateTime=true", "kafka.Kafka"]);
        command.arg(node.dir.path().join("server.properties"));
        let mut server = node.server.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(mut earlier) = server.take() {
            // It is killed already, but for a caller's mistake.
            earlier.order(Order::Kill)?;
            earlier.leave_files();
        }
        *server = Some(Server::start(name(number), &node.dir, &command)?);
        Ok(())
    }

    /// Until `node` knows as many brokers as it should.
    fn wait(&self, node: &Node, should_know: impl Fn() -> usize) -> Result<(), FleetError> {
        let server = node.server.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(server) = server.as_ref() else { return Ok(()) };
        server.wait(READY_WITHIN, || node.brokers_known().is_some_and(|known| known >= should_know()))
    }
}

fn name(number: usize) -> String {
    format!("Kafka's node {number}")
}
