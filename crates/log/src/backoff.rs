//! The pause before something is tried again.

use std::time::Duration;

const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(10);

/// Doubles from 0.1 s to 10 s.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// One more failure: the pause after it.
    pub(crate) fn next(&mut self) -> Duration {
        self.failures = (self.failures + 1).min(30);
        self.pause().unwrap_or(FIRST)
    }

    /// The pause after the last failure, if there was one.
    pub(crate) fn pause(&self) -> Option<Duration> {
        let doublings = self.failures.checked_sub(1)?;
        Some(FIRST.saturating_mul(1 << doublings).min(LONGEST))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_ten_seconds_and_stay_there() {
        let mut backoff = Backoff::default();
        assert_eq!(backoff.pause(), None);
        let pauses: Vec<u128> = (0..9).map(|_| backoff.next().as_millis()).collect();
        assert_eq!(pauses, [100, 200, 400, 800, 1_600, 3_200, 6_400, 10_000, 10_000]);
        assert_eq!((0..100).map(|_| backoff.next()).next_back(), Some(LONGEST));
        assert_eq!(backoff.pause(), Some(LONGEST));
    }
}
