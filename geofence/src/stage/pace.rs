//! How fast the slices of a process judge the members of changed zones.
//!
//! Their commits are others' too. A log that is quick would do nothing else meanwhile, so there is a rate; one that is slow
//! takes the longer for a commit the more portions are in it, so only so many are under way as keep commits short.

use std::future::pending;
use std::num::NonZero;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use tokio::sync::{Semaphore, SemaphorePermit};

use super::zone_changes::ZoneChanges;

/// Shared by all slices.
#[derive(Debug)]
pub(super) struct Pace {
    rate: DefaultDirectRateLimiter,
    turns: Semaphore,
    bound: Mutex<Bound>,
}

/// A portion that may be judged, until it is dropped.
#[derive(Debug)]
pub(super) struct Turn<'a> {
    /// How many members.
    pub(super) members: NonZero<u32>,
    pace: &'a Pace,
    permit: Option<SemaphorePermit<'a>>,
    /// The bound when it began.
    bound: usize,
}

/// How many portions may be under way.
#[derive(Debug)]
struct Bound {
    portions: usize,
    /// Turns that are to end when they are given back.
    too_many: usize,
}

impl Pace {
    /// A hundred thousand members in four seconds.
    const PER_SECOND: NonZero<u32> = NonZero::new(25_000).unwrap();

    pub(super) fn new() -> Self {
        let quota = Quota::per_second(Self::PER_SECOND).allow_burst(ZoneChanges::PORTION);
        let bound = Bound { portions: Bound::LEAST, too_many: 0 };
        Self {
            rate: RateLimiter::direct(quota),
            turns: Semaphore::new(bound.portions),
            bound: Mutex::new(bound),
        }
    }

    /// Waits until a portion of so many members may be judged; for ever if there is none.
    pub(super) async fn turn(&self, portion: Option<NonZero<u32>>) -> Turn<'_> {
        let Some(members) = portion else { return pending().await };
        let permit = self.turns.acquire().await.expect("turns are never closed");
        let turn = Turn { members, pace: self, permit: Some(permit), bound: self.bound().portions };
        self.rate.until_n_ready(members).await.expect("a portion is within the burst");
        turn
    }

    fn bound(&self) -> MutexGuard<'_, Bound> {
        self.bound.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Turn<'_> {
    /// The portion is committed, which took so long.
    pub(super) fn committed(self, took: Duration) {
        let mut bound = self.pace.bound();
        let before = bound.portions;
        bound.portions = Bound::after(took, before, self.bound);
        let more = bound.portions.saturating_sub(before);
        let kept = more.min(bound.too_many);
        bound.too_many += before.saturating_sub(bound.portions);
        bound.too_many -= kept;
        self.pace.turns.add_permits(more - kept);
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut bound = self.pace.bound();
        if bound.too_many > 0
            && let Some(permit) = self.permit.take()
        {
            bound.too_many -= 1;
            permit.forget();
        }
    }
}

impl Bound {
    const LEAST: usize = 2;
    const MOST: usize = 64;
    /// A ping waits for the commit before its own, and then for that: it is to wait no more than 50 ms longer than without
    /// the portions.
    const LONG: Duration = Duration::from_millis(40);

    /// One more after a short commit and a quarter less after a long one, once for all portions that began under the same
    /// bound.
    fn after(took: Duration, now: usize, begun: usize) -> usize {
        if took <= Self::LONG {
            now.max(begun + 1).min(Self::MOST)
        } else {
            now.min(begun * 3 / 4).max(Self::LEAST)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use tokio::time::timeout;

    use super::*;

    const SHORT: Duration = Duration::from_millis(10);
    const LONG: Duration = Duration::from_millis(100);

    #[tokio::test]
    async fn portions_go_on_at_the_rate() {
        let pace = Pace::new();
        let begun = Instant::now();
        for _ in 0..10 {
            assert_eq!(pace.turn(Some(ZoneChanges::PORTION)).await.members, ZoneChanges::PORTION);
        }
        let after_the_first = 9 * ZoneChanges::PORTION.get();
        let least = f64::from(after_the_first) / f64::from(Pace::PER_SECOND.get());
        assert!(begun.elapsed().as_secs_f64() >= least);
        assert!(timeout(Duration::from_millis(1), pace.turn(None)).await.is_err());
    }

    #[test]
    fn all_portions_of_one_bound_move_it_once() {
        let after = |took, now, begun: [usize; 3]| {
            begun.iter().fold(now, |now, begun| Bound::after(took, now, *begun))
        };
        assert_eq!(after(SHORT, 8, [8, 8, 8]), 9);
        assert_eq!(after(LONG, 8, [8, 8, 8]), 6);
        assert_eq!(after(LONG, 2, [2, 2, 2]), Bound::LEAST);
        assert_eq!(after(SHORT, Bound::MOST, [Bound::MOST; 3]), Bound::MOST);
        // Those of before know of less than happened since.
        assert_eq!(after(SHORT, 8, [3, 4, 5]), 8);
        assert_eq!(after(LONG, 3, [8, 8, 8]), 3);
    }

    #[tokio::test]
    async fn as_many_are_under_way_as_the_bound_says() {
        let one = NonZero::<u32>::MIN;
        let pace = Pace::new();
        let mut under_way = Vec::new();
        for (took, expected) in [
            (SHORT, 3),
            (SHORT, 4),
            (SHORT, 5),
            (LONG, 3),
            (SHORT, 4),
            (LONG, 3),
            (LONG, 2),
            (LONG, 2),
            (SHORT, 3),
        ] {
            while let Ok(turn) = timeout(SHORT, pace.turn(Some(one))).await {
                under_way.push(turn);
            }
            under_way.pop().unwrap().committed(took);
            under_way.clear();
            while let Ok(turn) = timeout(SHORT, pace.turn(Some(one))).await {
                under_way.push(turn);
            }
            assert_eq!(under_way.len(), expected, "after {took:?}");
        }
    }
}
