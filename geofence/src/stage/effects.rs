//! What is to be published by the next commit.

use std::collections::{BTreeMap, BTreeSet};

use geopush_log::{Record, Topic, TraceId};
use geopush_model::{DeviceKey, ExitReason, Transition, UnixMillis, Wire};

use crate::engine::Counts;

/// The effects of pings, zone changes and silences that no commit has published yet.
#[derive(Debug, Default)]
pub(super) struct Effects {
    transitions: Vec<(Transition, Option<TraceId>)>,
    /// The devices whose own record is not as they are.
    touched: BTreeSet<DeviceKey>,
    rejected: Vec<Record>,
    counts: Counts,
}

impl Effects {
    /// So many in one commit are enough: it stays small for the log, and others get their turn.
    const ENOUGH: usize = 1_000;

    pub(super) fn is_empty(&self) -> bool {
        self.transitions.is_empty() && self.touched.is_empty() && self.rejected.is_empty()
    }

    /// Whether they should be committed before more are added.
    pub(super) fn are_enough(&self) -> bool {
        self.room() == 0
    }

    /// How many more should be added before they are committed.
    pub(super) fn room(&self) -> usize {
        Self::ENOUGH.saturating_sub(self.transitions.len() + self.rejected.len())
    }

    /// Devices made these transitions, each because of what came with this trace.
    pub(super) fn add(&mut self, transitions: impl IntoIterator<Item = (Transition, Option<TraceId>)>) {
        for (transition, trace) in transitions {
            self.touch(transition.key());
            self.transitions.push((transition, trace));
        }
    }

    /// A device's own record must be written anew, or removed if the device is gone.
    pub(super) fn touch(&mut self, key: DeviceKey) {
        self.touched.insert(key);
    }

    /// A ping could not be decoded.
    pub(super) fn reject(&mut self, record: Record) {
        self.rejected.push(record);
    }

    /// What pings met with.
    pub(super) fn count(&mut self, counts: &Counts) {
        self.counts += *counts;
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
        let Counts { applied, late, duplicate, inaccurate, safe_box_hits, exact_tests } = self.counts;
        let undecodable = self.rejected.len() as u64;
        for (outcome, count) in
            [("applied", applied), ("late", late), ("duplicate", duplicate), ("undecodable", undecodable)]
        {
            metrics::counter!("geopush_geofence_fixes_total", "outcome" => outcome).increment(count);
        }
        metrics::counter!("geopush_geofence_inaccurate_fixes_total").increment(inaccurate);
        metrics::counter!("geopush_geofence_safe_box_hits_total").increment(safe_box_hits);
        metrics::counter!("geopush_geofence_exact_tests_total").increment(exact_tests);
        let mut by_kind = BTreeMap::<_, u64>::new();
        let took = metrics::histogram!("geopush_geofence_received_to_committed_seconds");
        for (transition, trace) in &self.transitions {
            let kind = transition.kind.as_str();
            *by_kind.entry(kind).or_default() += 1;
            if let Some(received_at) = transition.received_at {
                took.record(now.since_ms(received_at).max(0) as f64 / 1000.0);
            }
            tracing::debug!(
                trace_id = trace.map(tracing::field::display),
                tenant = %transition.tenant,
                device = %transition.device,
                zone = %transition.zone,
                kind,
                reason = transition.kind.reason().map(ExitReason::as_str),
                seq = transition.seq,
                "transition"
            );
        }
        for (kind, count) in by_kind {
            metrics::counter!("geopush_geofence_transitions_total", "kind" => kind).increment(count);
        }
    }
}
