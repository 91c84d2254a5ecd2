//! The jobs that a slice has read and not finished, and the place in the log that stands for them. Nothing here does
//! I/O.
//!
//! Jobs that wait must not hold up those behind them, nor be lost. So the slice's position is its oldest job that is
//! not finished, and the note says which after it are not either: a bit an offset. Where the two drift too far apart,
//! the oldest are told to the log again, and are finished as they were.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use geopush_log::Offset;
use geopush_model::UnixMillis;
use serde::{Deserialize, Serialize};

/// The most offsets that a note tells of: in base64 some 2,700 bytes.
pub(super) const SPAN: u64 = 16_384;
/// Of so many picks one is the oldest's; the others are for those that have just begun, where there are any.
const OLDEST_EVERY: u32 = 4;

/// Jobs by offset.
#[derive(Debug)]
pub(super) struct Hand<J> {
    jobs: BTreeMap<Offset, Held<J>>,
    /// Not finished when the slice was committed last, and not read again yet.
    unread: BTreeSet<Offset>,
    /// Everything before this has been read.
    read: Offset,
    /// Behind the last that is finished.
    finished: Offset,
    picks: u32,
}

#[derive(Debug)]
struct Held<J> {
    job: J,
    /// Whether it is at its beginning.
    fresh: bool,
    ready: Ready,
}

/// When a job is to be looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ready {
    /// Now.
    Now,
    /// When the clock says so.
    At(UnixMillis),
    /// A while later.
    After(Instant),
}

/// Which offsets from the position on are not finished.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Unfinished {
    from: Offset,
    /// A bit an offset, the lowest first, in base64.
    bits: String,
}

impl<J> Hand<J> {
    /// Nothing in hand; the slice begins to read at `position`.
    pub(super) fn at(position: Offset, unfinished: Option<&Unfinished>) -> Self {
        let (unread, finished) = unfinished.map_or_else(|| (BTreeSet::new(), position), Unfinished::read);
        Self { jobs: BTreeMap::new(), unread, read: position, finished, picks: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.jobs.len()
    }

    /// Whether a record that comes from the log is still to be done.
    pub(super) fn is_to_do(&self, offset: Offset) -> bool {
        offset >= self.finished || self.unread.contains(&offset)
    }

    /// Takes a job that [`Hand::is_to_do`]; `fresh`: it is at its beginning.
    pub(super) fn take(&mut self, offset: Offset, job: J, fresh: bool, ready: Ready) {
        self.jobs.insert(offset, Held { job, fresh, ready });
    }

    /// Everything before this offset has been read: what of it is not in hand is finished, or gone.
    pub(super) fn read_to(&mut self, next: Offset) {
        self.read = self.read.max(next);
        self.unread = self.unread.split_off(&next);
    }

    /// The job whose turn it is, if one is ready.
    pub(super) fn pick(&mut self, now: UnixMillis, instant: Instant) -> Option<(Offset, &J)> {
        let ready = |held: &Held<J>| match held.ready {
            Ready::Now => true,
            Ready::At(at) => at <= now,
            Ready::After(at) => at <= instant,
        };
        let mut ripe = self.jobs.iter().filter(|(_, held)| ready(held));
        let oldest = ripe.next()?;
        let fresh = if oldest.1.fresh { None } else { ripe.find(|(_, held)| held.fresh) };
        self.picks = self.picks.wrapping_add(1);
        let (offset, held) = fresh.filter(|_| !self.picks.is_multiple_of(OLDEST_EVERY)).unwrap_or(oldest);
        Some((*offset, &held.job))
    }

    /// How long until a job is ready; none: there is none.
    pub(super) fn pause(&self, now: UnixMillis, instant: Instant) -> Option<Duration> {
        let pause = |held: &Held<J>| match held.ready {
            Ready::Now => Duration::ZERO,
            Ready::At(at) => Duration::from_millis(u64::try_from(at.since_ms(now)).unwrap_or(0)),
            Ready::After(at) => at.saturating_duration_since(instant),
        };
        self.jobs.values().map(pause).min()
    }

    /// Puts a job off, with what is to be remembered of it meanwhile.
    pub(super) fn wait(&mut self, offset: Offset, ready: Ready, note: impl FnOnce(&mut J)) {
        if let Some(held) = self.jobs.get_mut(&offset) {
            held.ready = ready;
            note(&mut held.job);
        }
    }

    /// A job is done with.
    pub(super) fn finish(&mut self, offset: Offset) -> Option<J> {
        self.finished = self.finished.max(offset + 1);
        self.jobs.remove(&offset).map(|held| held.job)
    }

    /// The jobs that are to be told to the log again, because a note could not tell of all: done with here.
    pub(super) fn renew(&mut self) -> Vec<J> {
        let position = self.position();
        if self.finished.saturating_sub(position) <= SPAN {
            return Vec::new();
        }
        let kept = self.jobs.split_off(&(self.finished - SPAN / 2));
        std::mem::replace(&mut self.jobs, kept).into_values().map(|held| held.job).collect()
    }

    /// The place to commit: the position, and what of that which lies behind it is not finished.
    pub(super) fn place(&self) -> (Offset, Option<Unfinished>) {
        let position = self.position();
        if position >= self.finished {
            return (position, None);
        }
        let offsets = self.jobs.keys().chain(&self.unread).copied();
        (position, Some(Unfinished::write(position, self.finished, offsets)))
    }

    fn position(&self) -> Offset {
        let first = self.jobs.keys().next().into_iter().chain(self.unread.first()).min();
        first.copied().unwrap_or_else(|| self.read.max(self.finished))
    }
}

impl Unfinished {
    fn write(from: Offset, to: Offset, offsets: impl Iterator<Item = Offset>) -> Self {
        let place = |offset: Offset| usize::try_from(offset - from).unwrap_or(usize::MAX);
        let mut bits = vec![0_u8; place(to).div_ceil(8)];
        for i in offsets.filter(|offset| (from..to).contains(offset)).map(place) {
            bits[i / 8] |= 1 << (i % 8);
        }
        // The last bit that is told of is always one: where it ends, what is finished ends, or is one.
        let last = place(to);
        if last % 8 > 0 {
            bits[last / 8] |= 0xff_u8 << (last % 8);
        }
        Self { from, bits: STANDARD_NO_PAD.encode(bits) }
    }

    /// The offsets, and behind the last that is finished.
    fn read(&self) -> (BTreeSet<Offset>, Offset) {
        let bits = STANDARD_NO_PAD.decode(&self.bits).unwrap_or_default();
        let set = |i: &usize| bits[i / 8] & (1 << (i % 8)) != 0;
        let offset = |i: usize| self.from.saturating_add(i as u64);
        let places = 0..bits.len() * 8;
        let finished = places.clone().rev().find(|i| !set(i)).map_or(self.from, |i| offset(i + 1));
        let unread = places.filter(set).map(offset).filter(|offset| *offset < finished).collect();
        (unread, finished)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: UnixMillis = UnixMillis(1_000);

    fn pick(hand: &mut Hand<u64>, instant: Instant) -> Option<u64> {
        hand.pick(NOW, instant).map(|(offset, _)| offset)
    }

    #[test]
    fn jobs_that_wait_hold_up_no_others() {
        let instant = Instant::now();
        let mut hand = Hand::at(10, None);
        hand.take(10, 10, false, Ready::At(NOW.plus_ms(1)));
        hand.take(11, 11, false, Ready::After(instant + Duration::from_secs(1)));
        hand.take(12, 12, false, Ready::Now);
        hand.read_to(13);
        assert_eq!(pick(&mut hand, instant), Some(12));
        hand.finish(12);
        assert_eq!(pick(&mut hand, instant), None);
        let (position, unfinished) = hand.place();
        assert_eq!(position, 10);
        let hand = Hand::<u64>::at(position, unfinished.as_ref());
        assert_eq!([10, 11, 12, 13].map(|offset| hand.is_to_do(offset)), [true, true, false, true]);
    }

    #[test]
    fn what_has_just_begun_goes_first_and_the_oldest_does_not_starve() {
        let instant = Instant::now();
        let mut hand = Hand::at(0, None);
        hand.take(0, 0, false, Ready::Now);
        (1..9).for_each(|offset| hand.take(offset, offset, true, Ready::Now));
        let mut order = Vec::new();
        while let Some(offset) = pick(&mut hand, instant) {
            order.push(offset);
            hand.finish(offset);
        }
        assert_eq!(order, [1, 2, 3, 0, 4, 5, 6, 7, 8]);
    }

    #[test]
    fn a_note_is_never_too_long() {
        let instant = Instant::now();
        let mut hand = Hand::at(0, None);
        let (mut next, mut renewed) = (0, 0);
        for offset in 0..100_000_u64 {
            let ready = if offset % 100 == 0 { Ready::At(UnixMillis(i64::MAX)) } else { Ready::Now };
            hand.take(offset, offset, false, ready);
            next += 1;
            hand.read_to(next);
            if let Some(offset) = pick(&mut hand, instant) {
                hand.finish(offset);
            }
            renewed += hand.renew().len();
            let note = hand.place().1.map_or(0, |unfinished| unfinished.bits.len());
            assert!(note < 2_800, "{note}");
        }
        assert_eq!(renewed + hand.len(), 1_000, "each waits, here or once more in the log");
        assert!(renewed > 500);
    }

    proptest! {
        /// However jobs are read, finished and put off, and wherever it dies: each is done, and none that was
        /// committed as done comes again.
        #[test]
        fn every_job_is_done_once(steps in prop::collection::vec((0_u8..10, 0_usize..50), 1..400)) {
            let instant = Instant::now();
            let mut hand = Hand::<u64>::at(0, None);
            let mut place = hand.place();
            let (mut next, mut done) = (0_u64, BTreeSet::new());
            for (kind, n) in steps {
                match kind {
                    0..4 => {
                        if next < 150 && hand.is_to_do(next) {
                            hand.take(next, next, n % 3 == 0, Ready::Now);
                        }
                        next = (next + 1).min(150);
                        hand.read_to(next);
                    }
                    4..6 => {
                        if let Some(offset) = hand.jobs.keys().nth(n).copied() {
                            hand.wait(offset, Ready::At(UnixMillis(i64::MAX)), |_| ());
                        }
                    }
                    6..9 => {
                        if let Some(offset) = pick(&mut hand, instant) {
                            hand.finish(offset);
                            prop_assert!(done.insert(offset), "{offset} twice");
                            place = hand.place();
                        }
                    }
                    _ => {
                        hand = Hand::at(place.0, place.1.as_ref());
                        next = place.0;
                    }
                }
            }
            let mut hand = Hand::at(place.0, place.1.as_ref());
            for offset in place.0..150 {
                if hand.is_to_do(offset) {
                    hand.take(offset, offset, false, Ready::Now);
                }
                hand.read_to(offset + 1);
            }
            while let Some(offset) = pick(&mut hand, instant) {
                hand.finish(offset);
                prop_assert!(done.insert(offset), "{offset} twice");
            }
            prop_assert_eq!(done.len(), 150);
            prop_assert_eq!(hand.place(), (150, None));
        }
    }
}
