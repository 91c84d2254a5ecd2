//! How fast a send goes: not so many pushes of it at once that others wait, and over the time that was asked for.
//! Nothing here does I/O.

use std::time::{Duration, Instant};

/// What is known of a send's pushes is read again after this long.
const FRESH: Duration = Duration::from_millis(100);
/// Even where nothing ends, a page goes out after this long: what ends nothing may be one provider of two.
const STALLED: Duration = Duration::from_secs(2);
/// The pages of a send that is spread are about so far apart.
const STEP_MS: u64 = 1_000;

/// The pushes of one send, or one run of a campaign, that are asked for and have not ended.
#[derive(Debug, Default)]
pub(super) struct Pace {
    read: Option<Read>,
    /// What had been asked for, and had ended, when this was looked at first.
    base: Counts,
    /// Asked for since what is known was read.
    granted: u64,
    last_grant: Option<Instant>,
}

#[derive(Clone, Copy, Debug)]
struct Read {
    counts: Counts,
    at: Instant,
}

/// How far a send is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    /// Devices asked for.
    pub(super) asked: u64,
    /// Pushes that ended.
    pub(super) ended: u64,
}

impl Pace {
    /// Whether [`Pace::read`] comes before the next [`Pace::grant`].
    pub(super) fn is_stale(&self, now: Instant) -> bool {
        self.read.is_none_or(|read| now.saturating_duration_since(read.at) >= FRESH)
    }

    /// Takes what the store says. `of_all`: it counts this send's pushes alone, so that what it said first counts too.
    pub(super) fn read(&mut self, counts: Counts, of_all: bool, now: Instant) {
        if self.read.is_none() && !of_all {
            self.base = counts;
        }
        self.read = Some(Read { counts, at: now });
        self.granted = 0;
    }

    /// Whether a page of so many may go out now; it counts then.
    pub(super) fn grant(&mut self, page: u64, window: u64, now: Instant) -> bool {
        let counts = self.read.map_or(self.base, |read| read.counts);
        let asked = counts.asked.saturating_sub(self.base.asked) + self.granted;
        let under_way = asked.saturating_sub(counts.ended.saturating_sub(self.base.ended));
        let stalled = || self.last_grant.is_some_and(|last| now.saturating_duration_since(last) >= STALLED);
        let fits = under_way == 0 || under_way + page <= window || stalled();
        if fits {
            self.granted += page;
            self.last_grant = Some(now);
        } else {
            self.last_grant.get_or_insert(now);
        }
        fits
    }
}

/// The next page of a shard that is spread over a time, of which `left_ms` are left for `left` rows: how many rows,
/// and in how many ms the page after it comes.
pub(super) fn spread(left: u64, left_ms: i64, page: usize) -> (usize, i64) {
    let Some(left_ms) = u64::try_from(left_ms).ok().filter(|ms| *ms > 0) else { return (page, 0) };
    let left = left.max(1);
    let even = u128::from(left) * u128::from(STEP_MS);
    let rows = usize::try_from(even.div_ceil(u128::from(left_ms))).unwrap_or(usize::MAX).clamp(1, page);
    let wait_ms = u128::from(left_ms) * (rows as u128) / u128::from(left);
    (rows, i64::try_from(wait_ms).unwrap_or(i64::MAX).min(i64::try_from(left_ms).unwrap_or(i64::MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_is_filled_and_no_more() {
        let now = Instant::now();
        let mut pace = Pace::default();
        assert!(pace.is_stale(now));
        pace.read(Counts { asked: 900, ended: 0 }, true, now);
        assert!(!pace.is_stale(now) && pace.is_stale(now + FRESH));
        assert!(pace.grant(100, 1_000, now));
        assert!(!pace.grant(100, 1_000, now));
        pace.read(Counts { asked: 1_000, ended: 150 }, true, now);
        assert!(pace.grant(100, 1_000, now));
        assert!(!pace.grant(100, 1_000, now));
    }

    #[test]
    fn a_page_larger_than_the_window_goes_out_alone() {
        let now = Instant::now();
        let mut pace = Pace::default();
        assert!(pace.grant(5_000, 1_000, now));
        assert!(!pace.grant(5_000, 1_000, now));
    }

    #[test]
    fn where_nothing_ends_a_page_goes_out_now_and_then() {
        let now = Instant::now();
        let mut pace = Pace::default();
        pace.read(Counts { asked: 1_000, ended: 0 }, true, now);
        assert!(!pace.grant(100, 1_000, now));
        assert!(!pace.grant(100, 1_000, now + STALLED / 2));
        assert!(pace.grant(100, 1_000, now + STALLED));
        assert!(!pace.grant(100, 1_000, now + STALLED));
    }

    #[test]
    fn a_run_counts_from_where_its_campaign_was() {
        let now = Instant::now();
        let mut pace = Pace::default();
        pace.read(Counts { asked: 0, ended: 70_000 }, false, now);
        assert!(pace.grant(1_000, 1_000, now) && !pace.grant(1_000, 1_000, now));
        pace.read(Counts { asked: 1_000, ended: 70_999 }, false, now);
        assert!(!pace.grant(1_000, 1_000, now));
        pace.read(Counts { asked: 1_000, ended: 71_000 }, false, now);
        assert!(pace.grant(1_000, 1_000, now));
    }

    #[test]
    fn a_spread_send_takes_its_time_and_no_longer() {
        for (rows, seconds) in
            [(1_u64, 600_i64), (5, 600), (1_000, 600), (100_000, 60), (3_000_000, 60), (7, 1)]
        {
            let (mut left, mut now_ms, mut pages) = (rows, 0, 0);
            let end_ms = seconds * 1_000;
            while left > 0 {
                let (page, wait_ms) = spread(left, end_ms - now_ms, 500);
                assert!((1..=500).contains(&page));
                let behind = now_ms as f64 / end_ms as f64 - (rows - left) as f64 / rows as f64;
                assert!(behind.abs() < 0.02 || page == 500, "{rows} in {seconds} s: {behind} at {now_ms} ms");
                left = left.saturating_sub(page as u64);
                now_ms += wait_ms;
                pages += 1;
            }
            assert!(now_ms <= end_ms, "{rows} in {seconds} s took {now_ms} ms");
            assert!(pages <= seconds + 1 || rows > 500 * 60, "{rows} in {seconds} s had {pages} pages");
        }
        assert_eq!(spread(10_000, 0, 500), (500, 0), "what is late goes at once");
        assert_eq!(spread(10_000, -5, 500), (500, 0));
    }
}
