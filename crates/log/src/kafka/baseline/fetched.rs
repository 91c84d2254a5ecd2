//! What the null stage's fetching thread tells its committing one.

use std::collections::BTreeMap;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::Message as _;
use rdkafka::consumer::BaseConsumer;
use rdkafka::error::KafkaError;

use super::super::context::Context;
use super::{NullStage, STEP, failed};
use crate::LogError;

const POLL: Duration = Duration::from_millis(10);
/// Records between two words of the fetching thread.
const WORD: usize = 500;
/// Fetching pauses when so many transactions' worth of records wait to be committed.
const AHEAD: u64 = 4;

/// What was fetched, as the committing thread learns of it.
#[derive(Default)]
pub(super) struct Fetched {
    state: Mutex<FetchedState>,
    changed: Condvar,
}

#[derive(Default)]
pub(super) struct FetchedState {
    pub(super) began: Option<Instant>,
    /// Records by partition.
    records: BTreeMap<i32, u64>,
    all: u64,
    pub(super) bytes: u64,
    committed: u64,
    /// Nothing more is there at the moment, or at all.
    idle: bool,
    stop: bool,
}

impl Fetched {
    pub(super) fn lock(&self) -> MutexGuard<'_, FetchedState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn stop(&self) {
        self.lock().stop = true;
        self.changed.notify_all();
    }

    pub(super) fn fetch(
        &self,
        consumer: &BaseConsumer<Context>,
        stage: &NullStage,
        total: u64,
    ) -> Result<(), LogError> {
        let mut fetched = 0;
        while fetched < total {
            let (mut records, mut bytes, mut count) = (BTreeMap::<i32, u64>::new(), 0, 0);
            while count < WORD {
                let message = match consumer.poll(POLL) {
                    None => break,
                    Some(Err(KafkaError::PartitionEOF(_))) => continue,
                    Some(Err(error)) => return Err(failed("records could not be read")(error)),
                    Some(Ok(message)) => message,
                };
                *records.entry(message.partition()).or_default() += 1;
                bytes += message.key_len() as u64 + message.payload_len() as u64;
                (stage.look)(message.payload().unwrap_or_default());
                count += 1;
            }
            fetched += count as u64;
            let mut state = self.lock();
            if count > 0 {
                state.began.get_or_insert_with(Instant::now);
            }
            for (partition, count) in records {
                *state.records.entry(partition).or_default() += count;
            }
            state.all = fetched;
            state.bytes += bytes;
            state.idle = count < WORD || fetched == total;
            self.changed.notify_all();
            let most = AHEAD * stage.at_once;
            let waiting = |state: &mut FetchedState| !state.stop && state.all - state.committed > most;
            let state = self.changed.wait_while(state, waiting).unwrap_or_else(PoisonError::into_inner);
            if state.stop {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Waits until there is a transaction's worth, or all there is; how far each partition was fetched.
    pub(super) fn wait(&self, committed: u64, at_once: u64) -> Result<Vec<(i32, u64)>, LogError> {
        let mut state = self.lock();
        state.committed = committed;
        self.changed.notify_all();
        let waiting = |state: &mut FetchedState| {
            let new = state.all - committed;
            !(new >= at_once || state.idle && new > 0)
        };
        let (state, waited) =
            self.changed.wait_timeout_while(state, STEP, waiting).unwrap_or_else(PoisonError::into_inner);
        if waited.timed_out() {
            return Err(LogError::Backend("no records came; look after the brokers".to_owned()));
        }
        Ok(state.records.iter().map(|(partition, count)| (*partition, *count)).collect())
    }
}
