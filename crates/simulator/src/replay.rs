//! Replays a trace: each phone's fixes in their order, all phones side by side, at the speed that one likes.

use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::{ClientError, PhoneFix, PingClient, Trace};

/// How fast the trace's time goes by.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Speed {
    /// This many times as fast as it was recorded.
    Times(f64),
    /// As fast as the server takes it.
    AsFastAsPossible,
}

/// How to replay.
#[derive(Clone, Copy, Debug)]
pub struct ReplayOptions {
    /// How fast.
    pub speed: Speed,
    /// The most fixes in a request.
    pub batch: usize,
    /// The most phones that wait for an answer at the same time.
    pub concurrency: usize,
}

/// One request's end.
#[derive(Clone, Debug)]
pub struct Progress {
    /// How many fixes the request had.
    pub fixes: u64,
    /// How many of them were taken.
    pub accepted: u64,
    /// How long the answer took.
    pub took: Duration,
}

/// How the replay went.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    /// Fixes that were posted.
    pub fixes: u64,
    /// Fixes that were taken.
    pub accepted: u64,
    /// Fixes that were not, by code.
    pub rejected: std::collections::BTreeMap<String, u64>,
    /// Requests.
    pub requests: u64,
    /// How long the answers took, shortest first.
    pub latencies: Vec<Duration>,
    /// How long it all took.
    pub took: Duration,
}

impl Summary {
    /// The latency that this share (0 to 1) of the requests stayed within.
    pub fn latency(&self, share: f64) -> Duration {
        let last = self.latencies.len().saturating_sub(1);
        self.latencies.get((last as f64 * share).round() as usize).copied().unwrap_or_default()
    }
}

/// Replays `trace`; `progress` hears of each request.
///
/// # Errors
/// The first error that a phone met; what was accepted until then stays accepted.
pub async fn replay(
    client: &PingClient,
    trace: &Trace,
    options: ReplayOptions,
    mut progress: impl FnMut(&Progress),
) -> Result<Summary, ClientError> {
    let began = Instant::now();
    let first_ms = trace.phones.values().filter_map(|fixes| Some(fixes.first()?.time_ms)).min().unwrap_or(0);
    let permits = std::sync::Arc::new(tokio::sync::Semaphore::new(options.concurrency.max(1)));
    let (ends, mut ended) = mpsc::channel(64);
    let mut phones = JoinSet::new();
    for (device, fixes) in &trace.phones {
        let (client, device, fixes) = (client.clone(), device.clone(), fixes.clone());
        let (permits, ends) = (permits.clone(), ends.clone());
        phones.spawn(async move {
            for batch in batches(&fixes, first_ms, options) {
                if let Speed::Times(times) = options.speed {
                    let last_ms = batch.last().map_or(first_ms, |fix| fix.time_ms);
                    let due = Duration::from_secs_f64((last_ms - first_ms).max(0) as f64 / 1_000.0 / times);
                    tokio::time::sleep(due.saturating_sub(began.elapsed())).await;
                }
                let _permit = permits.acquire().await;
                let asked = Instant::now();
                let answer = client.send(&[(&device, batch)]).await;
                let heard = ends.send((batch.len() as u64, asked.elapsed(), answer)).await;
                if heard.is_err() {
                    return;
                }
            }
        });
    }
    drop(ends);

    let mut summary = Summary::default();
    while let Some((fixes, took, answer)) = ended.recv().await {
        let answer = answer?;
        progress(&Progress { fixes, accepted: answer.accepted, took });
        summary.fixes += fixes;
        summary.accepted += answer.accepted;
        summary.requests += 1;
        summary.latencies.push(took);
        for rejected in answer.rejected {
            *summary.rejected.entry(rejected.code).or_default() += 1;
        }
    }
    summary.latencies.sort_unstable();
    summary.took = began.elapsed();
    Ok(summary)
}

/// A phone that is replayed in its own time posts what it recorded in one second of the replay.
fn batches(fixes: &[PhoneFix], first_ms: i64, options: ReplayOptions) -> Vec<&[PhoneFix]> {
    let second = |fix: &PhoneFix| match options.speed {
        Speed::Times(times) => ((fix.time_ms - first_ms) as f64 / 1_000.0 / times).floor() as i64,
        Speed::AsFastAsPossible => 0,
    };
    fixes
        .chunk_by(|a, b| second(a) == second(b))
        .flat_map(|second| second.chunks(options.batch.max(1)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_keep_the_order_the_bound_and_the_seconds() {
        let fixes: Vec<_> =
            [0, 1, 999, 1_000, 2_500, 2_600].map(|time_ms| PhoneFix { time_ms, lat: 0.0, lon: 0.0 }).into();
        let lens = |speed, batch| -> Vec<usize> {
            let options = ReplayOptions { speed, batch, concurrency: 1 };
            batches(&fixes, 0, options).iter().map(|b| b.len()).collect()
        };
        assert_eq!(lens(Speed::Times(1.0), 100), [3, 1, 2]);
        assert_eq!(lens(Speed::Times(2.0), 2), [2, 2, 2]);
        assert_eq!(lens(Speed::AsFastAsPossible, 4), [4, 2]);
    }
}
