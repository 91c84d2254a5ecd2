//! One process of the system: started, killed, stopped and started again.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::http::Place;

/// Nothing listens there: what a process's clients find while it does not run.
const NOWHERE: &str = "http://127.0.0.1:9";
/// How long a scrape may take.
const SCRAPE: Duration = Duration::from_millis(500);
/// How long a process may take to end when it is asked to.
const ENDING: Duration = Duration::from_secs(60);
const UNCERTAIN: &str = "geopush_dispatcher_send_uncertain_total";

/// A process and where it listens. Its log goes on over restarts.
pub struct Process {
    pub name: String,
    binary: PathBuf,
    arguments: Vec<String>,
    dir: PathBuf,
    log: PathBuf,
    pub ingest: Place,
    pub api: Place,
    admin: Place,
    running: Mutex<Running>,
}

#[derive(Default)]
struct Running {
    child: Option<Child>,
    /// Of processes that ended, and of the one that runs.
    uncertain: (u64, u64),
}

impl Process {
    /// Not running yet. Its directory and its log are in `dir`.
    pub fn new(name: &str, binary: &Path, arguments: Vec<String>, dir: &Path) -> Self {
        Self {
            name: name.to_owned(),
            binary: binary.to_owned(),
            arguments,
            dir: dir.join(name),
            log: dir.join(format!("{name}.log")),
            ingest: Place::at(NOWHERE),
            api: Place::at(NOWHERE),
            admin: Place::at(NOWHERE),
            running: Mutex::default(),
        }
    }

    pub fn data(&self) -> &Path {
        &self.dir
    }

    /// Whether it runs this role.
    pub fn has(&self, role: &str) -> bool {
        let roles = self.arguments.iter().find_map(|argument| argument.strip_prefix("--role="));
        roles.is_none_or(|roles| roles.split(',').any(|one| one == role))
    }

    /// The binary's other commands, with this process's settings.
    pub fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(&self.binary);
        for (name, _) in
            std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("GEOPUSH_"))
        {
            command.env_remove(name);
        }
        command.args(words).args(&self.arguments).arg("--data-dir").arg(&self.dir);
        command
    }

    /// Starts it, on free ports, and does not wait for it.
    pub fn start(&self) {
        let mut running = self.running();
        assert!(running.child.is_none(), "{} runs already", self.name);
        let _ = fs::remove_file(self.listing());
        let mut command = self.command(&["run"]);
        for listener in ["ingest", "api", "admin"] {
            command.arg(format!("--{listener}-addr")).arg("127.0.0.1:0");
        }
        let log = File::options().create(true).append(true).open(&self.log).expect("a log file");
        command.stdout(log.try_clone().expect("a handle")).stderr(log);
        running.uncertain = (running.uncertain.0 + running.uncertain.1, 0);
        running.child = Some(command.spawn().expect("the binary runs"));
    }

    /// SIGKILL. Fails when it had ended by itself.
    pub fn kill(&self) {
        self.scrape();
        let mut child = self.take();
        let ended = child.try_wait().expect("a child");
        assert!(ended.is_none(), "{} had ended by itself: {ended:?}; see {}", self.name, self.log.display());
        child.kill().expect("it can be killed");
        child.wait().expect("it ends");
    }

    /// SIGTERM, and waits until it has ended.
    pub fn terminate(&self) {
        self.scrape();
        self.signal("TERM");
        let mut child = self.take();
        let deadline = Instant::now() + ENDING;
        loop {
            if let Some(status) = child.try_wait().expect("a child") {
                assert!(status.success(), "{} ended with {status}; see {}", self.name, self.log.display());
                return;
            }
            if Instant::now() > deadline {
                let _ = child.kill();
                let _ = child.wait();
                panic!("{} did not end within {ENDING:?} of SIGTERM; see {}", self.name, self.log.display());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// SIGSTOP: its connections and its leases stay, and it does nothing.
    pub fn stop(&self) {
        self.signal("STOP");
    }

    /// SIGCONT.
    pub fn resume(&self) {
        self.signal("CONT");
    }

    fn signal(&self, name: &str) {
        let running = self.running();
        let Some(child) = running.child.as_ref() else { return };
        let sent = Command::new("kill").arg(format!("-{name}")).arg(child.id().to_string()).status();
        assert!(sent.is_ok_and(|status| status.success()), "SIG{name} reaches {}", self.name);
    }

    fn take(&self) -> Child {
        for place in [&self.ingest, &self.api, &self.admin] {
            place.moves_to(NOWHERE);
        }
        self.running().child.take().expect("it runs")
    }

    /// Finds out where it listens by now.
    pub fn look(&self) {
        let running = self.running();
        if running.child.is_none() || self.admin.now() != NOWHERE {
            return;
        }
        let Ok(text) = fs::read(self.listing()) else { return };
        let Ok(addresses) = serde_json::from_slice::<Value>(&text) else { return };
        for (name, place) in [("ingest", &self.ingest), ("api", &self.api), ("admin", &self.admin)] {
            if let Some(address) = addresses[name].as_str() {
                place.moves_to(&format!("http://{address}"));
            }
        }
    }

    /// Whether it says that it is ready.
    pub fn is_ready(&self) -> bool {
        self.ask("/readyz").is_ok()
    }

    /// Remembers what it counts, since its counters end with it.
    pub fn scrape(&self) {
        let Ok(text) = self.ask("/metrics") else { return };
        let count = text.lines().filter(|line| line.starts_with(UNCERTAIN));
        let count: f64 = count.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum();
        let mut running = self.running();
        running.uncertain.1 = running.uncertain.1.max(count as u64);
    }

    /// Pushes that it has counted as maybe sent before, over its restarts.
    pub fn uncertain(&self) -> u64 {
        let running = self.running();
        running.uncertain.0 + running.uncertain.1
    }

    fn ask(&self, path: &str) -> Result<String, ureq::Error> {
        let config = ureq::Agent::config_builder().timeout_global(Some(SCRAPE)).proxy(None).build();
        let agent: ureq::Agent = config.into();
        agent.get(format!("{}{path}", self.admin.now())).call()?.body_mut().read_to_string()
    }

    fn listing(&self) -> PathBuf {
        self.dir.join("addresses.json")
    }

    fn running(&self) -> MutexGuard<'_, Running> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let mut running = self.running();
        if let Some(child) = running.child.as_mut() {
            // It may have ended; nothing may outlive the test.
            let _: io::Result<()> = child.kill();
            let _ = child.wait();
        }
    }
}
