//! A process of a fleet whose servers are not there: it says so, answers early clients, and ends when it is asked to.

mod support;

use std::net::TcpListener;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use support::client::{Client, Place};
use support::house::geopush;
use support::until;
use tempfile::TempDir;

const KEY: &str = "0707070707070707070707070707070707070707070707070707070707070707";

/// A role whose Kafka is at this address.
struct Waiting {
    dir: TempDir,
    process: Child,
}

impl Waiting {
    fn start(role: &str, kafka: &str) -> Self {
        let dir = TempDir::new().expect("a directory");
        let log = std::fs::File::create(dir.path().join("log")).expect("a file");
        let mut command = geopush();
        command.args(["run", "--role", role, "--kafka-brokers", kafka, "--cql-nodes", "127.0.0.1:1"]);
        command.args([
            "--secrets-key",
            KEY,
            "--kafka-properties",
            "sasl.password=hush,sasl.username=someone",
        ]);
        for listener in ["--ingest-addr", "--api-addr", "--admin-addr"] {
            command.args([listener, "127.0.0.1:0"]);
        }
        command.arg("--data-dir").arg(dir.path().join("data"));
        let process = command.stdout(log.try_clone().expect("a handle")).stderr(log).spawn();
        Self { dir, process: process.expect("the binary runs") }
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    fn client(&self, listener: &str) -> Client {
        let path = self.dir.path().join("data/addresses.json");
        let address = until("it says where it listens", || {
            let addresses: Value = serde_json::from_slice(&std::fs::read(&path).ok()?).ok()?;
            Some(addresses[listener].as_str()?.to_owned())
        });
        Client::new(&Place::at(&format!("http://{address}")), Some("a-key"))
    }

    fn terminate(&mut self) -> (ExitStatus, Duration) {
        let began = Instant::now();
        let asked = Command::new("kill").arg("-TERM").arg(self.process.id().to_string()).status();
        assert!(asked.expect("kill runs").success());
        (until("it ends", || self.process.try_wait().expect("a child")), began.elapsed())
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        // It has ended already where a test ended it.
        let _ = self.process.kill();
        let _ = self.process.wait();
        if std::thread::panicking() {
            eprintln!("{}", self.log());
        }
    }
}

/// An address where nobody listens.
fn nobody() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address").to_string()
}

fn lines_about_kafka(log: &str) -> usize {
    log.lines().filter(|line| line.contains("waiting for Kafka at")).count()
}

#[test]
fn a_role_without_its_kafka_lives_is_not_ready_says_why_and_ends_when_asked() {
    // A closed port, and one where somebody listens and never answers.
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let silent_address = silent.local_addr().expect("an address").to_string();
    for kafka in [nobody(), silent_address] {
        let mut waiting = Waiting::start("ingest,control-api", &kafka);
        let admin = waiting.client("admin");
        assert_eq!(admin.expect(200, "GET", "/livez", None), "ok");
        until("it says what it waits for", || (lines_about_kafka(&waiting.log()) > 0).then_some(()));
        let parts = &admin.expect(503, "GET", "/readyz", None)["parts"];
        let why = parts["log"]["reason"].as_str().expect("a reason").to_owned();
        assert!(why.contains(&kafka), "{why}");
        for part in ["store", "ingest", "api"] {
            assert_eq!(parts[part]["status"], "not_ready", "{parts}");
        }
        for listener in ["ingest", "api"] {
            let early = waiting.client(listener).expect(503, "GET", "/v1/zones", None);
            assert_eq!((&early["status"], &early["code"]), (&503.into(), &"unavailable".into()), "{early}");
        }
        let (status, took) = waiting.terminate();
        assert_eq!(status.code(), Some(0));
        assert!(took < Duration::from_secs(10), "{took:?}");
        let log = waiting.log();
        assert_eq!(lines_about_kafka(&log), 1, "one line in ten seconds:\n{log}");
        assert!(log.contains(&kafka) && !log.contains("hush") && !log.contains(KEY), "{log}");
    }
}

#[test]
fn a_geofence_process_needs_neither_tables_nor_the_secrets_key() {
    let dir = TempDir::new().expect("a directory");
    let checked = geopush()
        .args(["check-config", "--role", "geofence", "--kafka-brokers", "k1:9092", "--data-dir"])
        .arg(dir.path())
        .output()
        .expect("the binary runs");
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
}

#[test]
fn commands_name_the_key_that_is_missing_and_show_no_secret() {
    let ends = |arguments: &[&str]| {
        let out = geopush().args(arguments).stdin(Stdio::null()).output().expect("the binary runs");
        (out.status.success(), String::from_utf8_lossy(&[out.stdout, out.stderr].concat()).into_owned())
    };
    let kafka = ["--kafka-brokers", "k1:9092", "--kafka-properties", "sasl.password=hush"];
    for command in ["check-config", "migrate", "run"] {
        let (ended_well, said) = ends(&[&[command], &kafka[..]].concat());
        assert!(!ended_well && said.contains("cql.nodes (default): is needed"), "{said}");
        assert!(!said.contains("hush"), "{said}");
    }
    let (_, said) = ends(&["run", "--kafka-brokers", "k1:9092", "--cql-nodes", "c1:9042"]);
    assert!(said.contains("secrets_key (default): is needed") && said.contains("openssl rand"), "{said}");
    let whole =
        ["--cql-nodes", "c1:9042", "--cql-username", "u", "--cql-password", "hush", "--secrets-key", KEY];
    let (ended_well, said) = ends(&[&["check-config"], &kafka[..], &whole].concat());
    assert!(ended_well && said.contains("sasl.password=********"), "{said}");
    assert!(!said.contains("hush") && !said.contains(KEY), "{said}");
}
