//! A log of pushes in memory, so that nothing but sending is measured: made before the clock runs, or as they are read
//! where there are too many to be held.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use futures::FutureExt as _;
use futures::future::{BoxFuture, ready};
use geopush_log::{
    AppendError, Batch, Commit, Committer, Cursor, Event, Given, Group, Log, LogError, Lost, Offset, Reader,
    Received, Record, Topic, Until,
};
use geopush_model::{Delivery, Outcome, Push, Wire as _};

use crate::latency::Latencies;

/// Records in a batch at most, as Kafka's backend makes them.
const BATCH: u64 = 1_000;
/// So many pushes are made beforehand at most: some 600 bytes each.
const HELD: u64 = 1_000_000;
/// Where pushes are put off to.
const RETRIES: [Topic; 3] = [Topic::PushRetries1m, Topic::PushRetries10m, Topic::PushRetries1h];
/// How often it is looked whether more pushes are due.
const TICK: Duration = Duration::from_millis(1);

/// Makes the push of a number.
pub type Make = Arc<dyn Fn(u64) -> Push + Send + Sync>;

/// Which pushes there are, and when.
#[derive(Clone)]
pub struct Plan {
    /// Slices.
    pub partitions: u32,
    /// How many.
    pub pushes: u64,
    /// So many are due a second; none: all are, at once.
    pub rate: Option<f64>,
    /// Whether the end of each is read, to tell how long it took and how it ended.
    pub looks: bool,
    /// What they are.
    pub make: Make,
}

/// What became of the pushes.
#[derive(Default)]
pub struct Ends {
    /// How many have ended.
    pub ended: AtomicU64,
    /// How many were put off to a topic of retries, from which nothing comes here.
    pub put_off: AtomicU64,
    looked: Mutex<BTreeMap<String, Looked>>,
}

/// What was seen of the ends of one app's pushes.
#[derive(Clone, Default)]
pub struct Looked {
    /// How many were accepted.
    pub accepted: u64,
    /// How many ended otherwise.
    pub others: u64,
    /// From when a push was due to when its end was durable.
    pub latencies: Latencies,
    /// When the last ended.
    pub last: Option<Instant>,
}

/// The pushes, and what became of them.
pub struct Feed {
    plan: Plan,
    /// Each with its key, by number; none where there are too many.
    made: Arc<Vec<Pair>>,
    began: Arc<OnceLock<Instant>>,
    ends: Arc<Ends>,
}

/// A record's key and value.
type Pair = (Bytes, Bytes);

fn pair(push: &Push) -> Pair {
    (push.key().to_bytes(), push.encode())
}

impl Feed {
    /// Nothing has been read yet.
    pub fn new(plan: Plan) -> Self {
        let held = if plan.pushes <= HELD { plan.pushes } else { 0 };
        let made = Arc::new((0..held).map(|number| pair(&(plan.make)(number))).collect());
        Self { plan, made, began: Arc::default(), ends: Arc::default() }
    }

    /// What became of the pushes.
    pub fn ends(&self) -> Arc<Ends> {
        Arc::clone(&self.ends)
    }
}

impl Ends {
    /// By app.
    pub fn looked(&self) -> BTreeMap<String, Looked> {
        self.looked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn take(&self, records: &[Record], plan: &Plan, began: Option<Instant>) {
        let of = |topic| records.iter().filter(move |record| record.topic == topic);
        if !plan.looks {
            // Each that is put off is one delivery, too, and no end.
            let put_off = records.iter().filter(|record| RETRIES.contains(&record.topic)).count();
            self.put_off.fetch_add(put_off as u64, Ordering::Relaxed);
            self.ended.fetch_add((of(Topic::Deliveries).count() - put_off) as u64, Ordering::Relaxed);
            return;
        }
        let mut ended = 0;
        for record in of(Topic::Deliveries) {
            let Some(Ok(delivery)) = record.value.as_deref().map(Delivery::decode) else { continue };
            if !delivery.outcome.is_end() {
                self.put_off.fetch_add(1, Ordering::Relaxed);
                continue;
            }
            ended += 1;
            let mut looked = self.looked.lock().unwrap_or_else(PoisonError::into_inner);
            let looked = looked.entry(delivery.app.clone()).or_default();
            looked.last = Some(Instant::now());
            match delivery.outcome {
                Outcome::Accepted => looked.accepted += 1,
                _ => looked.others += 1,
            }
            if let (Some(began), Some(rate)) = (began, plan.rate) {
                // A push's id is its number.
                let due = Duration::from_secs_f64(delivery.push.0.as_u128() as f64 / rate);
                looked.latencies.record(began.elapsed().saturating_sub(due));
            }
        }
        self.ended.fetch_add(ended, Ordering::Relaxed);
    }
}

#[async_trait]
impl Log for Feed {
    async fn append(&self, records: Vec<Record>) -> Result<(), AppendError> {
        self.ends.take(&records, &self.plan, self.began.get().copied());
        Ok(())
    }

    async fn join(&self, _group: &str, inputs: &[Topic]) -> Result<Box<dyn Group>, LogError> {
        let input = inputs.iter().position(|topic| *topic == Topic::Pushes);
        let input = input.ok_or_else(|| LogError::Backend("the stage reads no pushes".to_owned()))?;
        let given = (0..self.plan.partitions).map(|slice| Given {
            slice,
            positions: vec![0; inputs.len()],
            note: String::new(),
            lease: 1,
        });
        Ok(Box::new(Reading {
            plan: self.plan.clone(),
            made: Arc::clone(&self.made),
            input,
            given: Some(given.collect()),
            next: BTreeMap::new(),
            turn: 0,
            paused: BTreeSet::new(),
            began: Arc::clone(&self.began),
            ends: Arc::clone(&self.ends),
        }))
    }

    /// Nothing was there before it began, so nothing has to be looked for in a ledger.
    async fn end(&self, _topic: Topic, _partition: u32) -> Result<Offset, LogError> {
        Ok(0)
    }

    async fn read(&self, from: Vec<Cursor>, _until: Until) -> Result<Box<dyn Reader>, LogError> {
        Ok(Box::new(Nothing(from)))
    }

    fn partitions(&self, _topic: Topic) -> u32 {
        self.plan.partitions
    }

    async fn close(&self) {}
}

struct Reading {
    plan: Plan,
    made: Arc<Vec<Pair>>,
    input: usize,
    given: Option<Vec<Given>>,
    /// Where each slice goes on.
    next: BTreeMap<u32, u64>,
    /// Slices take turns.
    turn: u32,
    paused: BTreeSet<u32>,
    began: Arc<OnceLock<Instant>>,
    ends: Arc<Ends>,
}

impl Reading {
    fn due(&self) -> u64 {
        let began = *self.began.get_or_init(Instant::now);
        match self.plan.rate {
            Some(rate) => ((began.elapsed().as_secs_f64() * rate) as u64).min(self.plan.pushes),
            None => self.plan.pushes,
        }
    }

    fn batch(&mut self) -> Option<Event> {
        let (due, slices) = (self.due(), self.plan.partitions);
        for _ in 0..slices {
            let slice = self.turn % slices;
            self.turn = self.turn.wrapping_add(1);
            if self.paused.contains(&slice) {
                continue;
            }
            let from = *self.next.entry(slice).or_default();
            // Those below `due` that are this slice's: its number, and each so many after.
            let here = due.saturating_sub(u64::from(slice)).div_ceil(u64::from(slices));
            let to = here.min(from + BATCH);
            if from >= to {
                continue;
            }
            let records = (from..to).map(|offset| self.record(slice, offset)).collect();
            self.next.insert(slice, to);
            let batch = Batch { input: self.input, records, next: to };
            return Some(Event::Batch { slice, lease: 1, batch });
        }
        None
    }

    fn record(&self, slice: u32, offset: Offset) -> Received {
        let number = offset * u64::from(self.plan.partitions) + u64::from(slice);
        let (key, value) = match self.made.get(number as usize) {
            Some(made) => made.clone(),
            None => pair(&(self.plan.make)(number)),
        };
        Received { offset, appended_at_ms: 0, key, value: Some(value), trace: None }
    }
}

#[async_trait]
impl Group for Reading {
    async fn next(&mut self) -> Result<Event, LogError> {
        if let Some(given) = self.given.take() {
            return Ok(Event::Given(given));
        }
        loop {
            if let Some(batch) = self.batch() {
                return Ok(batch);
            }
            tokio::time::sleep(TICK).await;
        }
    }

    fn committer(&self) -> Arc<dyn Committer> {
        let (plan, began, ends) = (self.plan.clone(), Arc::clone(&self.began), Arc::clone(&self.ends));
        Arc::new(Taken { plan, began, ends })
    }

    fn pause(&mut self, slice: u32, input: usize, paused: bool) {
        if input != self.input {
            return;
        }
        if paused {
            self.paused.insert(slice);
        } else {
            self.paused.remove(&slice);
        }
    }

    fn closed(&mut self, _slice: u32) {}

    fn reset(&mut self, _slice: u32) {}

    async fn leave(self: Box<Self>) {}
}

/// Takes every commit.
struct Taken {
    plan: Plan,
    began: Arc<OnceLock<Instant>>,
    ends: Arc<Ends>,
}

impl Committer for Taken {
    fn commit(&self, commit: Commit) -> BoxFuture<'static, Result<(), Lost>> {
        self.ends.take(&commit.outputs, &self.plan, self.began.get().copied());
        ready(Ok(())).boxed()
    }

    fn holds(&self, _slice: u32, _lease: u64) -> bool {
        true
    }
}

/// A read of topics that hold nothing.
struct Nothing(Vec<Cursor>);

#[async_trait]
impl Reader for Nothing {
    async fn next(&mut self, _wait: Duration) -> Result<Option<(usize, Vec<Received>)>, LogError> {
        Ok(None)
    }

    fn position(&self, index: usize) -> Offset {
        self.0.get(index).map_or(0, |cursor| cursor.offset)
    }

    fn done(&self) -> bool {
        true
    }
}
