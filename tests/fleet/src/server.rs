//! One server's process, its files, and the shell that keeps it.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::time::{Duration, Instant};

use crate::{FleetError, home};

const KEEPER: &str = include_str!("../servers/keeper.sh");

/// A folder for a server's settings, data and log; gone when this is, or when the process ends.
#[derive(Debug)]
pub(crate) struct RunDir(PathBuf);

impl RunDir {
    pub fn new() -> Result<Self, FleetError> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let dir = home().join(format!("run-{}-{number}", std::process::id()));
        // An earlier process may have had this number.
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir_all(dir.join("tmp")).map_err(FleetError::io("create", &dir))?;
        Ok(Self(dir))
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    pub fn write(&self, name: &str, text: &str) -> Result<PathBuf, FleetError> {
        let path = self.0.join(name);
        fs::write(&path, text).map_err(FleetError::io("write", &path))?;
        Ok(path)
    }

    pub fn log(&self) -> PathBuf {
        self.0.join("server.log")
    }
}

impl Drop for RunDir {
    fn drop(&mut self) {
        // The keeper removes it too; whoever is second finds nothing.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// What is done to a running server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    /// SIGKILL.
    Kill,
    /// SIGSTOP.
    Pause,
    /// SIGCONT.
    Resume,
}

impl Order {
    fn line(self) -> &'static str {
        match self {
            Self::Kill => "KILL\n",
            Self::Pause => "STOP\n",
            Self::Resume => "CONT\n",
        }
    }
}

/// A server's process. It ends when this is dropped, and its folder with it.
#[derive(Debug)]
pub(crate) struct Server {
    name: String,
    keeper: Child,
    orders: Option<ChildStdin>,
    answers: BufReader<ChildStderr>,
    /// Its other end is gone when the server is.
    alive: Receiver<()>,
    log: PathBuf,
}

impl Server {
    /// Runs `command` with its files in `dir`.
    pub fn start(name: String, dir: &RunDir, command: &Command) -> Result<Self, FleetError> {
        let log = dir.log();
        let shell = Path::new("sh");
        let mut keeper = Command::new(shell)
            .arg("-c")
            .arg(KEEPER)
            .arg("keeper")
            .args([dir.path(), &log])
            .arg(command.get_program())
            .args(command.get_args())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // Ctrl-C in a terminal ends the test, and that ends the server.
            .process_group(0)
            .spawn()
            .map_err(FleetError::io("start", shell))?;
        let mut stdout = keeper.stdout.take().expect("stdout is piped");
        let stderr = keeper.stderr.take().expect("stderr is piped");
        let (end, alive) = channel();
        std::thread::spawn(move || {
            let _end = end;
            let _ = stdout.read_to_end(&mut Vec::new());
        });
        let orders = keeper.stdin.take();
        Ok(Self { name, keeper, orders, answers: BufReader::new(stderr), alive, log })
    }

    /// Waits until `is_ready`. Fails when the server ends first, or takes longer than `at_most`.
    pub fn wait(&self, at_most: Duration, is_ready: impl Fn() -> bool) -> Result<(), FleetError> {
        let deadline = Instant::now() + at_most;
        while !is_ready() {
            if self.alive.try_recv() == Err(TryRecvError::Disconnected) {
                return Err(self.error("ended before it was ready".to_owned()));
            }
            if Instant::now() > deadline {
                return Err(self.error(format!("was not ready within {} s", at_most.as_secs())));
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        Ok(())
    }

    /// Returns when it is done: a killed server's ports are free then.
    pub fn order(&mut self, order: Order) -> Result<(), FleetError> {
        let orders = self.orders.as_mut().expect("orders are open until the server is dropped");
        let mut answer = String::new();
        let done =
            orders.write_all(order.line().as_bytes()).and_then(|()| self.answers.read_line(&mut answer));
        match done {
            Ok(1..) => Ok(()),
            Ok(0) => Err(self.error(format!("has nobody left to {order:?} it"))),
            Err(error) => Err(self.error(format!("could not be reached to {order:?} it ({error})"))),
        }
    }

    /// Ends the keeper of a killed server without a touch to the server's files.
    pub fn leave_files(mut self) {
        if let Some(mut orders) = self.orders.take() {
            // Without a keeper there is nothing to tell it.
            let _ = orders.write_all(b"LEAVE\n");
        }
    }

    fn error(&self, what: String) -> FleetError {
        let text = fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let from = text.lines().count().saturating_sub(30);
        let log = text.lines().skip(from).collect::<Vec<_>>().join("\n");
        FleetError::Server { server: self.name.clone(), what, log }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.orders.take());
        let _ = self.keeper.wait();
    }
}
