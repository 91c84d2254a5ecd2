//! Servers in Apple's place that others wrote: pushy's mock, which checks what it is asked, and Node's, which says
//! farewell.

use std::fs;
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::jars::{Jars, Product};
use crate::java::Purpose;
use crate::ports::Port;
use crate::secured::write_certificates;
use crate::server::{RunDir, Server};
use crate::{FleetError, java};

const READY_WITHIN: Duration = Duration::from_secs(60);

/// A server at a port of its own, over TLS. Ends when dropped.
#[derive(Debug)]
pub struct PushServer {
    // The first field is dropped first: a server goes before its files.
    _server: Server,
    dir: RunDir,
    port: Port,
    ca: PathBuf,
}

impl PushServer {
    /// pushy's `MockApnsServer`, with what these lines say beside its address and its identity: their language, and that
    /// of what it prints, is told in `servers/MockApns.java`.
    pub fn mock_apns(lines: &str) -> Result<Self, FleetError> {
        java::check(Product::Pushy)?;
        let jars = Jars::of(Product::Pushy)?;
        Self::start("the mock of APNs", |dir, port, identity| {
            let classes = dir.path().join("classes");
            let source = dir.write("MockApns.java", include_str!("../servers/MockApns.java"))?;
            java::compile(&jars, &source, &classes)?;
            let text = format!("port {}\nidentity {}\n{lines}", port.number, identity.display());
            let mut command = java::with_classes(&jars, Purpose::Test, Some(&classes));
            command.args(["-Xmx128m", "MockApns"]).arg(dir.write("settings", &text)?);
            Ok(command)
        })
    }

    /// Node's, whose connections leave by these manners: see `servers/away.js`.
    pub fn away(manners: &[&str]) -> Result<Self, FleetError> {
        let tried = Command::new("node").arg("--version").output();
        tried.map_err(|error| FleetError::Missing {
            what: format!("node does not start ({error})"),
            package: "nodejs",
            otherwise: "or from https://nodejs.org",
        })?;
        Self::start("the server that says farewell", |dir, port, identity| {
            let mut command = Command::new("node");
            command.arg(dir.write("away.js", include_str!("../servers/away.js"))?);
            command.arg(port.number.to_string()).arg(identity).args(manners);
            Ok(command)
        })
    }

    fn start(
        name: &str,
        command: impl FnOnce(&RunDir, &Port, &Path) -> Result<Command, FleetError>,
    ) -> Result<Self, FleetError> {
        let (dir, port) = (RunDir::new()?, Port::take()?);
        let (ca, identity) = write_certificates(&dir)?;
        let command = command(&dir, &port, &identity)?;
        let server = Server::start(name.to_owned(), &dir, &command)?;
        server.wait(READY_WITHIN, || TcpStream::connect((Ipv4Addr::LOCALHOST, port.number)).is_ok())?;
        Ok(Self { _server: server, dir, port, ca })
    }

    /// What takes the place of Apple's address.
    pub fn url(&self) -> String {
        format!("https://{}", self.port.address())
    }

    /// A PEM file with the authority of its certificate.
    pub fn ca(&self) -> &Path {
        &self.ca
    }

    /// The lines that it has printed so far, each by its members.
    pub fn heard(&self) -> Result<Vec<Vec<String>>, FleetError> {
        let log = self.dir.log();
        let text = fs::read_to_string(&log).map_err(FleetError::io("read", &log))?;
        // A line that is being written has no end.
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        Ok(whole.lines().map(|line| line.split('\t').map(str::to_owned).collect()).collect())
    }
}
