//! A log of deliveries in memory, so that nothing but the stage and the store is measured.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use async_trait::async_trait;
use futures::FutureExt as _;
use futures::future::{BoxFuture, pending, ready};
use geopush_log::{
    AppendError, Batch, Commit, Committer, Cursor, Event, Given, Group, Log, LogError, Lost, Offset, Reader,
    Received, Record, Topic, Until, partition_of,
};

/// Records in a batch, as Kafka's backend makes them.
const BATCH: usize = 1_000;

/// The deliveries, and nothing else. Whatever is committed is taken.
pub struct Feed {
    slices: Arc<Vec<Vec<Received>>>,
}

impl Feed {
    /// A log with these records of deliveries, each of a key and a value.
    pub fn new(partitions: u32, records: Vec<Record>) -> Self {
        let mut slices: Vec<Vec<Received>> = vec![Vec::new(); partitions as usize];
        for record in records {
            let slice = &mut slices[partition_of(&record.key, partitions) as usize];
            slice.push(Received {
                offset: slice.len() as Offset,
                appended_at_ms: 0,
                key: record.key,
                value: record.value,
                trace: record.trace,
            });
        }
        Self { slices: Arc::new(slices) }
    }
}

#[async_trait]
impl Log for Feed {
    async fn append(&self, _records: Vec<Record>) -> Result<(), AppendError> {
        Ok(())
    }

    async fn join(&self, _group: &str, inputs: &[Topic]) -> Result<Box<dyn Group>, LogError> {
        let input = inputs.iter().position(|topic| *topic == Topic::Deliveries);
        let input = input.ok_or_else(|| LogError::Backend("the stage reads no deliveries".to_owned()))?;
        let given = (0..self.partitions(Topic::Deliveries)).map(|slice| Given {
            slice,
            positions: vec![0; inputs.len()],
            note: String::new(),
            lease: 1,
        });
        let given = Some(given.collect());
        let slices = Arc::clone(&self.slices);
        Ok(Box::new(Reading {
            slices,
            input,
            given,
            next: BTreeMap::new(),
            turn: 0,
            paused: BTreeSet::new(),
        }))
    }

    async fn end(&self, topic: Topic, partition: u32) -> Result<Offset, LogError> {
        let is_fed = topic == Topic::Deliveries;
        Ok(if is_fed { self.slices[partition as usize].len() as Offset } else { 0 })
    }

    async fn read(&self, _from: Vec<Cursor>, _until: Until) -> Result<Box<dyn Reader>, LogError> {
        Err(LogError::Backend("a feed is for one stage, which reads nothing else".to_owned()))
    }

    fn partitions(&self, _topic: Topic) -> u32 {
        self.slices.len() as u32
    }

    async fn close(&self) {}
}

struct Reading {
    slices: Arc<Vec<Vec<Received>>>,
    input: usize,
    given: Option<Vec<Given>>,
    /// Where each slice goes on.
    next: BTreeMap<u32, usize>,
    /// Slices take turns.
    turn: u32,
    paused: BTreeSet<u32>,
}

impl Reading {
    fn batch(&mut self) -> Option<Event> {
        let slices = self.slices.len() as u32;
        for _ in 0..slices {
            let slice = self.turn % slices;
            self.turn += 1;
            let all = &self.slices[slice as usize];
            let next = self.next.entry(slice).or_default();
            if self.paused.contains(&slice) || *next == all.len() {
                continue;
            }
            let end = (*next + BATCH).min(all.len());
            let records = all[*next..end].to_vec();
            *next = end;
            let batch = Batch { input: self.input, records, next: end as Offset };
            return Some(Event::Batch { slice, lease: 1, batch });
        }
        None
    }
}

#[async_trait]
impl Group for Reading {
    async fn next(&mut self) -> Result<Event, LogError> {
        if let Some(given) = self.given.take() {
            return Ok(Event::Given(given));
        }
        match self.batch() {
            Some(batch) => Ok(batch),
            // Whoever resumes a slice asks again.
            None => pending().await,
        }
    }

    fn committer(&self) -> Arc<dyn Committer> {
        Arc::new(Taken)
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
struct Taken;

impl Committer for Taken {
    fn commit(&self, _commit: Commit) -> BoxFuture<'static, Result<(), Lost>> {
        ready(Ok(())).boxed()
    }

    fn holds(&self, _slice: u32, _lease: u64) -> bool {
        true
    }
}
