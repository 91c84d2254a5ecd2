//! Latencies of one stage: counted in a histogram, told as percentiles.

use std::time::Duration;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

/// The longest latency that is told apart; longer ones count as this.
const MOST_US: u64 = 3_600_000_000;
/// Values are kept to three significant digits.
const DIGITS: u8 = 3;
/// How finely the curve is drawn: points each time the distance to the maximum halves.
const CURVE_TICKS: u32 = 4;

/// Counts latencies.
#[derive(Clone)]
pub struct Latencies(Histogram<u64>);

impl Default for Latencies {
    fn default() -> Self {
        Self(
            Histogram::new_with_bounds(1, MOST_US, DIGITS)
                .expect("1 us to an hour is a range of three digits"),
        )
    }
}

impl Latencies {
    /// Counts one.
    pub fn record(&mut self, took: Duration) {
        self.0.saturating_record(u64::try_from(took.as_micros()).unwrap_or(MOST_US).max(1));
    }

    /// Adds those that were counted elsewhere.
    pub fn merge(&mut self, others: &Self) {
        self.0.add(&others.0).expect("both have the same range");
    }

    /// What they say of a stage.
    pub fn summary(&self, stage: &str) -> Latency {
        let at = |percentile| self.0.value_at_percentile(percentile);
        let mut curve: Vec<(f64, u64)> = Vec::new();
        for point in self.0.iter_quantiles(CURVE_TICKS) {
            let next = (point.quantile() * 100.0, point.value_iterated_to());
            match curve.last_mut() {
                Some(last) if last.1 == next.1 => *last = next,
                _ => curve.push(next),
            }
        }
        Latency {
            stage: stage.to_owned(),
            count: self.0.len(),
            mean_us: if self.0.is_empty() { 0.0 } else { self.0.mean() },
            min_us: if self.0.is_empty() { 0 } else { self.0.min() },
            p50_us: at(50.0),
            p90_us: at(90.0),
            p99_us: at(99.0),
            p99_9_us: at(99.9),
            max_us: self.0.max(),
            curve,
        }
    }
}

/// The latencies of a stage, in microseconds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Latency {
    /// From what to what.
    pub stage: String,
    /// How many were counted; with none, everything else is 0.
    pub count: u64,
    /// Their mean.
    pub mean_us: f64,
    /// The shortest.
    pub min_us: u64,
    /// Half of them took at most this long.
    pub p50_us: u64,
    /// 90 %.
    pub p90_us: u64,
    /// 99 %.
    pub p99_us: u64,
    /// 99.9 %.
    pub p99_9_us: u64,
    /// The longest.
    pub max_us: u64,
    /// (percent, microseconds), rising: the whole distribution.
    pub curve: Vec<(f64, u64)>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_those_of_what_was_counted() {
        let mut latencies = Latencies::default();
        for ms in 1..=1_000 {
            latencies.record(Duration::from_millis(ms));
        }
        let told = latencies.summary("stage");
        let near = |value: u64, ms: u64| value.abs_diff(ms * 1_000) <= ms;
        assert_eq!((told.count, told.stage.as_str()), (1_000, "stage"));
        assert!(near(told.p50_us, 500) && near(told.p99_us, 990) && near(told.max_us, 1_000), "{told:?}");
        assert!(told.curve.windows(2).all(|w| w[0].0 <= w[1].0 && w[0].1 < w[1].1), "{:?}", told.curve);
        assert_eq!(told.curve.last().map(|point| point.0), Some(100.0));
    }

    #[test]
    fn a_stage_that_never_happened_has_zeros() {
        let told = Latencies::default().summary("none");
        assert_eq!((told.count, told.p50_us, told.max_us, told.mean_us), (0, 0, 0, 0.0));
    }

    #[test]
    fn latencies_beyond_the_range_count_as_its_ends() {
        let mut latencies = Latencies::default();
        latencies.record(Duration::ZERO);
        latencies.record(Duration::from_hours(48));
        let mut all = Latencies::default();
        all.merge(&latencies);
        let told = all.summary("ends");
        assert_eq!((told.count, told.min_us), (2, 1));
        assert!(told.max_us >= MOST_US, "{told:?}");
    }
}
