//! A push that is put off to a topic of retries: its record there, and a delivery that says so.

use std::sync::Arc;

use bytes::Bytes;
use geopush_log::{Record, Topic, TraceId};
use geopush_model::{Delivery, Outcome, Push, Retry, UnixMillis, Wire as _};

use super::intake::Item;
use super::progress::Place;
use super::wait::TOPICS;

/// A push that is put off, once this is committed together with the position.
#[derive(Debug)]
pub struct Deferral {
    /// The record that is finished by it.
    pub place: Place,
    /// What is written: the retry, and the delivery.
    pub records: [Record; 2],
}

impl Deferral {
    /// Puts a push off to the topic of retries with this index, not to be tried before `not_before`.
    pub fn new(
        place: Place,
        item: Item,
        topic: usize,
        not_before: UnixMillis,
        now: UnixMillis,
        partition: u32,
        trace: Option<TraceId>,
    ) -> Self {
        let Item { push, tries, deferrals, .. } = item;
        let key = push.key().to_bytes();
        let deferrals = deferrals.saturating_add(1);
        let delivery = deferred(&push, tries.attempts(), deferrals, now).encode();
        let (attempts, failures) = (tries.attempts(), tries.failures());
        let retry =
            Retry { push: Arc::unwrap_or_clone(push), attempts, failures, deferrals, not_before }.encode();
        // Beside the push itself: the ledger of this slice is this partition, and so are its retries.
        let record = |topic, value| Record::new(topic, key.clone(), value).at(partition).traced(trace);
        let records = [record(TOPICS[topic], retry), record(Topic::Deliveries, delivery)];
        Self { place, records }
    }

    /// How much is written.
    fn bytes(&self) -> usize {
        let value = |record: &Record| record.value.as_ref().map_or(0, Bytes::len);
        self.records.iter().map(|record| record.key.len() + value(record)).sum()
    }
}

/// What is put off in one commit, about: large ones would hold up everybody's.
const MAX_DEFERRED: usize = 500;
const MAX_DEFERRED_BYTES: usize = 1 << 20;

/// What is to be put off with the next commit.
#[derive(Debug, Default)]
pub struct Deferrals {
    all: Vec<Deferral>,
    bytes: usize,
}

impl Deferrals {
    /// One more.
    pub fn put(&mut self, deferral: Deferral) {
        self.bytes += deferral.bytes();
        self.all.push(deferral);
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// Whether it is as much as one commit should hold.
    pub fn are_many(&self) -> bool {
        self.all.len() >= MAX_DEFERRED || self.bytes >= MAX_DEFERRED_BYTES
    }

    /// All, for the commit that is being made.
    pub fn take(&mut self) -> Vec<Deferral> {
        self.bytes = 0;
        std::mem::take(&mut self.all)
    }
}

/// The delivery that says that a push waits.
fn deferred(push: &Push, attempts: u32, deferrals: u32, now: UnixMillis) -> Delivery {
    Delivery {
        push: push.id,
        tenant: push.tenant,
        device: push.device.clone(),
        origin: push.origin,
        app: push.app.clone(),
        provider: Some(push.provider),
        outcome: Outcome::Deferred,
        reason: None,
        attempts,
        created_at: push.created_at,
        finished_at: now,
        provider_message_id: None,
        dead_token: None,
        variant: push.variant.clone(),
        deferrals,
        dead_letter: None,
    }
}
