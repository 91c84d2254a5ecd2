//! How far a stage is behind, as metrics.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::buffer::Progress;
use crate::{LogError, SharedLog, Topic};

const EVERY: Duration = Duration::from_secs(5);

/// The slices that this process has, each with its progress.
#[derive(Clone, Default)]
pub(super) struct Owned(Arc<Mutex<BTreeMap<u32, Arc<Progress>>>>);

impl Owned {
    pub(super) fn insert(&self, slice: u32, progress: Arc<Progress>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(slice, progress);
    }

    pub(super) fn remove(&self, slice: u32) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&slice);
    }

    fn all(&self) -> Vec<(u32, Arc<Progress>)> {
        let owned = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        owned.iter().map(|(slice, progress)| (*slice, Arc::clone(progress))).collect()
    }
}

/// Reports every few seconds, for ever.
pub(super) async fn report(log: SharedLog, stage: &'static str, inputs: &'static [Topic], owned: Owned) {
    loop {
        tokio::time::sleep(EVERY).await;
        let slices = owned.all();
        metrics::gauge!("geopush_stage_slices", "stage" => stage).set(slices.len() as f64);
        for (input, topic) in inputs.iter().enumerate() {
            match behind(&log, *topic, input, &slices).await {
                Ok((records, seconds)) => {
                    let labels = [("stage", stage), ("topic", topic.name())];
                    metrics::gauge!("geopush_stage_lag_records", &labels).set(records as f64);
                    metrics::gauge!("geopush_stage_lag_seconds", &labels).set(seconds);
                }
                Err(error) => tracing::debug!(%error, stage, "how far a stage is behind could not be told"),
            }
        }
    }
}

/// The records of all slices that are not committed yet, and the age of the last record handed out by the slice that
/// is furthest behind (0 when none is behind).
async fn behind(
    log: &SharedLog,
    topic: Topic,
    input: usize,
    slices: &[(u32, Arc<Progress>)],
) -> Result<(u64, f64), LogError> {
    #[expect(
        clippy::disallowed_methods,
        reason = "lag is measured against arrival times, which are this crate's own"
    )]
    let now = SystemTime::now();
    let now_ms = now.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64);
    let (mut records, mut seconds) = (0, 0.0_f64);
    for (slice, progress) in slices {
        let (position, handed_out_ms) = progress.committed(input);
        let behind = log.end(topic, *slice).await?.saturating_sub(position);
        records += behind;
        if behind > 0 && handed_out_ms > 0 {
            seconds = seconds.max((now_ms - handed_out_ms) as f64 / 1_000.0);
        }
    }
    Ok((records, seconds))
}
