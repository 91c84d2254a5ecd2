//! What the system does, seen as it does it: each topic of the way read to its end and on, and the sandbox's pushes.
//!
//! Every record is kept with the moment at which it was seen, a moment after it was committed; latencies are reckoned
//! afterwards ([`super::stages`]), so that seeing costs the measured process as little as it can.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use geopush_log::{Cursor, SharedLog, Topic, Until};
use geopush_model::{CauseId, Delivery, Ping, Push, PushId, Transition, Wire};
use geopush_sandbox::Sandbox;
use geopush_service::BoxError;
use geopush_service::shutdown::Shutdown;
use tokio::task::JoinHandle;

/// How long a reader waits for records before it looks whether to end.
const WAIT: Duration = Duration::from_millis(200);
/// Pushes that are taken from the sandbox at a time.
const PAGE: usize = 1_000;

/// Something, and when it was seen.
#[derive(Clone, Debug)]
pub struct Seen<T> {
    /// When.
    pub at: Instant,
    /// What.
    pub what: T,
}

/// A push that the sandbox took.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SentPush {
    /// Its id, if it has one of ours.
    pub push: Option<PushId>,
    /// The phone's address.
    pub token: String,
}

/// Everything that was seen, each list in the order in which it was.
#[derive(Clone, Debug, Default)]
pub struct Observed {
    /// Of the transitions' topic.
    pub transitions: Vec<Seen<Transition>>,
    /// Of the pushes' topic: a push and its cause.
    pub pushes: Vec<Seen<(PushId, CauseId)>>,
    /// At the sandbox.
    pub sent: Vec<Seen<SentPush>>,
    /// Of the deliveries' topic.
    pub deliveries: Vec<Seen<Delivery>>,
}

/// How much was seen until now.
#[derive(Debug, Default)]
pub struct Counts {
    /// Transitions.
    pub transitions: AtomicU64,
    /// Pushes decided on.
    pub pushes: AtomicU64,
    /// Pushes that the sandbox took.
    pub sent: AtomicU64,
    /// Deliveries.
    pub deliveries: AtomicU64,
}

impl Counts {
    /// All of them, in the order of the way.
    pub fn all(&self) -> [u64; 4] {
        [&self.transitions, &self.pushes, &self.sent, &self.deliveries]
            .map(|count| count.load(Ordering::Relaxed))
    }
}

type Task<T> = JoinHandle<Result<Vec<Seen<T>>, BoxError>>;

/// Observers at work.
pub struct Observers {
    /// How much they have seen.
    pub counts: Arc<Counts>,
    stop: Shutdown,
    transitions: Task<Transition>,
    pushes: Task<(PushId, CauseId)>,
    sent: Task<SentPush>,
    deliveries: Task<Delivery>,
}

impl Observers {
    /// Begins to look, from the beginning of each topic.
    pub fn start(log: &SharedLog, sandbox: &Arc<Sandbox>) -> Self {
        let (counts, stop) = (Arc::new(Counts::default()), Shutdown::new());
        let follow = || Follow { log: Arc::clone(log), counts: Arc::clone(&counts), stop: stop.clone() };
        let transitions =
            follow().records(Topic::Transitions, |t: Transition| t, |counts| &counts.transitions);
        let pushes =
            follow().records(Topic::Pushes, |p: Push| (p.id, p.origin.cause), |counts| &counts.pushes);
        let deliveries = follow().records(Topic::Deliveries, |d: Delivery| d, |counts| &counts.deliveries);
        Self {
            transitions: tokio::spawn(transitions),
            pushes: tokio::spawn(pushes),
            sent: tokio::spawn(watch(Arc::clone(sandbox), Arc::clone(&counts), stop.clone())),
            deliveries: tokio::spawn(deliveries),
            counts,
            stop,
        }
    }

    /// Ends, and says what was seen.
    ///
    /// # Errors
    /// When a topic could not be read, or holds what can't be.
    pub async fn finish(self) -> Result<Observed, BoxError> {
        self.stop.request();
        Ok(Observed {
            transitions: self.transitions.await??,
            pushes: self.pushes.await??,
            sent: self.sent.await??,
            deliveries: self.deliveries.await??,
        })
    }
}

struct Follow {
    log: SharedLog,
    counts: Arc<Counts>,
    stop: Shutdown,
}

impl Follow {
    async fn records<W: Wire, T>(
        self,
        topic: Topic,
        keep: fn(W) -> T,
        count: fn(&Counts) -> &AtomicU64,
    ) -> Result<Vec<Seen<T>>, BoxError> {
        let mut reader = self.log.read(beginnings(&self.log, topic), Until::Never).await?;
        let mut all = Vec::new();
        while !self.stop.is_requested() {
            let Some((_, records)) = reader.next(WAIT).await? else { continue };
            let at = Instant::now();
            for value in records.iter().filter_map(|record| record.value.as_ref()) {
                all.push(Seen { at, what: keep(W::decode(value)?) });
            }
            count(&self.counts).store(all.len() as u64, Ordering::Relaxed);
        }
        Ok(all)
    }
}

async fn watch(
    sandbox: Arc<Sandbox>,
    counts: Arc<Counts>,
    stop: Shutdown,
) -> Result<Vec<Seen<SentPush>>, BoxError> {
    let mut all = Vec::new();
    while !stop.is_requested() {
        if !sandbox.wait_for_sent(all.len() as u64 + 1, WAIT).await {
            continue;
        }
        let sent = sandbox.sent_after(all.len() as u64, PAGE);
        let at = Instant::now();
        if sent.first().is_some_and(|first| first.seq != all.len() as u64 + 1) {
            return Err("the sandbox forgot pushes before they were seen; lower the rate".into());
        }
        all.extend(sent.into_iter().map(|sent| {
            let push = sent.push_id.and_then(|id| id.parse().ok());
            Seen { at, what: SentPush { push, token: sent.token } }
        }));
        counts.sent.store(all.len() as u64, Ordering::Relaxed);
    }
    Ok(all)
}

/// All pings in the log, each partition's in its order.
///
/// # Errors
/// When the topic can't be read, or holds what can't be.
pub async fn pings(log: &SharedLog) -> Result<Vec<Ping>, BoxError> {
    let mut reader = log.read(beginnings(log, Topic::Pings), Until::Now).await?;
    let mut all = Vec::new();
    while !reader.done() {
        for record in reader.next(WAIT).await?.into_iter().flat_map(|(_, records)| records) {
            all.extend(record.value.map(|value| Ping::decode(&value)).transpose()?);
        }
    }
    Ok(all)
}

fn beginnings(log: &SharedLog, topic: Topic) -> Vec<Cursor> {
    (0..log.partitions(topic)).map(|partition| Cursor { topic, partition, offset: 0 }).collect()
}
