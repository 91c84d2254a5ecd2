//! A log that another is seen through: what a stage takes and commits, and when.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use geopush_log::{
    AppendError, Commit, Committer, Cursor, Event, Group, Log, LogError, Lost, Offset, Reader, Record,
    SharedLog, Topic, Until,
};

use super::timeline::Timeline;

/// The log, seen through.
pub struct Watched {
    log: SharedLog,
    /// What was seen.
    pub seen: Arc<Seen>,
}

/// What was seen of the stages that joined.
#[derive(Default)]
pub struct Seen {
    /// Whether what was published is kept. It costs what a stage by itself does not.
    keeps: bool,
    state: Mutex<State>,
    /// Records behind committed positions.
    pub done: AtomicU64,
}

#[derive(Default)]
struct State {
    began: Option<Instant>,
    marks: Vec<(Instant, u64)>,
    positions: BTreeMap<u32, Offset>,
    /// By slice, in the order of the commits.
    outputs: BTreeMap<u32, Vec<Record>>,
    transitions: u64,
    failed: u64,
}

/// What a commit publishes.
struct Published {
    transitions: u64,
    /// Empty unless they are kept.
    outputs: Vec<Record>,
}

impl Seen {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn batch(&self) {
        self.lock().began.get_or_insert_with(Instant::now);
    }

    fn committed(&self, slice: u32, position: Offset, published: Published) {
        let mut state = self.lock();
        state.positions.insert(slice, position);
        state.outputs.entry(slice).or_default().extend(published.outputs);
        state.transitions += published.transitions;
        let done = state.positions.values().sum();
        state.marks.push((Instant::now(), done));
        self.done.store(done, Ordering::Relaxed);
    }

    fn published(&self, outputs: &[Record]) -> Published {
        let transitions = outputs.iter().filter(|record| record.topic == Topic::Transitions).count() as u64;
        Published { transitions, outputs: if self.keeps { outputs.to_vec() } else { Vec::new() } }
    }

    /// All of it.
    pub fn take(&self) -> Taken {
        let State { began, marks, outputs, transitions, failed, .. } = std::mem::take(&mut *self.lock());
        let timeline = Timeline { began: began.unwrap_or_else(Instant::now), marks };
        Taken { timeline, outputs, transitions, failed }
    }
}

/// What was seen of stages, in the end.
pub struct Taken {
    /// What was committed when.
    pub timeline: Timeline,
    /// What was published, by slice, if that was kept.
    pub outputs: BTreeMap<u32, Vec<Record>>,
    /// How many transitions were.
    pub transitions: u64,
    /// Commits that failed.
    pub failed: u64,
}

impl Watched {
    /// Looks at what stages do with this log, whose partitions' offsets have no holes in their first input.
    pub fn new(log: SharedLog) -> Self {
        Self { log, seen: Arc::default() }
    }

    /// The same, and keeps what they publish.
    pub fn keeping(log: SharedLog) -> Self {
        Self { log, seen: Arc::new(Seen { keeps: true, ..Seen::default() }) }
    }
}

#[async_trait]
impl Log for Watched {
    async fn append(&self, records: Vec<Record>) -> Result<(), AppendError> {
        self.log.append(records).await
    }

    async fn join(&self, group: &str, inputs: &[Topic]) -> Result<Box<dyn Group>, LogError> {
        let group = self.log.join(group, inputs).await?;
        Ok(Box::new(WatchedGroup { group, seen: Arc::clone(&self.seen) }))
    }

    async fn end(&self, topic: Topic, partition: u32) -> Result<Offset, LogError> {
        self.log.end(topic, partition).await
    }

    async fn read(&self, from: Vec<Cursor>, until: Until) -> Result<Box<dyn Reader>, LogError> {
        self.log.read(from, until).await
    }

    fn partitions(&self, topic: Topic) -> u32 {
        self.log.partitions(topic)
    }

    async fn close(&self) {
        self.log.close().await;
    }
}

struct WatchedGroup {
    group: Box<dyn Group>,
    seen: Arc<Seen>,
}

#[async_trait]
impl Group for WatchedGroup {
    async fn next(&mut self) -> Result<Event, LogError> {
        let event = self.group.next().await?;
        if matches!(event, Event::Batch { .. }) {
            self.seen.batch();
        }
        Ok(event)
    }

    fn committer(&self) -> Arc<dyn Committer> {
        Arc::new(WatchedCommitter { committer: self.group.committer(), seen: Arc::clone(&self.seen) })
    }

    fn pause(&mut self, slice: u32, input: usize, paused: bool) {
        self.group.pause(slice, input, paused);
    }

    fn closed(&mut self, slice: u32) {
        self.group.closed(slice);
    }

    fn reset(&mut self, slice: u32) {
        self.group.reset(slice);
    }

    async fn leave(self: Box<Self>) {
        self.group.leave().await;
    }
}

struct WatchedCommitter {
    committer: Arc<dyn Committer>,
    seen: Arc<Seen>,
}

impl Committer for WatchedCommitter {
    fn commit(&self, commit: Commit) -> BoxFuture<'static, Result<(), Lost>> {
        let seen = Arc::clone(&self.seen);
        let (slice, position) = (commit.slice, commit.positions.first().copied().unwrap_or(0));
        let published = seen.published(&commit.outputs);
        let committed = self.committer.commit(commit);
        async move {
            let result = committed.await;
            match &result {
                Ok(()) => seen.committed(slice, position, published),
                Err(_) => seen.lock().failed += 1,
            }
            result
        }
        .boxed()
    }

    fn holds(&self, slice: u32, lease: u64) -> bool {
        self.committer.holds(slice, lease)
    }
}

/// Waits until so many are done; fails when nothing more happens.
///
/// # Errors
/// When nothing was done for `patience`.
pub async fn wait_for(done: &AtomicU64, total: u64, patience: Duration) -> Result<(), String> {
    let mut last = (0, Instant::now());
    loop {
        let now = done.load(Ordering::Relaxed);
        if now >= total {
            return Ok(());
        }
        if now != last.0 {
            last = (now, Instant::now());
        } else if last.1.elapsed() > patience {
            return Err(format!(
                "{now} of {total} records are done, and nothing happened for {} s; look after the servers",
                patience.as_secs()
            ));
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
