//! A system whose roles run apart: each a process of its own, on servers that they share.

use std::process::Output;

use geopush_sandbox::{Options, Sandbox};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::binary::binary;
use crate::http::{Client, Place, until};
use crate::process::Process;

/// Every role, by the name of its process, too.
pub const ROLES: [&str; 4] = ["ingest", "geofence", "dispatcher", "control-api"];
const SECRETS_KEY: &str = "0707070707070707070707070707070707070707070707070707070707070707";

/// Where the servers are, and what this system's topics and keyspaces are called on them.
#[derive(Clone)]
pub struct Servers {
    pub kafka: String,
    pub cql: String,
    pub name: String,
}

impl Servers {
    /// A name that nobody has had.
    pub fn new(kafka: &str, cql: &str) -> Self {
        let name = format!("journey_{:08x}", rand::random::<u32>());
        Self { kafka: kafka.to_owned(), cql: cql.to_owned(), name }
    }

    fn arguments(&self) -> Vec<String> {
        vec![
            format!("--kafka-brokers={}", self.kafka),
            format!("--kafka-prefix={}.", self.name),
            "--kafka-replication=1".to_owned(),
            "--log-partitions=8".to_owned(),
        ]
    }

    fn tables(&self) -> Vec<String> {
        vec![
            format!("--cql-nodes={}", self.cql),
            format!("--cql-keyspace={}", self.name),
            "--cql-replication=1".to_owned(),
        ]
    }
}

/// A tenant's keys.
pub struct Keys {
    pub secret: String,
    pub publishable: String,
}

/// The processes, none of them running at first, and their providers' stand-in.
pub struct Fleet {
    servers: Servers,
    pub sandbox: Sandbox,
    _runtime: Runtime,
    dir: TempDir,
}

impl Fleet {
    pub fn new(servers: Servers) -> Self {
        let runtime = Runtime::new().expect("a runtime");
        let sandbox = runtime.block_on(Sandbox::start(Options::default())).expect("the sandbox starts");
        let dir = TempDir::new().expect("a directory");
        sandbox.write(&dir.path().join("sandbox")).expect("the sandbox's files are written");
        Self { servers, sandbox, _runtime: runtime, dir }
    }

    /// A process of this role, not running yet. It is told only what its role needs.
    pub fn process(&self, name: &str, role: &str) -> Process {
        let mut arguments = self.servers.arguments();
        arguments.push(format!("--role={role}"));
        if role != "geofence" {
            arguments.extend(self.servers.tables());
        }
        if matches!(role, "dispatcher" | "control-api") {
            arguments.push(format!("--secrets-key={SECRETS_KEY}"));
        }
        let ca = self.dir.path().join("sandbox").join("ca.pem");
        arguments.push(format!("--provider-ca={}", ca.display()));
        arguments.push("--allow-provider-urls".to_owned());
        Process::new(name, binary(), arguments, self.dir.path())
    }

    /// A command on the servers, such as `migrate`.
    pub fn command(&self, words: &[&str]) -> Output {
        let arguments = [self.servers.arguments(), self.servers.tables()].concat();
        let process = Process::new("command", binary(), arguments, self.dir.path());
        let out = process.command(words).output().expect("the binary runs");
        assert!(out.status.success(), "{words:?}: {}", String::from_utf8_lossy(&out.stderr));
        out
    }

    pub fn tenant(&self) -> Keys {
        let out = self.command(&["tenant", "create", "merchant"]);
        let keys: Value = serde_json::from_slice(&out.stdout).expect("keys as JSON, and nothing else");
        let text = |name: &str| keys[name].as_str().expect("a string").to_owned();
        Keys { secret: text("secret_key"), publishable: text("publishable_key") }
    }

    /// What a process has logged so far.
    pub fn log(&self, process: &Process) -> String {
        std::fs::read_to_string(self.dir.path().join(format!("{}.log", process.name))).unwrap_or_default()
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let kept = std::env::temp_dir().join(&self.servers.name);
            let _ = std::process::Command::new("cp").arg("-r").arg(self.dir.path()).arg(&kept).status();
            eprintln!("the processes' logs are in {}", kept.display());
        }
    }
}

/// What a process says on its admin port: the status of `/readyz` and its parts.
pub fn readyz(process: &Process) -> (u16, Value) {
    let listing = process.data().join("addresses.json");
    until("it says where it listens", || {
        let addresses: Value = serde_json::from_slice(&std::fs::read(&listing).ok()?).ok()?;
        let admin = Place::at(&format!("http://{}", addresses["admin"].as_str()?));
        let answer = Client::new(&admin, None).call("GET", "/readyz", &[], None).ok()?;
        Some((answer.status, answer.body["parts"].clone()))
    })
}

pub fn wait_until_ready(process: &Process) {
    until(&format!("{} is ready", process.name), || {
        process.look();
        process.is_ready().then_some(())
    });
}

/// What a part of a process says is missing.
pub fn reason(process: &Process, part: &str) -> Option<String> {
    readyz(process).1[part]["reason"].as_str().map(str::to_owned)
}

/// A zone, and a campaign that greets whoever enters it.
pub fn open_shop(api: &Client, sandbox: &Sandbox) {
    api.insist(201, "PUT", "/v1/apps/shop", Some(&sandbox.app_json()));
    let (lat, lon) = crate::walk::INSIDE;
    let shape = json!({"type": "circle", "center": [lon, lat], "radius_m": 150});
    let zone = api.insist(201, "POST", "/v1/zones", Some(&json!({"name": "shop", "shape": shape})));
    let campaign = json!({
        "name": "welcome", "app": "shop",
        "trigger": {"type": "zone", "on": "enter", "zone_ids": [zone["id"]], "on_initial": true},
        "message": {"title": "Hello", "body": "A coffee is on us"},
    });
    let campaign = api.insist(201, "POST", "/v1/campaigns", Some(&campaign));
    let id = campaign["id"].as_str().expect("an id");
    api.insist(200, "POST", &format!("/v1/campaigns/{id}/activate"), None);
}
