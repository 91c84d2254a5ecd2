//! The real binary on the embedded default, in a directory of its own, with the sandbox beside it.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::sync::Arc;

use serde_json::Value;
use tempfile::TempDir;

use super::client::{Client, Place};
use super::until;
use super::wall_clock::WallClock;

const BINARY: &str = env!("CARGO_BIN_EXE_geopush");

/// A process that does not outlive its test.
struct Guarded(Child);

impl Drop for Guarded {
    fn drop(&mut self) {
        // It has ended already where a test ended it.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// `geopush sandbox`, while it is held.
pub struct Sandbox {
    dir: TempDir,
    /// The body of `PUT /v1/apps/{app}` that sends an app's pushes here.
    pub app: Value,
    pub control: Client,
    _process: Guarded,
}

impl Sandbox {
    pub fn start() -> Self {
        Self::start_by(None)
    }

    /// Going by this clock, if any.
    pub fn start_by(clock: Option<&WallClock>) -> Self {
        let dir = TempDir::new().expect("a directory");
        let mut command = geopush();
        if let Some(clock) = clock {
            clock.lead(&mut command);
        }
        let child = spawn(command.arg("sandbox").arg("--out").arg(dir.path()), &dir.path().join("log"));
        let mut process = Guarded(child);
        let listing = dir.path().join("sandbox.json");
        let known = until("the sandbox starts", || {
            assert!(process.0.try_wait().expect("a child").is_none(), "the sandbox ended at once");
            serde_json::from_slice::<Value>(&fs::read(&listing).ok()?).ok()
        });
        let control = Client::new(&Place::at(known["control_url"].as_str().expect("a control_url")), None);
        Self { dir, app: known["app"].clone(), control, _process: process }
    }

    /// The root that senders must trust.
    pub fn ca(&self) -> PathBuf {
        self.dir.path().join("ca.pem")
    }

    /// Every push that was accepted so far.
    pub fn sent(&self) -> Vec<Value> {
        self.control.get("/sent")["data"].as_array().expect("data").clone()
    }
}

/// A tenant's keys.
pub struct Keys {
    pub secret: String,
    pub publishable: String,
    pub tenant: String,
}

/// `geopush run` on a data directory.
pub struct House {
    dir: TempDir,
    ca: PathBuf,
    process: Option<Guarded>,
    clock: Option<Arc<WallClock>>,
    ingest: Place,
    api: Place,
    admin: Place,
}

impl House {
    /// An empty directory; nothing runs yet.
    pub fn new(sandbox: &Sandbox) -> Self {
        Self::on(TempDir::new().expect("a directory"), sandbox.ca())
    }

    /// The same configuration, rows and log in a second directory; nothing may run on the first.
    pub fn copy(&self) -> Self {
        assert!(self.process.is_none(), "a running house can't be copied");
        let dir = TempDir::new().expect("a directory");
        copy_dir(&self.data(), &dir.path().join("data"));
        Self::on(dir, self.ca.clone())
    }

    fn on(dir: TempDir, ca: PathBuf) -> Self {
        Self {
            dir,
            ca,
            process: None,
            clock: None,
            ingest: Place::default(),
            api: Place::default(),
            admin: Place::default(),
        }
    }

    /// From its next start on it goes by this clock.
    pub fn go_by(&mut self, clock: Arc<WallClock>) {
        self.clock = Some(clock);
    }

    fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// Makes a tenant; nothing may run on the directory meanwhile.
    pub fn tenant(&self, name: &str) -> Keys {
        assert!(self.process.is_none(), "tenants are made while nothing runs");
        let out = geopush()
            .args(["tenant", "create", name, "--data-dir"])
            .arg(self.data())
            .output()
            .expect("the binary runs");
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        let keys: Value = serde_json::from_slice(&out.stdout).expect("keys as JSON, and nothing else");
        let text = |name: &str| keys[name].as_str().expect("a string").to_owned();
        Keys { secret: text("secret_key"), publishable: text("publishable_key"), tenant: text("tenant_id") }
    }

    /// Starts it, on ports that are free, and waits until it is ready.
    pub fn start(&mut self) {
        let listing = self.data().join("addresses.json");
        let _ = fs::remove_file(&listing);
        let mut command = geopush();
        if let Some(clock) = &self.clock {
            clock.lead(&mut command);
        }
        command.args(["run", "--allow-provider-urls", "--data-dir"]).arg(self.data());
        command.arg("--provider-ca").arg(&self.ca);
        let listeners = [("ingest", &self.ingest), ("api", &self.api), ("admin", &self.admin)];
        for (name, _) in listeners {
            command.arg(format!("--{name}-addr")).arg("127.0.0.1:0");
        }
        let mut process = Guarded(spawn(&mut command, &self.dir.path().join("log")));
        until("the system is ready", || {
            if let Some(status) = process.0.try_wait().expect("a child") {
                panic!("geopush ended with {status}:\n{}", self.log_tail());
            }
            let addresses: Value = serde_json::from_slice(&fs::read(&listing).ok()?).ok()?;
            for (name, place) in listeners {
                place.moves_to(&format!("http://{}", addresses[name].as_str()?));
            }
            let ready = self.admin().call("GET", "/readyz", &[], None);
            ready.is_ok_and(|answer| answer.status == 200).then_some(())
        });
        self.process = Some(process);
    }

    /// Ends it as a power cut would.
    pub fn kill(&mut self) {
        let mut process = self.process.take().expect("it runs");
        process.0.kill().expect("it can be killed");
        process.0.wait().expect("it ends");
    }

    /// Asks it to end, as an orchestrator does, and waits until it has.
    pub fn terminate(&mut self) -> ExitStatus {
        let mut process = self.process.take().expect("it runs");
        let asked = Command::new("kill").arg("-TERM").arg(process.0.id().to_string()).status();
        assert!(asked.expect("kill runs").success());
        until("it ends when it is asked to", || process.0.try_wait().expect("a child"))
    }

    /// The URL of `ingest`, `api` or `admin`, as it is now.
    pub fn base(&self, listener: &str) -> String {
        match listener {
            "ingest" => self.ingest.now(),
            "api" => self.api.now(),
            _ => self.admin.now(),
        }
    }

    pub fn api(&self, keys: &Keys) -> Client {
        Client::new(&self.api, Some(&keys.secret))
    }

    pub fn ingest(&self, keys: &Keys) -> Client {
        Client::new(&self.ingest, Some(&keys.publishable))
    }

    pub fn admin(&self) -> Client {
        Client::new(&self.admin, None)
    }

    /// Everything that it logged.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.dir.path().join("log")).unwrap_or_default()).into_owned()
    }

    fn log_tail(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().rev().take(30).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join("\n")
    }
}

impl Drop for House {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the end of the system's log:\n{}", self.log_tail());
        }
    }
}

/// The binary, without the variables of whoever runs the tests: they would configure it.
pub fn geopush() -> Command {
    let mut command = Command::new(BINARY);
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("GEOPUSH_")) {
        command.env_remove(name);
    }
    command
}

fn spawn(command: &mut Command, log: &Path) -> Child {
    let log = File::options().create(true).append(true).open(log).expect("a log file");
    command.stdout(log.try_clone().expect("a handle")).stderr(log).spawn().expect("the binary runs")
}

fn copy_dir(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a directory");
    for entry in fs::read_dir(from).expect("a directory").map(|entry| entry.expect("an entry")) {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_dir(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).expect("a copy");
        }
    }
}
