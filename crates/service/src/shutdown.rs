//! How a process ends: asked once, drained within a limit, and with an exit code that says how it went.

use std::collections::BTreeSet;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::FutureExt;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::BoxError;

/// A request to end, seen by all clones. Once made it can't be taken back.
#[derive(Clone, Debug, Default)]
pub struct Shutdown {
    token: CancellationToken,
}

impl Shutdown {
    /// One that only [`Self::request`] sets off.
    pub fn new() -> Self {
        Self::default()
    }

    /// One that SIGTERM and SIGINT set off; a second signal ends the process at once (exit code 128 + signal).
    ///
    /// # Errors
    /// When the process can't listen to signals.
    pub fn on_signals() -> std::io::Result<Self> {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let shutdown = Self::new();
        let asked = shutdown.clone();
        tokio::spawn(async move {
            let (name, _) = either(&mut terminate, &mut interrupt).await;
            info!(signal = name, "shutting down; a second signal exits at once");
            asked.request();
            let (name, number) = either(&mut terminate, &mut interrupt).await;
            warn!(signal = name, "exiting at once");
            std::process::exit(128 + number);
        });
        Ok(shutdown)
    }

    /// The same request as a token, for code that takes one.
    pub fn token(&self) -> CancellationToken {
        self.token.clone()
    }

    /// Asks everyone to end.
    pub fn request(&self) {
        self.token.cancel();
    }

    /// Whether that was asked.
    pub fn is_requested(&self) -> bool {
        self.token.is_cancelled()
    }

    /// Waits until it is asked.
    pub async fn requested(&self) {
        self.token.cancelled().await;
    }
}

async fn either(terminate: &mut Signal, interrupt: &mut Signal) -> (&'static str, i32) {
    tokio::select! {
        _ = terminate.recv() => ("SIGTERM", SignalKind::terminate().as_raw_value()),
        _ = interrupt.recv() => ("SIGINT", SignalKind::interrupt().as_raw_value()),
    }
}

/// The named tasks of a process.
///
/// A task that fails (or panics) before shutdown was asked for asks for it, so that a process never runs on by half.
#[derive(Debug)]
pub struct Running {
    shutdown: Shutdown,
    tasks: JoinSet<()>,
    names: Arc<Names>,
}

#[derive(Debug, Default)]
struct Names {
    running: Mutex<BTreeSet<String>>,
    failed: Mutex<BTreeSet<String>>,
}

impl Running {
    /// No tasks yet; their failures will set off this shutdown.
    pub fn new(shutdown: Shutdown) -> Self {
        Self { shutdown, tasks: JoinSet::new(), names: Arc::default() }
    }

    /// Starts a task. Names are for the log and should differ.
    pub fn spawn<F>(&mut self, name: impl Into<String>, task: F)
    where
        F: Future<Output = Result<(), BoxError>> + Send + 'static,
    {
        let (name, names, shutdown) = (name.into(), Arc::clone(&self.names), self.shutdown.clone());
        locked(&names.running).insert(name.clone());
        self.tasks.spawn(async move {
            let outcome = AssertUnwindSafe(task).catch_unwind().await;
            locked(&names.running).remove(&name);
            let early = !shutdown.is_requested();
            match outcome {
                Ok(Ok(())) if early => info!(task = name, "a task has finished"),
                Ok(Ok(())) => {}
                Ok(Err(cause)) => {
                    error!(task = name, error = %with_causes(&*cause), "a task failed; the process ends");
                    locked(&names.failed).insert(name);
                    shutdown.request();
                }
                Err(_) => {
                    error!(task = name, "a task panicked; the process ends");
                    locked(&names.failed).insert(name);
                    shutdown.request();
                }
            }
        });
    }

    /// Waits until all tasks have ended, or for `limit` after shutdown was asked for; then stops those still running.
    pub async fn finish(mut self, limit: Duration) -> Finished {
        let shutdown = self.shutdown.clone();
        let deadline = async {
            shutdown.requested().await;
            tokio::time::sleep(limit).await;
        };
        let all = async { while self.tasks.join_next().await.is_some() {} };
        tokio::select! {
            biased;
            () = all => {}
            () = deadline => {}
        }
        let still_running: Vec<String> = locked(&self.names.running).iter().cloned().collect();
        for task in &still_running {
            error!(
                task,
                limit_s = limit.as_secs_f64(),
                "a task did not end in time; it is stopped where it stands"
            );
        }
        self.tasks.shutdown().await;
        let failed = locked(&self.names.failed).iter().cloned().collect();
        Finished { failed, still_running }
    }
}

/// How the tasks ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finished {
    /// Tasks that ended with an error or a panic.
    pub failed: Vec<String>,
    /// Tasks that had to be stopped.
    pub still_running: Vec<String>,
}

impl Finished {
    /// Whether every task ended by itself and well.
    pub fn is_clean(&self) -> bool {
        self.failed.is_empty() && self.still_running.is_empty()
    }

    /// 0 when all went well, else 1.
    pub fn exit_code(&self) -> ExitCode {
        if self.is_clean() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}

/// An error and its causes in one line.
pub(crate) fn with_causes(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        let said = next.to_string();
        if !text.contains(&said) {
            text = format!("{text}: {said}");
        }
        cause = next.source();
    }
    text
}

/// The sets stay whole whoever panicked while holding them.
fn locked(set: &Mutex<BTreeSet<String>>) -> std::sync::MutexGuard<'_, BTreeSet<String>> {
    set.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn running() -> (Shutdown, Running) {
        let shutdown = Shutdown::new();
        (shutdown.clone(), Running::new(shutdown))
    }

    #[tokio::test]
    async fn sigterm_asks_for_shutdown_and_does_not_kill() {
        let shutdown = Shutdown::on_signals().unwrap();
        assert!(!shutdown.is_requested());
        let pid = std::process::id().to_string();
        assert!(std::process::Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        shutdown.requested().await;
        assert!(shutdown.token().is_cancelled());
    }

    #[tokio::test]
    async fn a_failing_task_ends_the_others_and_the_process_fails() {
        let (shutdown, mut running) = running();
        let asked = shutdown.clone();
        running.spawn("steady", async move {
            asked.requested().await;
            Ok(())
        });
        running.spawn("failing", async { Err("the disk is full".into()) });
        let ended = tokio::time::timeout(Duration::from_secs(10), running.finish(Duration::from_secs(60)));
        let finished = ended.await.expect("the failure ends the steady task");
        assert!(shutdown.is_requested());
        assert_eq!(finished, Finished { failed: vec!["failing".into()], still_running: vec![] });
        assert!(!finished.is_clean());
    }

    #[tokio::test]
    async fn a_panicking_task_counts_as_failed() {
        let (shutdown, mut running) = running();
        running.spawn("wild", async { panic!("out of bounds") });
        let finished = running.finish(Duration::from_secs(60)).await;
        assert!(shutdown.is_requested());
        assert_eq!(finished.failed, ["wild"]);
    }

    #[tokio::test]
    async fn a_task_that_finishes_its_work_does_not_end_the_process() {
        let (shutdown, mut running) = running();
        running.spawn("once", async { Ok(()) });
        assert!(running.finish(Duration::from_secs(60)).await.is_clean());
        assert!(!shutdown.is_requested());
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_that_does_not_end_is_named_and_stopped() {
        let (shutdown, mut running) = running();
        running.spawn("stuck", std::future::pending());
        running.spawn("quick", async { Ok(()) });
        shutdown.request();
        let began = tokio::time::Instant::now();
        let finished = running.finish(Duration::from_secs(20)).await;
        assert_eq!(finished, Finished { failed: vec![], still_running: vec!["stuck".into()] });
        assert_eq!(began.elapsed().as_secs(), 20);
        assert!(!finished.is_clean());
    }

    #[tokio::test(start_paused = true)]
    async fn the_limit_counts_from_the_request_not_from_the_start() {
        let (shutdown, mut running) = running();
        let asked = shutdown.clone();
        running.spawn("long", async move {
            asked.requested().await;
            Ok(())
        });
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_secs(3600)).await;
            shutdown.request();
        });
        assert!(running.finish(Duration::from_secs(1)).await.is_clean());
    }
}
