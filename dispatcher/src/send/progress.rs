//! How far a slice has come: pure accounting of offsets, apart from any I/O.

use std::collections::BTreeMap;

use geopush_log::Offset;

/// Which pushes of a slice have no durable end yet, and from where on the deliveries tell of the others.
///
/// Two numbers are committed. The *position* is the lowest push without an end. The *ledger start* is an offset of
/// the deliveries before which there is no end of a push at or after the position: whoever restores reads from
/// there what need not be sent again.
#[derive(Clone, Debug)]
pub struct Progress {
    next: Offset,
    /// Each with the ledger start that holds while it is the lowest.
    unfinished: BTreeMap<Offset, Offset>,
    ledger_from: Offset,
    /// Pushes before this may have been sent by an owner before, who wrote their ends after `ledger_from`.
    replay_until: Offset,
}

impl Progress {
    /// As restored: the committed position and ledger start, and the end of the pushes as it was found then.
    pub fn restored(position: Offset, ledger_from: Offset, replay_until: Offset) -> Self {
        Self { next: position, unfinished: BTreeMap::new(), ledger_from, replay_until }
    }

    /// Takes a batch in hand, before any of it is sent. `deliveries_end` was read before that, too.
    pub fn take(&mut self, offsets: impl Iterator<Item = Offset>, next: Offset, deliveries_end: Offset) {
        if !self.is_replaying() {
            self.ledger_from = self.ledger_from.max(deliveries_end);
        }
        self.unfinished.extend(offsets.map(|offset| (offset, self.ledger_from)));
        self.next = next;
    }

    /// A push has ended, and its end is durable.
    pub fn finish(&mut self, offset: Offset) {
        self.unfinished.remove(&offset);
    }

    /// Whether pushes are still to come that an owner before may have sent.
    pub fn is_replaying(&self) -> bool {
        self.next < self.replay_until
    }

    /// Whether an owner before may have sent the push at this offset: it was there when this owner began.
    pub fn may_have_been_sent(&self, offset: Offset) -> bool {
        offset < self.replay_until
    }

    /// How many of those taken have not ended.
    pub fn in_hand(&self) -> usize {
        self.unfinished.len()
    }

    /// Whether everything taken has ended.
    pub fn is_idle(&self) -> bool {
        self.unfinished.is_empty()
    }

    /// With nothing in hand, the deliveries' end of now is where the ledger starts.
    pub fn advance_ledger(&mut self, deliveries_end: Offset) {
        if self.is_idle() && !self.is_replaying() {
            self.ledger_from = self.ledger_from.max(deliveries_end);
        }
    }

    /// The position to commit.
    pub fn position(&self) -> Offset {
        self.unfinished.first_key_value().map_or(self.next, |(offset, _)| *offset)
    }

    /// The ledger start to commit with it.
    pub fn ledger_from(&self) -> Offset {
        self.unfinished.first_key_value().map_or(self.ledger_from, |(_, from)| *from)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_position_is_the_lowest_unfinished_push() {
        let mut progress = Progress::restored(10, 100, 10);
        progress.take([10, 11, 13].into_iter(), 14, 105);
        progress.finish(11);
        assert_eq!((progress.position(), progress.ledger_from()), (10, 105));
        progress.take([14].into_iter(), 15, 106);
        progress.finish(10);
        assert_eq!((progress.position(), progress.ledger_from()), (13, 105));
        progress.finish(13);
        assert_eq!((progress.position(), progress.ledger_from()), (14, 106));
        progress.finish(14);
        assert_eq!(progress.position(), 15);
        progress.advance_ledger(200);
        assert_eq!(progress.ledger_from(), 200);
    }

    #[test]
    fn the_ledger_does_not_move_while_an_earlier_owners_pushes_may_come() {
        let mut progress = Progress::restored(0, 5, 4);
        progress.take([0, 1].into_iter(), 2, 50);
        assert_eq!(progress.ledger_from(), 5);
        progress.finish(0);
        progress.finish(1);
        progress.advance_ledger(60);
        assert_eq!(progress.ledger_from(), 5);
        progress.take([2, 3].into_iter(), 4, 70);
        assert_eq!(progress.ledger_from(), 5);
        progress.take([4].into_iter(), 5, 80);
        assert!(progress.may_have_been_sent(3) && !progress.may_have_been_sent(4));
        for offset in 2..4 {
            progress.finish(offset);
        }
        assert_eq!(progress.ledger_from(), 80);
    }

    /// What can happen to a slice, in any order.
    #[derive(Clone, Copy, Debug)]
    enum Act {
        Take(u8),
        /// One of the pushes in hand goes out.
        Send(u8),
        /// One of the pushes that went out gets a durable end.
        Append(u8),
        /// Another writer's delivery.
        Foreign,
        Commit,
        Crash,
    }

    fn act() -> impl Strategy<Value = Act> {
        prop_oneof![
            3 => (1..6u8).prop_map(Act::Take),
            6 => any::<u8>().prop_map(Act::Send),
            6 => any::<u8>().prop_map(Act::Append),
            1 => Just(Act::Foreign),
            2 => Just(Act::Commit),
            1 => Just(Act::Crash),
        ]
    }

    const PUSHES: u64 = 40;
    const FOREIGN: u64 = u64::MAX;

    /// The durable world: pushes are their offsets, deliveries hold the push that each is about.
    #[derive(Default)]
    struct World {
        deliveries: Vec<u64>,
        committed: (Offset, Offset),
        sent: Vec<u64>,
    }

    struct Owner {
        progress: Progress,
        done: HashSet<u64>,
        in_hand: Vec<u64>,
        answered: Vec<u64>,
    }

    impl Owner {
        fn restore(world: &World) -> Self {
            let (position, ledger_from) = world.committed;
            let done = world.deliveries[ledger_from as usize..].iter().copied().collect();
            let progress = Progress::restored(position, ledger_from, PUSHES);
            Self { progress, done, in_hand: vec![], answered: vec![] }
        }

        fn act(&mut self, world: &mut World, act: Act) {
            let pick = |from: &mut Vec<u64>, at: u8| {
                (!from.is_empty()).then(|| from.swap_remove(usize::from(at) % from.len()))
            };
            match act {
                Act::Take(count) => {
                    let from = self.progress.next;
                    let next = (from + u64::from(count)).min(PUSHES);
                    self.progress.take(from..next, next, world.deliveries.len() as u64);
                    for push in from..next {
                        if self.done.contains(&push) {
                            self.progress.finish(push);
                        } else {
                            self.in_hand.push(push);
                        }
                    }
                }
                Act::Send(at) => {
                    if let Some(push) = pick(&mut self.in_hand, at) {
                        world.sent.push(push);
                        self.answered.push(push);
                    }
                }
                Act::Append(at) => {
                    if let Some(push) = pick(&mut self.answered, at) {
                        world.deliveries.push(push);
                        self.progress.finish(push);
                    }
                }
                Act::Foreign => world.deliveries.push(FOREIGN),
                Act::Commit => {
                    self.progress.advance_ledger(world.deliveries.len() as u64);
                    world.committed = (self.progress.position(), self.progress.ledger_from());
                }
                Act::Crash => *self = Self::restore(world),
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(512))]

        /// Whatever finishes when and whoever dies where: no push is lost, none has two ends, and one goes out
        /// again only if its end was not durable when its owner died.
        #[test]
        fn nothing_is_lost_and_only_what_had_no_durable_end_is_sent_again(
            acts in proptest::collection::vec(act(), 0..300),
        ) {
            let mut world = World::default();
            let mut owner = Owner::restore(&world);
            let mut died_without_end = 0;
            let finish = (0..PUSHES).flat_map(|_| [Act::Take(5), Act::Send(0), Act::Append(0)]);
            for act in acts.into_iter().chain([Act::Crash]).chain(finish) {
                if matches!(act, Act::Crash) {
                    died_without_end += owner.answered.len();
                }
                owner.act(&mut world, act);
            }
            let mut ended: Vec<u64> = world.deliveries.iter().copied().filter(|push| *push != FOREIGN).collect();
            ended.sort_unstable();
            prop_assert_eq!(ended, (0..PUSHES).collect::<Vec<_>>());
            prop_assert_eq!(world.sent.len(), PUSHES as usize + died_without_end);
        }
    }
}
