//! A Cassandra of one node.

use std::path::Path;
use std::process::Command;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::jars::{Jars, Product};
use crate::java::Purpose;
use crate::ports::Port;
use crate::secured::{Secured, write_certificates};
use crate::server::{Order, RunDir, Server};
use crate::{FleetError, java, probe};

const READY_WITHIN: Duration = Duration::from_secs(180);

/// Packages that Cassandra 5.0 uses from inside Java 17, as its own start script opens them.
const EXPORTS: [&str; 9] = [
    "java.base/java.lang.ref",
    "java.base/jdk.internal.misc",
    "java.base/sun.nio.ch",
    "java.management.rmi/com.sun.jmx.remote.internal.rmi",
    "java.rmi/sun.rmi.registry",
    "java.rmi/sun.rmi.server",
    "java.sql/java.sql",
    "jdk.compiler/com.sun.tools.javac.file",
    "jdk.unsupported/sun.misc",
];
const OPENS: [&str; 18] = [
    "java.base/java.io",
    "java.base/java.lang",
    "java.base/java.lang.module",
    "java.base/java.lang.reflect",
    "java.base/java.net",
    "java.base/java.nio",
    "java.base/java.util",
    "java.base/java.util.concurrent",
    "java.base/java.util.concurrent.atomic",
    "java.base/jdk.internal.loader",
    "java.base/jdk.internal.math",
    "java.base/jdk.internal.module",
    "java.base/jdk.internal.ref",
    "java.base/jdk.internal.reflect",
    "java.base/jdk.internal.util.jar",
    "java.base/sun.nio.ch",
    "jdk.compiler/com.sun.tools.javac",
    "jdk.management/com.sun.management.internal",
];

/// A running node with an empty disk, at a port of its own that stays over restarts. Ends when dropped.
///
/// What it has acknowledged survives its kill, as it would on a cluster that loses one node.
#[derive(Debug)]
pub struct Cassandra {
    // The first field is dropped first: a server goes before its files.
    server: Mutex<Server>,
    dir: RunDir,
    clients: Port,
    /// For other nodes, of which there are none.
    _storage: Port,
    jars: Jars,
    purpose: Purpose,
    secured: Option<Secured>,
}

impl Cassandra {
    /// A node that lets anybody in.
    pub fn start() -> Result<Self, FleetError> {
        Self::with(Purpose::Test, false)
    }

    /// A node to be measured: it runs faster, and its commit log is synced now and then, as is Cassandra's default.
    pub fn start_to_measure() -> Result<Self, FleetError> {
        Self::with(Purpose::Measure, false)
    }

    /// A node whose clients must use TLS and log in.
    pub fn start_secured() -> Result<Self, FleetError> {
        Self::with(Purpose::Test, true)
    }

    fn with(purpose: Purpose, is_secured: bool) -> Result<Self, FleetError> {
        java::check(Product::Cassandra)?;
        let jars = Jars::of(Product::Cassandra)?;
        let dir = RunDir::new()?;
        let (clients, storage) = (Port::take()?, Port::take()?);
        let mut text = settings(dir.path(), &clients, &storage, purpose);
        let secured = if is_secured {
            let (ca, key) = write_certificates(&dir)?;
            text.push_str(&demand_tls_and_passwords(&key));
            // The user that every new Cassandra has.
            Some(Secured { ca, username: "cassandra", password: "cassandra" })
        } else {
            None
        };
        dir.write("cassandra.yaml", &text)?;
        dir.write("logback.xml", include_str!("../servers/logback.xml"))?;
        let server = launch(&jars, &dir, purpose)?;
        let node =
            Self { server: Mutex::new(server), dir, clients, _storage: storage, jars, purpose, secured };
        node.wait()?;
        Ok(node)
    }

    /// Clients' address: `host:port`.
    pub fn address(&self) -> String {
        self.clients.address()
    }

    /// How to be let in; `None` where anybody is.
    pub fn secured(&self) -> Option<&Secured> {
        self.secured.as_ref()
    }

    /// Ends it by SIGKILL; its disk stays.
    pub fn kill(&self) -> Result<(), FleetError> {
        self.order(Order::Kill)
    }

    /// Stops it without closing its connections (SIGSTOP).
    pub fn pause(&self) -> Result<(), FleetError> {
        self.order(Order::Pause)
    }

    /// Lets it go on after a pause.
    pub fn resume(&self) -> Result<(), FleetError> {
        self.order(Order::Resume)
    }

    /// Starts it again after a kill, with its port and its disk; kills it first where it still runs.
    pub fn restart(&self) -> Result<(), FleetError> {
        self.kill()?;
        {
            let mut server = self.server.lock().unwrap_or_else(PoisonError::into_inner);
            let again = launch(&self.jars, &self.dir, self.purpose)?;
            std::mem::replace(&mut *server, again).leave_files();
        }
        self.wait()
    }

    fn order(&self, order: Order) -> Result<(), FleetError> {
        self.server.lock().unwrap_or_else(PoisonError::into_inner).order(order)
    }

    fn wait(&self) -> Result<(), FleetError> {
        let port = self.clients.number;
        let server = self.server.lock().unwrap_or_else(PoisonError::into_inner);
        server.wait(READY_WITHIN, || match &self.secured {
            None => probe::cql_serves(port).unwrap_or(false),
            Some(_) => std::fs::read_to_string(self.dir.log()).is_ok_and(|log| {
                log.contains("Starting listening for CQL clients")
                    && log.contains("Created default superuser role")
            }),
        })
    }
}

fn launch(jars: &Jars, dir: &RunDir, purpose: Purpose) -> Result<Server, FleetError> {
    let mut command: Command = java::with(jars, purpose);
    command.args(["-Xms256m", "-Xmx1g"]);
    for package in EXPORTS {
        command.args(["--add-exports", &format!("{package}=ALL-UNNAMED")]);
    }
    for package in OPENS {
        command.args(["--add-opens", &format!("{package}=ALL-UNNAMED")]);
    }
    let path = dir.path().display();
    command.arg("-Djdk.attach.allowAttachSelf=true");
    command.arg(format!("-Djava.io.tmpdir={path}/tmp"));
    command.arg(format!("-Dlogback.configurationFile={path}/logback.xml"));
    command.arg(format!("-Dcassandra.config=file://{path}/cassandra.yaml"));
    command.arg(format!("-Dcassandra.storagedir={path}/data"));
    // There is nobody to wait for.
    command.args(["-Dcassandra.ring_delay_ms=1", "-Dcassandra.skip_wait_for_gossip_to_settle=0"]);
    command.args(["-Dcassandra.superuser_setup_delay_ms=0", "-Dcassandra-foreground=yes"]);
    command.arg("org.apache.cassandra.service.CassandraDaemon");
    Server::start("Cassandra".to_owned(), dir, &command)
}

/// `cassandra.yaml`. In a test an acknowledged write is in the commit log's file, so that it survives a kill.
fn settings(dir: &Path, clients: &Port, storage: &Port, purpose: Purpose) -> String {
    let sync = match purpose {
        Purpose::Test => "commitlog_sync: batch",
        Purpose::Measure => "commitlog_sync: periodic\ncommitlog_sync_period: 10s",
    };
    format!(
        "cluster_name: fleet\n\
         num_tokens: 1\n\
         partitioner: org.apache.cassandra.dht.Murmur3Partitioner\n\
         endpoint_snitch: SimpleSnitch\n\
         seed_provider: [{{class_name: org.apache.cassandra.locator.SimpleSeedProvider, parameters: [{{seeds: '{}'}}]}}]\n\
         listen_address: 127.0.0.1\n\
         storage_port: {}\n\
         rpc_address: 127.0.0.1\n\
         start_native_transport: true\n\
         native_transport_port: {}\n\
         {sync}\n\
         auto_snapshot: false\n\
         data_file_directories: ['{dir}/data/data']\n\
         commitlog_directory: '{dir}/data/commitlog'\n\
         saved_caches_directory: '{dir}/data/saved_caches'\n\
         hints_directory: '{dir}/data/hints'\n\
         cdc_raw_directory: '{dir}/data/cdc_raw'\n",
        storage.address(),
        storage.number,
        clients.number,
        dir = dir.display(),
    )
}

fn demand_tls_and_passwords(key: &Path) -> String {
    format!(
        "authenticator: {{class_name: PasswordAuthenticator}}\n\
         client_encryption_options:\n  \
           enabled: true\n  \
           optional: false\n  \
           keystore: '{}'\n  \
           require_client_auth: false\n  \
           ssl_context_factory:\n    \
             class_name: org.apache.cassandra.security.PEMBasedSslContextFactory\n",
        key.display()
    )
}
