//! How far something was, when.

use std::time::{Duration, Instant};

use crate::report::Series;

/// The middle of a run: its beginning and its end depend on what joins and leaves when, the rest on speed alone.
const FROM: f64 = 0.1;
const TO: f64 = 0.9;
/// How finely a run is drawn.
const STEP: Duration = Duration::from_millis(250);

/// How much of a run was done, when.
#[derive(Clone, Debug)]
pub struct Timeline {
    /// When the first was taken in hand.
    pub began: Instant,
    /// How many were done at a moment, all until then; rising.
    pub marks: Vec<(Instant, u64)>,
}

impl Timeline {
    /// How many were done in the end.
    pub fn total(&self) -> u64 {
        self.marks.last().map_or(0, |mark| mark.1)
    }

    /// From the first in hand to the last done.
    pub fn took(&self) -> Duration {
        self.marks.last().map_or(Duration::ZERO, |mark| mark.0.saturating_duration_since(self.began))
    }

    /// How many a second, in the middle of the run; over all of it, where it was too short to have one.
    pub fn rate(&self) -> f64 {
        let total = self.total() as f64;
        let first = |share: f64| self.marks.iter().find(|mark| mark.1 as f64 >= share * total);
        if let (Some(from), Some(to)) = (first(FROM), first(TO))
            && from.0 < to.0
        {
            return (to.1 - from.1) as f64 / (to.0 - from.0).as_secs_f64();
        }
        self.overall()
    }

    /// How many a second, from the first in hand to the last done.
    pub fn overall(&self) -> f64 {
        let seconds = self.took().as_secs_f64();
        if seconds > 0.0 { self.total() as f64 / seconds } else { 0.0 }
    }

    /// How many a second, over time.
    pub fn series(&self, name: &str, unit: &str) -> Series {
        let steps = self.took().as_secs_f64() / STEP.as_secs_f64();
        let mut values = vec![0.0; steps.ceil() as usize];
        let mut before = 0;
        for (at, done) in &self.marks {
            let since = at.saturating_duration_since(self.began).as_secs_f64() / STEP.as_secs_f64();
            let step = (since as usize).min(values.len().saturating_sub(1));
            if let Some(value) = values.get_mut(step) {
                *value += (done - before) as f64 / STEP.as_secs_f64();
            }
            before = *done;
        }
        Series { name: name.to_owned(), unit: unit.to_owned(), every_s: STEP.as_secs_f64(), values }
    }
}

/// The middle of some numbers; 0 without any.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => 0.0,
        n if n.is_multiple_of(2) => f64::midpoint(values[middle - 1], values[middle]),
        _ => values[middle],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn timeline(marks: &[(u64, u64)]) -> Timeline {
        let began = Instant::now();
        let marks = marks.iter().map(|(ms, done)| (began + Duration::from_millis(*ms), *done)).collect();
        Timeline { began, marks }
    }

    #[test]
    fn a_slow_beginning_and_a_slow_end_are_not_in_the_rate() {
        let run = timeline(&[(1_000, 100), (1_400, 500), (1_800, 900), (9_000, 1_000)]);
        assert_eq!((run.rate().round(), run.total(), run.took()), (1_000.0, 1_000, Duration::from_secs(9)));
    }

    #[test]
    fn a_run_of_one_step_has_the_rate_of_all_of_it() {
        assert_eq!(timeline(&[(500, 100)]).rate(), 200.0);
        assert_eq!(timeline(&[]).rate(), 0.0);
    }

    #[test]
    fn a_series_adds_up_to_the_whole() {
        let run = timeline(&[(100, 100), (300, 150), (1_000, 400)]);
        let series = run.series("all", "a second");
        assert_eq!(series.values, [400.0, 200.0, 0.0, 1_000.0]);
        assert_eq!(series.values.iter().sum::<f64>() * series.every_s, 400.0);
    }

    #[test]
    fn the_median_is_the_middle() {
        assert_eq!(median(vec![9.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(vec![4.0, 1.0, 2.0, 9.0]), 3.0);
        assert_eq!(median(vec![]), 0.0);
    }
}
