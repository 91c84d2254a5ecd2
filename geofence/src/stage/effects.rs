//! What is to be published by the next commit.

use std::collections::{BTreeMap, BTreeSet};

use geopush_log::{Record, Topic, TraceId};
use geopush_model::{DeviceKey, Transition, UnixMillis, Wire};

use crate::engine::FixOutcome;

/// The effects of pings, zone changes and silences that no commit has published yet.
#[derive(Debug, Default)]
pub(super) struct Effects {
    transitions: Vec<(Transition, Option<TraceId>)>,
    /// The devices whose own record is not as they are.
    touched: BTreeSet<DeviceKey>,
    rejected: Vec<Record>,
    outcomes: BTreeMap<&'static str, u64>,
}

impl Effects {
    /// So many in one commit are enough: it stays small for the log, and others get their turn.
    const ENOUGH: usize = 1_000;

    pub(super) fn is_empty(&self) -> bool {
        self.transitions.is_empty() && self.touched.is_empty() && self.rejected.is_empty()
    }

    /// Whether they should be committed before more are added.
    pub(super) fn are_enough(&self) -> bool {
        self.transitions.len() + self.rejected.len() >= Self::ENOUGH
    }

    /// A device made these transitions.
    pub(super) fn add(&mut self, key: &DeviceKey, transitions: Vec<Transition>, trace: Option<TraceId>) {
        if !transitions.is_empty() {
            self.touch(key);
            self.transitions.extend(transitions.into_iter().map(|transition| (transition, trace)));
        }
    }

    /// A device's own record must be written anew, or removed if the device is gone.
    pub(super) fn touch(&mut self, key: &DeviceKey) {
        self.touched.insert(key.clone());
    }

    pub(super) fn is_touched(&self, key: &DeviceKey) -> bool {
        self.touched.contains(key)
    }

    /// A ping could not be decoded.
    pub(super) fn reject(&mut self, record: Record) {
        self.rejected.push(record);
        self.count("undecodable");
    }

    pub(super) fn count_fix(&mut self, outcome: FixOutcome) {
        self.count(match outcome {
            FixOutcome::Applied => "applied",
            FixOutcome::Late => "late",
            FixOutcome::Duplicate => "duplicate",
        });
    }

    fn count(&mut self, outcome: &'static str) {
        *self.outcomes.entry(outcome).or_default() += 1;
    }

    /// The devices whose own records must be written.
    pub(super) fn touched(&self) -> impl Iterator<Item = &DeviceKey> {
        self.touched.iter()
    }

    /// The records but for the devices' own.
    pub(super) fn records(&self) -> Vec<Record> {
        let transition = |(transition, trace): &(Transition, Option<TraceId>)| {
            Record::new(Topic::Transitions, transition.key().to_bytes(), transition.encode()).traced(*trace)
        };
        self.rejected.iter().cloned().chain(self.transitions.iter().map(transition)).collect()
    }

    /// Logs and counts, once the commit is durable.
    pub(super) fn report(&self, now: UnixMillis) {
        for (outcome, count) in &self.outcomes {
            metrics::counter!("geopush_geofence_fixes_total", "outcome" => *outcome).increment(*count);
        }
        for (transition, trace) in &self.transitions {
            let kind = transition.kind.as_str();
            metrics::counter!("geopush_geofence_transitions_total", "kind" => kind).increment(1);
            if let Some(received_at) = transition.received_at {
                metrics::histogram!("geopush_geofence_received_to_committed_seconds")
                    .record(now.since_ms(received_at).max(0) as f64 / 1000.0);
            }
            tracing::debug!(
                trace_id = trace.map(tracing::field::display),
                tenant = %transition.tenant,
                device = %transition.device,
                zone = %transition.zone,
                kind,
                reason = transition.kind.reason().map(geopush_model::ExitReason::as_str),
                seq = transition.seq,
                "transition"
            );
        }
    }
}
