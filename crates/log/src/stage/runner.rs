//! The runner owns the membership: it starts and ends the slices' tasks and routes batches to them.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tokio_util::sync::CancellationToken;

use super::buffer::{Buffered, Flow, Progress};
use super::lag::{self, Owned};
use super::slice::Slice;
use super::{Stage, StageError};
use crate::backoff::Backoff;
use crate::{Batch, Committer, Event, Given, Group, LogError, Offset, SharedLog};

/// How long the slices' tasks may take to finish at shutdown.
const SHUTDOWN: Duration = Duration::from_secs(30);
/// How long leaving the group may take after that.
const LEAVING: Duration = Duration::from_secs(5);

pub(super) struct Runner<'a> {
    log: &'a SharedLog,
    stage: &'a Arc<dyn Stage>,
    group: Box<dyn Group>,
    committer: Arc<dyn Committer>,
    slices: BTreeMap<u32, Running>,
    /// Dropping them aborts them.
    tasks: JoinSet<Ended>,
    /// Of slices that failed without having committed.
    backoffs: BTreeMap<u32, Backoff>,
    owned: Owned,
    flow: mpsc::UnboundedSender<Flow>,
    flows: mpsc::UnboundedReceiver<Flow>,
}

struct Running {
    lease: u64,
    batches: mpsc::UnboundedSender<Buffered>,
    closing: CancellationToken,
    progress: Arc<Progress>,
    task: AbortHandle,
    ended: bool,
}

struct Ended {
    slice: u32,
    lease: u64,
    result: Result<(), StageError>,
}

impl<'a> Runner<'a> {
    pub(super) fn new(log: &'a SharedLog, stage: &'a Arc<dyn Stage>, group: Box<dyn Group>) -> Self {
        let (flow, flows) = mpsc::unbounded_channel();
        Self {
            log,
            stage,
            committer: group.committer(),
            group,
            slices: BTreeMap::new(),
            tasks: JoinSet::new(),
            backoffs: BTreeMap::new(),
            owned: Owned::default(),
            flow,
            flows,
        }
    }

    /// Runs until shutdown, or until the backend fails the member.
    pub(super) async fn run(mut self, shutdown: &CancellationToken) -> Result<(), LogError> {
        let report =
            lag::report(self.log.clone(), self.stage.group(), self.stage.inputs(), self.owned.clone());
        let mut reporting = JoinSet::new();
        reporting.spawn(report);
        while !shutdown.is_cancelled() {
            tokio::select! {
                () = shutdown.cancelled() => {}
                event = self.group.next() => self.handle(event?),
                Some(ended) = self.tasks.join_next() => self.ended(ended.ok()),
                Some(flow) = self.flows.recv() => self.flow(flow),
            }
        }
        self.finish().await;
        Ok(())
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Given(given) => given.into_iter().for_each(|given| self.start(given)),
            Event::Closing(slices) => slices.into_iter().for_each(|slice| self.close(slice)),
            Event::Taken(slices) => slices.into_iter().for_each(|slice| self.taken(slice)),
            Event::Batch { slice, lease, batch } => self.route(slice, lease, batch),
            Event::Reached { slice, lease, input, next } => self.reached(slice, lease, input, next),
        }
    }

    fn start(&mut self, given: Given) {
        self.drop_slice(given.slice);
        let progress = Arc::new(Progress::new(&given, self.flow.clone()));
        let (batches, receiver) = mpsc::unbounded_channel();
        let closing = CancellationToken::new();
        let Given { slice: number, positions, note, lease } = given;
        let slice = Slice {
            stage: self.stage.group(),
            inputs: self.stage.inputs(),
            number,
            lease,
            log: self.log.clone(),
            committer: Arc::clone(&self.committer),
            positions,
            note,
            batches: receiver,
            closing: closing.clone(),
            progress: Arc::clone(&progress),
        };
        // A batch of the lease before may have paused an input after the group had forgotten that lease's pauses.
        for input in 0..self.stage.inputs().len() {
            self.group.pause(number, input, false);
        }
        let pause = self.backoffs.get(&number).and_then(Backoff::pause);
        let task = self.tasks.spawn(run_slice(Arc::clone(self.stage), slice, pause));
        self.owned.insert(number, Arc::clone(&progress));
        self.slices.insert(number, Running { lease, batches, closing, progress, task, ended: false });
    }

    fn route(&mut self, slice: u32, lease: u64, batch: Batch) {
        let Some(running) = self.slices.get(&slice) else { return };
        if running.lease != lease || running.ended {
            return;
        }
        let input = batch.input;
        let buffered = Buffered::from(batch);
        let pause = running.progress.put(&buffered);
        // A task that has just ended takes no more; its batches come again.
        let _ = running.batches.send(buffered);
        if pause {
            self.group.pause(slice, input, true);
            if running.progress.resumes_at_once(input) {
                self.group.pause(slice, input, running.progress.is_paused(input));
            }
        }
    }

    fn reached(&self, slice: u32, lease: u64, input: usize, next: Offset) {
        if let Some(running) = self.slices.get(&slice).filter(|running| running.lease == lease) {
            running.progress.reach(input, next);
        }
    }

    fn flow(&mut self, Flow { slice, lease, input }: Flow) {
        if let Some(running) = self.slices.get(&slice).filter(|running| running.lease == lease) {
            self.group.pause(slice, input, running.progress.is_paused(input));
        }
    }

    fn close(&mut self, slice: u32) {
        match self.slices.get(&slice) {
            Some(running) if !running.ended => running.closing.cancel(),
            _ => self.group.closed(slice),
        }
    }

    fn taken(&mut self, slice: u32) {
        if let Some(running) = self.slices.get(&slice)
            && !running.ended
            && !running.closing.is_cancelled()
        {
            // Its commit was lost, and its task has not got round to saying so.
            self.failed(slice, "its slice was taken back");
        }
        self.drop_slice(slice);
    }

    fn drop_slice(&mut self, slice: u32) {
        if let Some(running) = self.slices.remove(&slice) {
            running.task.abort();
            self.owned.remove(slice);
        }
    }

    /// A task has ended by itself; `None` when it was aborted.
    fn ended(&mut self, ended: Option<Ended>) {
        let Some(Ended { slice, lease, result }) = ended else { return };
        let Some(running) = self.slices.get_mut(&slice).filter(|running| running.lease == lease) else {
            return;
        };
        running.ended = true;
        let asked = running.closing.is_cancelled();
        let error = match result {
            Ok(()) if asked => {
                self.backoffs.remove(&slice);
                return self.group.closed(slice);
            }
            Ok(()) => StageError::Dependency("its task returned before it was asked to".to_owned()),
            Err(error) => error,
        };
        self.failed(slice, &error.to_string());
        match error {
            _ if asked => self.group.closed(slice),
            // The group takes it back by itself.
            StageError::Lost(_) => {}
            StageError::Log(_) | StageError::Dependency(_) => self.group.reset(slice),
        }
    }

    fn failed(&mut self, slice: u32, error: &str) {
        let backoff = self.backoffs.entry(slice).or_default();
        if self.slices.get(&slice).is_some_and(|running| running.progress.has_committed()) {
            *backoff = Backoff::default();
        }
        let pause = backoff.next();
        let stage = self.stage.group();
        metrics::counter!("geopush_stage_restarts_total", "stage" => stage).increment(1);
        tracing::warn!(
            error,
            stage,
            slice,
            ?pause,
            "a slice failed and starts again from its last commit; if it goes on, look into what the error names"
        );
    }

    /// Lets every task finish what it has in hand, then leaves.
    async fn finish(mut self) {
        let deadline = Instant::now() + SHUTDOWN;
        for running in self.slices.values() {
            running.closing.cancel();
        }
        let finishing = async {
            while !self.tasks.is_empty() {
                tokio::select! {
                    // The group goes on being served, or it would throw the member out before its last commits.
                    event = self.group.next() => match event {
                        Ok(Event::Taken(slices)) => slices.into_iter().for_each(|slice| {
                            if let Some(running) = self.slices.remove(&slice) {
                                running.task.abort();
                            }
                        }),
                        Ok(Event::Closing(_) | Event::Given(_) | Event::Batch { .. } | Event::Reached { .. }) => {}
                        Err(_) => return,
                    },
                    Some(ended) = self.tasks.join_next() => {
                        if let Ok(Ended { slice, result: Err(error), .. }) = ended {
                            let stage = self.stage.group();
                            tracing::warn!(%error, stage, slice, "a slice failed at shutdown; it goes on after the next start");
                        }
                    }
                }
            }
        };
        if timeout_at(deadline, finishing).await.is_err() {
            let stage = self.stage.group();
            tracing::warn!(stage, "slices did not finish in time; they go on from their last commits");
        }
        // The group must not wait for ever for a backend that is gone.
        let _ = timeout(LEAVING, self.group.leave()).await;
    }
}

async fn run_slice(stage: Arc<dyn Stage>, slice: Slice, pause: Option<Duration>) -> Ended {
    let (number, lease) = (slice.number, slice.lease);
    let ended = |result| Ended { slice: number, lease, result };
    if let Some(pause) = pause {
        let closing = slice.closing.clone();
        tokio::select! {
            () = closing.cancelled() => return ended(Ok(())),
            () = sleep(pause) => {}
        }
    }
    let result = AssertUnwindSafe(stage.run(slice)).catch_unwind().await;
    ended(result.unwrap_or_else(|_| {
        Err(StageError::Dependency(
            "its task panicked; the message stands above; please report it".to_owned(),
        ))
    }))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::Mutex;

    use async_trait::async_trait;
    use bytes::Bytes;
    use futures::future::BoxFuture;
    use geopush_embedded::Database;

    use super::*;
    use crate::{Commit, EmbeddedLog, Lost, Received, Topic};

    /// A group whose events the test makes up, and that remembers what is paused.
    #[derive(Clone, Default)]
    struct Scripted {
        paused: Arc<Mutex<BTreeSet<(u32, usize)>>>,
    }

    #[async_trait]
    impl Group for Scripted {
        async fn next(&mut self) -> Result<Event, LogError> {
            std::future::pending().await
        }

        fn committer(&self) -> Arc<dyn Committer> {
            Arc::new(self.clone())
        }

        fn pause(&mut self, slice: u32, input: usize, paused: bool) {
            let mut all = self.paused.lock().unwrap();
            if paused {
                all.insert((slice, input))
            } else {
                all.remove(&(slice, input))
            };
        }

        fn closed(&mut self, _slice: u32) {}

        fn reset(&mut self, _slice: u32) {}

        async fn leave(self: Box<Self>) {}
    }

    impl Committer for Scripted {
        fn commit(&self, _commit: Commit) -> BoxFuture<'static, Result<(), Lost>> {
            std::future::pending().boxed()
        }

        fn holds(&self, _slice: u32, _lease: u64) -> bool {
            true
        }
    }

    /// Takes no batch.
    struct Idle;

    #[async_trait]
    impl Stage for Idle {
        fn group(&self) -> &'static str {
            "idle"
        }

        fn inputs(&self) -> &'static [Topic] {
            &[Topic::Pings]
        }

        async fn run(&self, _slice: Slice) -> Result<(), StageError> {
            std::future::pending().await
        }
    }

    #[tokio::test]
    async fn a_pause_of_an_old_lease_does_not_outlive_it() {
        let dir = tempfile::tempdir().unwrap();
        let log: SharedLog =
            Arc::new(EmbeddedLog::open(Database::open(dir.path()).unwrap(), 1).await.unwrap());
        let stage: Arc<dyn Stage> = Arc::new(Idle);
        let group = Scripted::default();
        let mut runner = Runner::new(&log, &stage, Box::new(group.clone()));
        let given =
            |lease| Event::Given(vec![Given { slice: 0, positions: vec![0], note: String::new(), lease }]);
        let record = Received { offset: 0, appended_at_ms: 0, key: Bytes::new(), value: None, trace: None };
        let batch = Batch { input: 0, records: vec![record; 10_000], next: 0 };

        runner.handle(given(1));
        runner.handle(Event::Batch { slice: 0, lease: 1, batch });
        assert_eq!(*group.paused.lock().unwrap(), BTreeSet::from([(0, 0)]), "it is more than is buffered");
        runner.handle(Event::Taken(vec![0]));
        runner.handle(given(2));
        assert!(group.paused.lock().unwrap().is_empty(), "nothing of the new lease is buffered");
    }
}
