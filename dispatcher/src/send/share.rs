//! How the room of a slice's hand is shared between lanes: pure accounting, with the time as an argument.
//!
//! A lane may have as many pushes in hand as there is room left (dynamic thresholds, Choudhury and Hahne 1998): one
//! lane alone has half of the hand, and there always is room for one more. A lane of a tenant that weighs three may have
//! three times as many as there is room left. A lane at its bound whose pushes do not go out quickly is *stuck*: the next
//! of its pushes are put off, so that nobody waits behind them.

use std::time::Duration;

use geopush_model::{Provider, Push, TenantId, Weight};
use hashbrown::HashMap;
use tokio::time::Instant;

/// A lane's name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LaneKey {
    provider: Provider,
    tenant: TenantId,
    app: String,
}

impl LaneKey {
    /// Of the lane that sends this push.
    pub fn of(push: &Push) -> Self {
        Self { provider: push.provider, tenant: push.tenant, app: push.app.clone() }
    }
}

/// Whether a push may be taken in hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Room {
    /// There is room.
    Free,
    /// Its lane has its share, and is quick: there will be room in a moment.
    Soon,
    /// Its lane has its share, and is slow: the push would wait about this long; for ever, if nothing goes out.
    Stuck(Duration),
}

/// A lane is slow when what it has in hand takes longer than this: that much longer would others wait behind it.
pub const PATIENCE: Duration = Duration::from_secs(2);
/// A lane at its bound is judged by what went out in this time. No less: it may have had to connect first, and other slices'
/// pushes may stand before its own in the lane's line.
const WINDOW: Duration = PATIENCE;
/// So long may retries wait behind those of another lane: they are late already.
pub const PATIENCE_OF_RETRIES: Duration = Duration::from_secs(10);

/// One of so many places in a hand is for those who wait for their retries in one lane, and in one that is out.
const LANE_PART: usize = 4;
const OUT_PART: usize = 16;

/// Who has how much of the hand.
#[derive(Debug)]
pub struct Shares {
    room: usize,
    in_hand: usize,
    waiting: usize,
    lanes: HashMap<LaneKey, Share>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Share {
    in_hand: usize,
    waiting: usize,
    /// Of its tenant, when the lane was at its bound last.
    weight: Weight,
    /// Set while the lane is at its bound, and not much below it since.
    watched: Option<Watched>,
}

#[derive(Clone, Copy, Debug)]
struct Watched {
    since: Instant,
    gone: usize,
    /// How long the lane takes for what it has in hand, as the last window said.
    drains_in: Duration,
}

impl Shares {
    /// An empty hand with this much room.
    pub fn new(room: usize) -> Self {
        Self { room, in_hand: 0, waiting: 0, lanes: HashMap::new() }
    }

    /// Whether a lane's next push may be taken; who is slower than `patience` is stuck. `weight`: its tenant's, asked for
    /// where it matters.
    pub fn room(
        &mut self,
        lane: &LaneKey,
        weight: impl FnOnce() -> Weight,
        patience: Duration,
        now: Instant,
    ) -> Room {
        let free = self.room.saturating_sub(self.in_hand);
        let Some(share) = self.lanes.get_mut(lane) else {
            return if free > 0 { Room::Free } else { Room::Soon };
        };
        if share.in_hand < free {
            return Room::Free;
        }
        share.weight = weight();
        if share.in_hand < share.bound(free) {
            return Room::Free;
        }
        match share.judge(now) {
            drains_in if drains_in > patience => Room::Stuck(drains_in),
            _ => Room::Soon,
        }
    }

    /// A push is taken in hand.
    pub fn take(&mut self, lane: &LaneKey) {
        self.in_hand += 1;
        match self.lanes.get_mut(lane) {
            Some(share) => share.in_hand += 1,
            None => drop(self.lanes.insert(lane.clone(), Share { in_hand: 1, ..Share::default() })),
        }
    }

    /// A push is in hand no more.
    pub fn give_back(&mut self, lane: &LaneKey) {
        let free = self.room.saturating_sub(self.in_hand);
        let Some(share) = self.lanes.get_mut(lane) else { return };
        self.in_hand -= 1;
        share.in_hand -= 1;
        if let Some(watched) = &mut share.watched {
            watched.gone += 1;
        }
        // Well below its bound it is as any other.
        if share.in_hand < share.bound(free) / 2 {
            share.watched = None;
        }
        if share.in_hand == 0 {
            self.lanes.remove(lane);
        }
    }

    /// Whether one more push may wait for its retry in hand: those who wait must leave room for those who go. Of a lane
    /// that is out fewer may: more of its pushes come all the time, and others of their send come behind them.
    pub fn may_wait(&self, lane: &LaneKey, lane_is_out: bool) -> bool {
        let waiting = self.lanes.get(lane).map_or(0, |share| share.waiting);
        let part = if lane_is_out { OUT_PART } else { LANE_PART };
        self.waiting < self.room.div_ceil(2) && waiting < self.room.div_ceil(part)
    }

    /// How many wait for their retries.
    pub fn waiting(&self) -> usize {
        self.waiting
    }

    /// A push in hand begins to wait for its retry, or has waited.
    pub fn waits(&mut self, lane: &LaneKey, begins: bool) {
        let Some(share) = self.lanes.get_mut(lane) else { return };
        for count in [&mut self.waiting, &mut share.waiting] {
            if begins {
                *count += 1;
            } else {
                *count -= 1;
            }
        }
    }
}

impl Share {
    /// As much as it may have in hand beside so much that is free.
    fn bound(&self, free: usize) -> usize {
        free.saturating_mul(self.weight.get() as usize)
    }

    /// How long it takes for what it has in hand; unknown, it is no time.
    fn judge(&mut self, now: Instant) -> Duration {
        let in_hand = self.in_hand;
        let watched = self.watched.get_or_insert(Watched { since: now, gone: 0, drains_in: Duration::ZERO });
        let passed = now.saturating_duration_since(watched.since);
        if passed >= WINDOW {
            let drains_in = match watched.gone {
                0 => Duration::MAX,
                gone => passed.mul_f64(in_hand as f64 / gone as f64),
            };
            *watched = Watched { since: now, gone: 0, drains_in };
        }
        watched.drains_in
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::send::testing::push;

    const MS: fn(u64) -> Duration = Duration::from_millis;

    fn lane(app: &str) -> LaneKey {
        let mut push = push("t");
        push.app = app.to_owned();
        LaneKey::of(&push)
    }

    /// Takes what there is room for.
    fn fill(shares: &mut Shares, lane: &LaneKey, now: Instant) -> usize {
        (0..)
            .take_while(|_| {
                shares.room(lane, Weight::default, PATIENCE, now) == Room::Free && {
                    shares.take(lane);
                    true
                }
            })
            .count()
    }

    #[test]
    fn one_lane_has_half_of_the_hand_and_there_is_always_room_for_another() {
        let now = Instant::now();
        let mut shares = Shares::new(1_000);
        assert_eq!(fill(&mut shares, &lane("first"), now), 500);
        assert_eq!(fill(&mut shares, &lane("second"), now), 250);
        assert_eq!(fill(&mut shares, &lane("third"), now), 125);
        for n in 0..100 {
            let room = shares.room(&lane(&format!("app-{n}")), Weight::default, PATIENCE, now);
            assert_eq!(room, Room::Free);
        }
        for _ in 0..250 {
            shares.give_back(&lane("second"));
        }
        assert!(shares.room(&lane("third"), Weight::default, PATIENCE, now) == Room::Free);
    }

    #[test]
    fn tenants_share_the_hand_by_their_weights() {
        let now = Instant::now();
        for (weights, expected) in
            [([1, 1], [333, 333]), ([3, 1], [600, 200]), ([1, 3], [200, 600]), ([100, 1], [980, 10])]
        {
            let mut shares = Shares::new(1_000);
            let mut has = [0_usize; 2];
            // Both come all the time, and go as fast.
            for n in (0..20_000).map(|n| n % 2) {
                let lane = lane(&format!("app-{n}"));
                if has[n] > 1 {
                    shares.give_back(&lane);
                    has[n] -= 1;
                }
                let weight = || Weight::new(weights[n]).unwrap();
                for _ in 0..2 {
                    if shares.room(&lane, weight, PATIENCE, now) == Room::Free {
                        shares.take(&lane);
                        has[n] += 1;
                    }
                }
            }
            assert!((0..2).all(|n| has[n].abs_diff(expected[n]) <= 2), "{weights:?}: {has:?}");
            assert_eq!(shares.room(&lane("another"), Weight::default, PATIENCE, now), Room::Free);
        }
    }

    #[test]
    fn even_the_smallest_hand_takes_one() {
        let now = Instant::now();
        let mut shares = Shares::new(1);
        assert_eq!(fill(&mut shares, &lane("a"), now), 1);
        assert_eq!(shares.room(&lane("a"), Weight::default, PATIENCE, now), Room::Soon);
        assert_eq!(shares.room(&lane("b"), Weight::default, PATIENCE, now), Room::Soon);
        shares.give_back(&lane("a"));
        assert_eq!(shares.room(&lane("b"), Weight::default, PATIENCE, now), Room::Free);
    }

    #[test]
    fn a_lane_at_its_bound_is_stuck_when_nothing_goes_out() {
        let now = Instant::now();
        let mut shares = Shares::new(100);
        fill(&mut shares, &lane("dead"), now);
        assert_eq!(shares.room(&lane("dead"), Weight::default, PATIENCE, now + MS(1_999)), Room::Soon);
        assert_eq!(
            shares.room(&lane("dead"), Weight::default, PATIENCE, now + MS(2_000)),
            Room::Stuck(Duration::MAX)
        );
        // What the last window said holds until the next.
        assert_eq!(
            shares.room(&lane("dead"), Weight::default, PATIENCE, now + MS(2_001)),
            Room::Stuck(Duration::MAX)
        );
        for _ in 0..49 {
            shares.give_back(&lane("dead"));
        }
        assert_eq!(shares.room(&lane("dead"), Weight::default, PATIENCE, now + MS(2_002)), Room::Free);
        assert_eq!(fill(&mut shares, &lane("dead"), now + MS(2_003)), 49, "it is not judged by its past");
    }

    #[test]
    fn a_lane_is_judged_by_how_fast_it_drains() {
        let now = Instant::now();
        for (a_second, patience, expected) in [
            (1_000, PATIENCE, Room::Soon),
            (250, PATIENCE, Room::Soon),
            (200, PATIENCE, Room::Stuck(MS(2_500))),
            (200, PATIENCE_OF_RETRIES, Room::Soon),
            (10, PATIENCE_OF_RETRIES, Room::Stuck(MS(50_000))),
        ] {
            let mut shares = Shares::new(1_000);
            fill(&mut shares, &lane("a"), now);
            for _ in 0..2 * a_second {
                shares.give_back(&lane("a"));
                shares.take(&lane("a"));
            }
            assert_eq!(
                shares.room(&lane("a"), Weight::default, patience, now + MS(2_000)),
                expected,
                "{a_second} a second"
            );
        }
    }

    #[test]
    fn those_who_wait_leave_room_for_those_who_go() {
        let now = Instant::now();
        let mut shares = Shares::new(100);
        fill(&mut shares, &lane("a"), now);
        fill(&mut shares, &lane("b"), now);
        for _ in 0..25 {
            assert!(shares.may_wait(&lane("a"), false));
            shares.waits(&lane("a"), true);
        }
        assert!(!shares.may_wait(&lane("a"), false) && shares.may_wait(&lane("b"), true));
        shares.waits(&lane("a"), false);
        assert!(shares.may_wait(&lane("a"), false) && !shares.may_wait(&lane("a"), true));
        for _ in 0..7 {
            assert!(shares.may_wait(&lane("b"), true));
            shares.waits(&lane("b"), true);
        }
        assert!(!shares.may_wait(&lane("b"), true) && shares.may_wait(&lane("b"), false));
    }
}
