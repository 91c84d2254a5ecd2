//! What one commit of plan publishes, and what is counted once it is published.

use std::collections::BTreeMap;

use geopush_log::{Received, Record, Topic, TraceId, rejected};
use geopush_model::{DeviceKey, PlanState, Wire as _};

use super::decide::Decision;

/// What one commit publishes.
pub(super) struct Outputs {
    slice: u32,
    records: Vec<Record>,
    /// What became of the causes, by the name that metrics have for it.
    counts: BTreeMap<&'static str, u64>,
}

impl Outputs {
    pub(super) fn new(slice: u32) -> Self {
        Self { slice, records: Vec::new(), counts: BTreeMap::new() }
    }

    pub(super) fn count(&mut self, outcome: &'static str) {
        *self.counts.entry(outcome).or_default() += 1;
    }

    pub(super) fn reject(&mut self, topic: Topic, record: &Received, reason: &str) {
        self.count("rejected");
        self.records.push(rejected(topic, self.slice, record, reason));
    }

    pub(super) fn decided(&mut self, decision: &Decision, trace: Option<TraceId>) {
        let record = match decision {
            Decision::Push(push) => {
                self.count("push");
                let trace_id = trace.map(tracing::field::display);
                tracing::debug!(trace_id, push = %push.id, source = %push.origin.source.id(), "a push was decided on");
                if let Some(received_at) = push.received_at {
                    let ms = push.created_at.since_ms(received_at).max(0);
                    metrics::histogram!("geopush_dispatcher_plan_received_to_decided_seconds")
                        .record(ms as f64 / 1_000.0);
                }
                Record::new(Topic::Pushes, push.key().to_bytes(), push.encode())
            }
            Decision::Suppressed(delivery) => {
                let reason = delivery.reason.map_or("suppressed", |reason| reason.as_str());
                self.count(reason);
                let trace_id = trace.map(tracing::field::display);
                tracing::debug!(trace_id, push = %delivery.push, reason, "a push was suppressed");
                Record::new(Topic::Deliveries, delivery.key().to_bytes(), delivery.encode())
            }
            Decision::Held { .. } => return self.count("held"),
        };
        self.records.push(record.traced(trace));
    }

    /// To the slice's own partition of the changelog, where it is restored from.
    pub(super) fn state(&mut self, key: &DeviceKey, state: Option<&PlanState>) {
        let key = key.to_bytes();
        let record = match state {
            Some(state) => Record::new(Topic::PlanState, key, state.encode()),
            None => Record::tombstone(Topic::PlanState, key),
        };
        self.records.push(record.at(self.slice));
    }

    /// The records, and what to count once they are published: what was lost is decided on again.
    pub(super) fn into_parts(self) -> (Vec<Record>, Counts) {
        (self.records, Counts(self.counts))
    }
}

/// What became of the causes of one commit.
pub(super) struct Counts(BTreeMap<&'static str, u64>);

impl Counts {
    pub(super) fn publish(self) {
        for (outcome, count) in self.0 {
            metrics::counter!("geopush_dispatcher_plan_causes_total", "outcome" => outcome).increment(count);
        }
    }
}
