//! How fast sends go: not so many pushes of one tenant at once that others wait, and over the time that was asked for.
//! Nothing here does I/O.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use uuid::Uuid;

/// What is known of a send's pushes is read again after this long.
const FRESH: Duration = Duration::from_millis(50);
/// So much of what ends is under way at once: what lies in line before a stage is as long as this at most, and so is
/// what others wait behind it.
pub(super) const IN_LINE: Duration = Duration::from_millis(200);
/// What ended is looked at over this time, or as long as it takes all that is under way to end, up to the latter.
const RATE_OVER: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(8)];
/// However little ends, so much may be under way: enough to find out whether more would.
pub(super) const LEAST: u64 = 4_096;
/// Even where nothing ends, a page goes out after this long: what ends nothing may be one provider of two.
const STALLED: Duration = Duration::from_secs(2);
/// Pushes of a send that were put off leave room for others, up to so many: they are copied now and then until they
/// end, and are not to be ever more.
const MOST_PUT_OFF: u64 = 1_000_000;
/// A send that asked for no room for so long has none left to ask for.
const GONE: Duration = Duration::from_secs(5);
/// The pages of a send that is spread are about so far apart.
const STEP_MS: u64 = 1_000;

/// The pushes of one tenant's sends and campaigns' runs that are asked for and have not ended.
#[derive(Debug, Default)]
pub(super) struct Pace {
    sources: HashMap<Uuid, Source>,
    last_grant: Option<Instant>,
    rate: Rate,
}

/// How much ends.
#[derive(Debug, Default)]
struct Rate {
    since: Option<Instant>,
    ended: u64,
    /// The most that was under way meanwhile.
    peak: u64,
    /// In the time before, by [`IN_LINE`].
    in_line: u64,
    /// How long what was under way took then; none, before that is known.
    drains_in: Option<Duration>,
}

/// Those of one send or run.
#[derive(Debug)]
struct Source {
    counts: Counts,
    /// What had been asked for, and had ended, when this was looked at first.
    base: Option<Counts>,
    /// Whether what is known was read.
    is_known: bool,
    /// Asked for since what is known was read; and at the beginning of the last reading.
    granted: u64,
    granted_before: u64,
    reading: Option<Instant>,
    seen: Instant,
}

/// How far a send is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    /// Devices asked for.
    pub(super) asked: u64,
    /// Pushes that ended.
    pub(super) ended: u64,
    /// Pushes that have not, and wait on the log to be tried again: in nobody's way.
    pub(super) put_off: u64,
}

impl Counts {
    /// Those that are not under way any more, or not now.
    fn away(self) -> u64 {
        self.ended + self.put_off.min(MOST_PUT_OFF)
    }
}

impl Pace {
    /// Whether what is known of this send is to be read: then whoever asked reads it, and tells it by [`Pace::read`].
    pub(super) fn is_to_read(&mut self, source: Uuid, now: Instant) -> bool {
        self.sources.retain(|_, other| now.saturating_duration_since(other.seen) < GONE);
        let source = self.sources.entry(source).or_insert_with(|| Source::new(now));
        source.seen = now;
        let is_stale = source.reading.is_none_or(|at| now.saturating_duration_since(at) >= FRESH);
        if is_stale {
            source.reading = Some(now);
            source.granted_before = source.granted;
        }
        is_stale
    }

    /// Takes what the store says of a send. `of_all`: it counts this send's pushes alone, so that what it said first
    /// counts too.
    pub(super) fn read(&mut self, source: Uuid, counts: Counts, of_all: bool, now: Instant) {
        let source = self.sources.entry(source).or_insert_with(|| Source::new(now));
        source.base.get_or_insert(if of_all { Counts::default() } else { counts });
        if source.is_known {
            self.rate.ended(counts.away().saturating_sub(source.counts.away()), now);
        }
        source.is_known = true;
        source.counts = counts;
        source.granted -= std::mem::take(&mut source.granted_before).min(source.granted);
        self.rate.peak = self.rate.peak.max(self.under_way());
    }

    /// How many end within [`IN_LINE`], as far as is known.
    pub(super) fn in_line(&self) -> u64 {
        self.rate.in_line
    }

    /// How long what is under way takes; none, before that is known.
    pub(super) fn drains_in(&self) -> Option<Duration> {
        self.rate.drains_in
    }

    fn under_way(&self) -> u64 {
        self.sources.values().map(Source::under_way).sum()
    }

    /// Whether a page of so many of this send may go out now; it counts then. `window`: the most that may be under way.
    pub(super) fn grant(&mut self, source: Uuid, page: u64, window: u64, now: Instant) -> bool {
        let under_way = self.under_way();
        let since_last = |last: &mut Instant| now.saturating_duration_since(*last);
        let stalled = since_last(self.last_grant.get_or_insert(now)) >= STALLED;
        let fits = under_way == 0 || under_way + page <= window || stalled;
        if fits {
            self.sources.entry(source).or_insert_with(|| Source::new(now)).granted += page;
            self.last_grant = Some(now);
            self.rate.peak = self.rate.peak.max(under_way + page);
        }
        fits
    }
}

impl Rate {
    /// So many more have ended.
    fn ended(&mut self, more: u64, now: Instant) {
        self.ended += more;
        let passed = now.saturating_duration_since(*self.since.get_or_insert(now));
        let [least, most] = RATE_OVER;
        if passed >= most || (passed >= least && self.ended >= self.peak) {
            self.in_line = (self.ended as f64 * (IN_LINE.as_secs_f64() / passed.as_secs_f64())) as u64;
            self.drains_in = Some(passed.mul_f64(self.peak as f64 / self.ended.max(1) as f64));
            (self.since, self.ended, self.peak) = (Some(now), 0, 0);
        }
    }
}

impl Source {
    fn new(now: Instant) -> Self {
        let counts = Counts::default();
        Self { counts, base: None, is_known: false, granted: 0, granted_before: 0, reading: None, seen: now }
    }

    fn under_way(&self) -> u64 {
        let base = self.base.unwrap_or_default();
        let asked = self.counts.asked.saturating_sub(base.asked) + self.granted;
        asked.saturating_sub(self.counts.away().saturating_sub(base.away()))
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

    const ONE: Uuid = Uuid::from_u128(1);
    const OTHER: Uuid = Uuid::from_u128(2);

    fn counts(asked: u64, ended: u64) -> Counts {
        Counts { asked, ended, put_off: 0 }
    }

    #[test]
    fn a_window_is_filled_and_no_more() {
        let now = Instant::now();
        let mut pace = Pace::default();
        assert!(pace.is_to_read(ONE, now) && !pace.is_to_read(ONE, now), "by one");
        pace.read(ONE, counts(900, 0), true, now);
        assert!(pace.grant(ONE, 100, 1_000, now));
        assert!(!pace.grant(ONE, 100, 1_000, now));
        assert!(pace.is_to_read(ONE, now + FRESH));
        pace.read(ONE, counts(1_000, 150), true, now + FRESH);
        assert!(pace.grant(ONE, 100, 1_000, now));
        assert!(!pace.grant(ONE, 100, 1_000, now));
    }

    #[test]
    fn what_is_granted_during_a_reading_counts_after_it() {
        let now = Instant::now();
        let mut pace = Pace::default();
        assert!(pace.is_to_read(ONE, now) && pace.grant(ONE, 600, 1_000, now));
        pace.read(ONE, counts(0, 0), true, now);
        assert!(!pace.grant(ONE, 600, 1_000, now));
    }

    #[test]
    fn the_sends_of_one_tenant_share_its_window() {
        let now = Instant::now();
        let mut pace = Pace::default();
        for source in [ONE, OTHER] {
            assert!(pace.is_to_read(source, now));
            pace.read(source, counts(450, 0), true, now);
        }
        assert!(pace.grant(ONE, 100, 1_000, now) && !pace.grant(OTHER, 100, 1_000, now));
        let later = now + GONE;
        assert!(
            pace.is_to_read(OTHER, later) && pace.sources.len() == 1,
            "one that asks no more is forgotten"
        );
    }

    #[test]
    fn a_page_larger_than_the_window_goes_out_alone() {
        let now = Instant::now();
        let mut pace = Pace::default();
        assert!(pace.grant(ONE, 5_000, 1_000, now));
        assert!(!pace.grant(ONE, 5_000, 1_000, now));
    }

    #[test]
    fn where_nothing_ends_a_page_goes_out_now_and_then() {
        let now = Instant::now();
        let mut pace = Pace::default();
        pace.read(ONE, counts(1_000, 0), true, now);
        assert!(!pace.grant(ONE, 100, 1_000, now));
        assert!(!pace.grant(ONE, 100, 1_000, now + STALLED / 2));
        assert!(pace.grant(ONE, 100, 1_000, now + STALLED));
        assert!(!pace.grant(ONE, 100, 1_000, now + STALLED));
    }

    #[test]
    fn how_long_it_takes_is_known_when_what_was_under_way_has_ended() {
        let begun = Instant::now();
        let mut pace = Pace::default();
        assert_eq!(pace.drains_in(), None);
        let mut knew_after = None;
        for tenth in 0..=100_u32 {
            let (now, ended) = (begun + Duration::from_millis(100) * tenth, u64::from(tenth) * 4_000);
            pace.read(ONE, counts(60_000 + ended, ended), true, now);
            knew_after = knew_after.or(pace.drains_in().map(|_| tenth));
        }
        assert_eq!((pace.in_line(), pace.drains_in()), (8_000, Some(Duration::from_millis(1_500))));
        assert_eq!(knew_after, Some(15), "when all has ended that was under way");
    }

    #[test]
    fn what_is_put_off_is_in_nobodys_way_until_it_is_too_much() {
        let now = Instant::now();
        let put_off = |put_off| Counts { asked: MOST_PUT_OFF + 1_000, ended: 0, put_off };
        for (counts, fits) in [
            (put_off(0), false),
            (put_off(MOST_PUT_OFF), false),
            (Counts { ended: 100, ..put_off(MOST_PUT_OFF) }, true),
            (put_off(MOST_PUT_OFF + 100), false),
        ] {
            let mut pace = Pace::default();
            pace.read(ONE, counts, true, now);
            assert_eq!(pace.grant(ONE, 100, 1_000, now), fits, "{counts:?}");
        }
    }

    #[test]
    fn a_run_counts_from_where_its_campaign_was() {
        let now = Instant::now();
        let mut pace = Pace::default();
        pace.read(ONE, counts(0, 70_000), false, now);
        assert!(pace.grant(ONE, 1_000, 1_000, now) && !pace.grant(ONE, 1_000, 1_000, now));
        for (ended, fits) in [(70_999, false), (71_000, true)] {
            let later = now + FRESH;
            pace.sources.get_mut(&ONE).unwrap().reading = None;
            assert!(pace.is_to_read(ONE, later));
            pace.read(ONE, counts(1_000, ended), false, later);
            assert_eq!(pace.grant(ONE, 1_000, 1_000, later), fits, "{ended}");
        }
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
