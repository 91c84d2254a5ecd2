//! Threads that read, each with a consumer of its own. A thread that has done its read waits for another for a while,
//! its connections warm: restores and short reads come often and many at once.

mod reading;

use std::sync::mpsc::{self as threads, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use rdkafka::consumer::BaseConsumer;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::Core;
use super::client::Use;
use super::context::Context;
use super::ends::Ends;
use super::options::unusable;
use crate::{LogError, Offset, Received};

/// At most so many threads wait for a read,
const IDLE_THREADS: usize = 16;
/// each for so many steps
const IDLE_STEPS: u32 = 30;
/// of so long, after each of which its consumer is looked after.
const IDLE_STEP: Duration = Duration::from_secs(1);

pub(super) type Consumer = BaseConsumer<Context>;

/// A partition to read: from here to there.
pub(super) struct Span {
    pub(super) topic: String,
    pub(super) partition: i32,
    pub(super) from: Offset,
    /// `None`: follow.
    pub(super) until: Option<Offset>,
}

/// A read, as its thread gets it.
pub(super) struct Job {
    pub(super) spans: Vec<Span>,
    pub(super) chunks: mpsc::Sender<Result<Chunk, LogError>>,
    pub(super) ends: Ends,
    pub(super) closed: CancellationToken,
}

/// Records of one span, perhaps none, and where to go on.
pub(super) struct Chunk {
    pub(super) span: usize,
    pub(super) records: Vec<Received>,
    pub(super) next: Offset,
}

/// The threads that wait for a read.
#[derive(Default)]
pub(super) struct Readers {
    idle: Mutex<Vec<(u64, Sender<Job>)>>,
    names: std::sync::atomic::AtomicU64,
}

impl Readers {
    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<(u64, Sender<Job>)>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps a thread for the next read. False: there are enough.
    fn keep(&self, name: u64, thread: Sender<Job>) -> bool {
        let mut idle = self.idle();
        let room = idle.len() < IDLE_THREADS;
        if room {
            idle.push((name, thread));
        }
        room
    }

    /// Whether the thread was waiting still; it waits no longer.
    fn forget(&self, name: u64) -> bool {
        let mut idle = self.idle();
        let before = idle.len();
        idle.retain(|(other, _)| *other != name);
        idle.len() < before
    }
}

impl Core {
    /// Begins a read on a thread that waits, or on a new one.
    pub(super) fn start_read(&self, mut job: Job) -> Result<(), LogError> {
        // One that follows stays, and asks the broker less often.
        let follows = job.spans.iter().any(|span| span.until.is_none());
        let idle = || if follows { None } else { self.readers.idle().pop() };
        while let Some((_, thread)) = idle() {
            match thread.send(job) {
                Ok(()) => return Ok(()),
                Err(returned) => job = returned.0,
            }
        }
        let mut config = self.client(Use::Read);
        // librdkafka reads for groups alone; nothing is ever committed to this one and nobody joins it.
        config.set("group.id", format!("{}geopush.read", self.options.prefix));
        if follows {
            config.set("fetch.wait.max.ms", "100");
        }
        let pool = if follows { Weak::new() } else { Arc::downgrade(&self.readers) };
        let name = self.readers.names.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let run = move || match config.create_with_context::<_, Consumer>(Context::new(Use::Read)) {
            Ok(consumer) => work(&consumer, job, name, &pool),
            // Who asked may have gone away.
            Err(error) => drop(job.chunks.blocking_send(Err(unusable(error)))),
        };
        std::thread::Builder::new()
            .name("kafka-read".to_owned())
            .spawn(run)
            .map(drop)
            .map_err(|error| LogError::Backend(format!("no thread could be started: {error}")))
    }
}

fn work(consumer: &Consumer, first: Job, name: u64, pool: &Weak<Readers>) {
    let (sender, jobs) = threads::channel();
    let mut next = Some(first);
    while let Some(job) = next {
        let fit = reading::read(consumer, job);
        let kept = fit && pool.upgrade().is_some_and(|readers| readers.keep(name, sender.clone()));
        if !kept {
            return;
        }
        next = wait(consumer, &jobs, name, pool);
    }
}

fn wait(consumer: &Consumer, jobs: &Receiver<Job>, name: u64, pool: &Weak<Readers>) -> Option<Job> {
    for _ in 0..IDLE_STEPS {
        match jobs.recv_timeout(IDLE_STEP) {
            Ok(job) => return Some(job),
            Err(RecvTimeoutError::Disconnected) => return None,
            Err(RecvTimeoutError::Timeout) => drop(consumer.poll(Duration::ZERO)),
        }
        if pool.strong_count() == 0 {
            return None;
        }
    }
    // Whoever took this thread from the pool sends it a job.
    if pool.upgrade()?.forget(name) { None } else { jobs.recv().ok() }
}
