//! How fast a lane sends.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use governor::clock::Clock;
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use tokio::time::Instant;

/// How fast a lane sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Messages a minute.
    pub per_minute: NonZeroU32,
    /// What may go out at once after a lull, as time at that rate.
    pub burst: Duration,
}

impl Rate {
    /// The slower of this and an app's own wish.
    pub fn at_most(self, per_minute: Option<NonZeroU32>) -> Self {
        Self { per_minute: per_minute.map_or(self.per_minute, |wish| wish.min(self.per_minute)), ..self }
    }

    /// What `mine` of `all` equal senders have of it, at least one a minute.
    pub fn share(self, mine: u32, all: u32) -> Self {
        let share = u64::from(self.per_minute.get()) * u64::from(mine) / u64::from(all.max(1));
        // No more than the whole, which fits.
        let per_minute = NonZeroU32::new(share.min(u64::from(self.per_minute.get())) as u32);
        Self { per_minute: per_minute.unwrap_or(NonZeroU32::MIN), ..self }
    }

    fn quota(self) -> Quota {
        let burst = f64::from(self.per_minute.get()) / 60.0 * self.burst.as_secs_f64();
        // Bounded by the rate itself, which fits.
        Quota::per_minute(self.per_minute)
            .allow_burst(NonZeroU32::new(burst as u32).unwrap_or(NonZeroU32::MIN))
    }
}

/// Holds to a rate. The time is its callers'.
pub struct Throttle {
    rate: Rate,
    limiter: RateLimiter<NotKeyed, InMemoryState, Callers, NoOpMiddleware<Nanos>>,
    callers: Callers,
    began: Instant,
}

/// The time of whoever asked last.
#[derive(Clone, Default)]
struct Callers(Arc<AtomicU64>);

impl Clock for Callers {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        Nanos::from(self.0.load(Ordering::Relaxed))
    }
}

impl Throttle {
    /// From `now` on.
    pub fn new(rate: Rate, now: Instant) -> Self {
        let callers = Callers::default();
        let limiter = RateLimiter::direct_with_clock(rate.quota(), callers.clone());
        Self { rate, limiter, callers, began: now }
    }

    /// What it holds to.
    pub fn rate(&self) -> Rate {
        self.rate
    }

    /// One more may go, and counts; or how long until then.
    pub fn check(&mut self, now: Instant) -> Result<(), Duration> {
        let passed = now.saturating_duration_since(self.began).as_nanos();
        // Five hundred years fit.
        self.callers.0.store(passed as u64, Ordering::Relaxed);
        self.limiter.check().map_err(|not_until| not_until.wait_time_from(self.callers.now()))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rate(per_minute: u32, burst_ms: u64) -> Rate {
        Rate { per_minute: NonZeroU32::new(per_minute).unwrap(), burst: Duration::from_millis(burst_ms) }
    }

    #[test]
    fn a_share_is_never_more_than_the_whole_nor_nothing() {
        let per_minute = |mine, all| rate(600_000, 50).share(mine, all).per_minute.get();
        assert_eq!((per_minute(8, 8), per_minute(4, 16), per_minute(9, 8)), (600_000, 150_000, 600_000));
        assert_eq!((per_minute(0, 8), per_minute(1, 0)), (1, 600_000));
    }

    #[test]
    fn an_app_may_ask_for_less_and_not_for_more() {
        for (wish, expected) in [(None, 600), (Some(60), 60), (Some(6_000), 600)] {
            assert_eq!(rate(600, 50).at_most(wish.and_then(NonZeroU32::new)).per_minute.get(), expected);
        }
    }

    proptest! {
        /// Over any time no more goes than the burst and the rate together say, and a sender that waits as it is told
        /// gets all of the rate.
        #[test]
        fn a_rate_is_kept_to_and_used_up(per_minute in 1u32..2_000_000, burst_ms in 1u64..100, ms in 1u64..5_000) {
            let rate = rate(per_minute, burst_ms);
            let began = Instant::now();
            let until = began + Duration::from_millis(ms);
            let mut throttle = Throttle::new(rate, began);
            let (mut now, mut sent) = (began, 0u64);
            while now <= until && sent < 20_000 {
                match throttle.check(now) {
                    Ok(()) => sent += 1,
                    Err(wait) => {
                        prop_assert!(!wait.is_zero());
                        now += wait;
                    }
                }
            }
            let passed = now.min(until).duration_since(began).as_secs_f64();
            let rated = f64::from(per_minute) / 60.0 * passed;
            let burst = (f64::from(per_minute) / 60.0 * rate.burst.as_secs_f64()).max(1.0);
            prop_assert!(sent as f64 <= (rated + burst) * 1.001 + 1.0, "{sent} in {passed} s");
            prop_assert!(sent as f64 >= rated * 0.999 - 1.0, "{sent} in {passed} s");
        }
    }
}
