//! How long a process stood still.

use std::time::{Duration, Instant, SystemTime};

/// A moment by two clocks: the one that only grows stands still while a machine sleeps, the other one may be set.
#[derive(Clone, Copy)]
pub(super) struct Moment(pub Instant, pub SystemTime);

impl Moment {
    #[expect(
        clippy::disallowed_methods,
        reason = "how long a process was stopped is this crate's own to know"
    )]
    pub(super) fn now() -> Self {
        Self(Instant::now(), SystemTime::now())
    }

    /// The time between, by the clock that shows more of it.
    pub(super) fn until(self, later: Self) -> Duration {
        let by_wall = later.1.duration_since(self.1).unwrap_or_default();
        later.0.saturating_duration_since(self.0).max(by_wall)
    }
}
