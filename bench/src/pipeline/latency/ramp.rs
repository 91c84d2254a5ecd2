//! Which rate a system can take: a few short loads, each told whether it was too much.

/// From one rate to the next, until one is too much.
const UP: f64 = 1.6;
/// Less than this share of the fixes answered in time is too few.
const IN_TIME: f64 = 0.95;
/// Pushes that come later than this after the load's end had been waiting.
const SOON_S: f64 = 1.0;

/// What came of a load.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Step {
    /// Fixes a second that were due.
    pub rate: f64,
    /// The share of them that was accepted within the load's time.
    pub in_time: f64,
    /// From the load's end to the last push, in seconds.
    pub last_push_s: f64,
}

impl Step {
    /// Whether the system kept up: it answered in time, and nothing was left behind.
    pub fn was_kept_up_with(&self) -> bool {
        self.in_time >= IN_TIME && self.last_push_s <= SOON_S
    }
}

/// What a system can take, in fixes a second.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Saturation {
    /// This was kept up with, and a little more was too much.
    At(f64),
    /// This was kept up with, and nothing more was tried.
    Beyond(f64),
    /// This was too much, and nothing less was tried.
    Below(f64),
}

impl Saturation {
    /// The rate to reckon with.
    pub fn rate(self) -> f64 {
        match self {
            Self::At(rate) | Self::Beyond(rate) | Self::Below(rate) => rate,
        }
    }
}

/// The way to the greatest rate that is kept up with.
#[derive(Clone, Debug)]
pub struct Ramp {
    first: f64,
    /// Loads that may still be made.
    left: usize,
    kept_up: Option<f64>,
    too_much: Option<f64>,
}

impl Ramp {
    /// From this rate on, in so many loads at most.
    pub fn new(first: f64, most: usize) -> Self {
        Self { first, left: most, kept_up: None, too_much: None }
    }

    /// The rate to try next; `None`: it is known well enough.
    pub fn next(&self) -> Option<f64> {
        if self.left == 0 {
            return None;
        }
        match (self.kept_up, self.too_much) {
            (None, None) => Some(self.first),
            (Some(kept_up), None) => Some(kept_up * UP),
            (None, Some(too_much)) => Some(too_much / UP),
            // Between them once, and that is near enough.
            (Some(kept_up), Some(too_much)) => {
                (too_much / kept_up > UP.sqrt() * 1.01).then(|| (kept_up * too_much).sqrt())
            }
        }
    }

    /// A load was made.
    pub fn tried(&mut self, step: &Step) {
        self.left = self.left.saturating_sub(1);
        if step.was_kept_up_with() {
            self.kept_up = Some(self.kept_up.map_or(step.rate, |rate| rate.max(step.rate)));
        } else {
            self.too_much = Some(self.too_much.map_or(step.rate, |rate| rate.min(step.rate)));
        }
    }

    /// What the system can take, as far as it is known.
    pub fn found(&self) -> Saturation {
        match (self.kept_up, self.too_much) {
            (Some(rate), Some(_)) => Saturation::At(rate),
            (Some(rate), None) => Saturation::Beyond(rate),
            (None, Some(rate)) => Saturation::Below(rate),
            (None, None) => Saturation::Below(self.first),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The loads that find what a system of this rate can take.
    fn tried(limit: f64, most: usize) -> (Vec<f64>, Ramp) {
        let (mut ramp, mut rates) = (Ramp::new(1_000.0, most), Vec::new());
        while let Some(rate) = ramp.next() {
            rates.push(rate);
            let in_time = (limit / rate).min(1.0);
            ramp.tried(&Step { rate, in_time, last_push_s: 0.1 });
        }
        (rates, ramp)
    }

    #[test]
    fn the_rate_is_found_to_a_quarter_whether_it_is_above_or_below_the_first() {
        for limit in [100.0, 700.0, 1_000.0, 5_000.0, 30_000.0] {
            let (rates, ramp) = tried(limit, 20);
            let Saturation::At(found) = ramp.found() else { panic!("{limit}: {rates:?}") };
            assert!(found <= limit / IN_TIME && found > limit / 1.3, "{limit}: {rates:?}");
        }
    }

    #[test]
    fn the_number_of_loads_is_bounded() {
        let (rates, ramp) = tried(1e9, 4);
        assert_eq!(rates.len(), 4);
        assert_eq!(ramp.found(), Saturation::Beyond(rates[3]), "nothing was too much");
        let (rates, ramp) = tried(0.0, 4);
        assert_eq!(ramp.found(), Saturation::Below(rates[3]), "everything was");
    }

    #[test]
    fn what_is_answered_in_time_and_pushed_late_was_too_much() {
        let step = Step { rate: 1.0, in_time: 1.0, last_push_s: 0.5 };
        assert!(step.was_kept_up_with());
        assert!(!Step { last_push_s: 1.5, ..step }.was_kept_up_with());
        assert!(!Step { in_time: 0.9, ..step }.was_kept_up_with());
    }
}
