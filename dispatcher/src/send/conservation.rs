//! What [`Progress`](super::progress::Progress) and [`Ledger`](super::ledger::Ledger) keep between them, whatever
//! finishes when and whoever dies where: checked on a model of a slice and its topics.

use std::collections::{BTreeMap, BTreeSet};

use geopush_log::Offset;
use geopush_model::PushId;
use proptest::prelude::*;
use uuid::Uuid;

use super::ledger::Ledger;
use super::progress::{Place, Progress};

const PUSHES: u64 = 30;
const INPUTS: usize = 3;
/// A push is put off no more often than this, so that all comes to an end.
const MOST_DEFERRALS: u32 = 4;

/// What can happen to a slice, in any order.
#[derive(Clone, Copy, Debug)]
enum Act {
    /// Records of an input are taken in hand.
    Take(usize, u8),
    /// One of the pushes in hand goes out.
    Send(u8),
    /// One of the pushes that went out gets a durable end.
    Append(u8),
    /// One of the pushes that went out is put off with the next commit, to this topic of retries.
    PutOff(u8, usize),
    /// One of the pushes in hand is put off without being sent.
    Overflow(u8, usize),
    /// Another writer's delivery.
    Foreign,
    Commit,
    Crash,
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        4 => (0..INPUTS, 1..6u8).prop_map(|(input, count)| Act::Take(input, count)),
        6 => any::<u8>().prop_map(Act::Send),
        4 => any::<u8>().prop_map(Act::Append),
        3 => (any::<u8>(), 1..INPUTS).prop_map(|(at, topic)| Act::PutOff(at, topic)),
        1 => (any::<u8>(), 1..INPUTS).prop_map(|(at, topic)| Act::Overflow(at, topic)),
        1 => Just(Act::Foreign),
        2 => Just(Act::Commit),
        1 => Just(Act::Crash),
    ]
}

fn id(push: u64) -> PushId {
    PushId(Uuid::from_u128(u128::from(push)))
}

/// One of a push's records: it, and how often it was put off.
type Copy = (u64, u32);

/// The durable world.
struct World {
    /// By input.
    topics: [Vec<Copy>; INPUTS],
    /// A push with the time that it was put off for; none when it has ended.
    deliveries: Vec<(u64, Option<u32>)>,
    positions: Vec<Offset>,
    ledger_from: Offset,
    taken: [Offset; INPUTS - 1],
    sent: Vec<Copy>,
    /// Sent by one who died before it was written what became of them.
    unknown: Vec<Copy>,
}

const FOREIGN: u64 = u64::MAX;

impl World {
    fn new() -> Self {
        let pushes = (0..PUSHES).map(|push| (push, 0)).collect();
        Self {
            topics: [pushes, vec![], vec![]],
            deliveries: vec![],
            positions: vec![0; INPUTS],
            ledger_from: 0,
            taken: [0; INPUTS - 1],
            sent: vec![],
            unknown: vec![],
        }
    }
}

struct Owner {
    progress: Progress,
    ledger: Ledger,
    next: Vec<Offset>,
    taken: [Offset; INPUTS - 1],
    in_hand: Vec<(Place, Copy)>,
    answered: Vec<(Place, Copy)>,
    putting_off: Vec<(Place, Copy, usize)>,
}

fn pick<T>(from: &mut Vec<T>, at: u8) -> Option<T> {
    (!from.is_empty()).then(|| from.swap_remove(usize::from(at) % from.len()))
}

impl Owner {
    fn restore(world: &World) -> Self {
        let replay_until = [PUSHES, world.taken[0], world.taken[1]];
        let inputs = world.positions.iter().copied().zip(replay_until);
        let mut ledger = Ledger::default();
        for (push, deferred) in &world.deliveries[world.ledger_from as usize..] {
            ledger.tell(id(*push), *deferred);
        }
        Self {
            progress: Progress::restored(inputs, world.ledger_from),
            ledger,
            next: world.positions.clone(),
            taken: world.taken,
            in_hand: vec![],
            answered: vec![],
            putting_off: vec![],
        }
    }

    fn act(&mut self, world: &mut World, act: Act) {
        match act {
            Act::Take(input, count) => {
                let from = self.next[input];
                let until = (from + u64::from(count)).min(world.topics[input].len() as u64);
                if input > 0 && until > self.taken[input - 1] {
                    self.taken[input - 1] = until;
                    self.commit(world);
                }
                self.progress.saw_deliveries(world.deliveries.len() as u64);
                for offset in from..until {
                    let place = Place { input, offset };
                    let (push, deferrals) = world.topics[input][offset as usize];
                    self.progress.take(place, offset + 1);
                    let may_have_been_sent = self.progress.may_have_been_sent(place);
                    if may_have_been_sent && self.ledger.has_settled(id(push), deferrals) {
                        self.progress.finish(place);
                    } else {
                        self.in_hand.push((place, (push, deferrals)));
                    }
                }
                self.next[input] = until;
                if !self.progress.is_replaying() {
                    self.ledger.close();
                }
            }
            Act::Send(at) => {
                if let Some((place, copy)) = pick(&mut self.in_hand, at) {
                    world.sent.push(copy);
                    self.answered.push((place, copy));
                }
            }
            Act::Append(at) => {
                if let Some((place, (push, _))) = pick(&mut self.answered, at) {
                    world.deliveries.push((push, None));
                    self.progress.finish(place);
                }
            }
            Act::PutOff(at, topic) => {
                let put_off = pick(&mut self.answered, at);
                self.put_off(put_off, topic, true);
            }
            Act::Overflow(at, topic) => {
                let put_off = pick(&mut self.in_hand, at);
                self.put_off(put_off, topic, false);
            }
            Act::Foreign => world.deliveries.push((FOREIGN, None)),
            Act::Commit => self.commit(world),
            Act::Crash => {
                world.unknown.extend(self.answered.iter().map(|(_, copy)| *copy));
                let put_off = self.putting_off.iter().map(|(_, copy, _)| *copy);
                world.unknown.extend(put_off.filter(|copy| world.sent.contains(copy)));
                *self = Self::restore(world);
            }
        }
    }

    fn put_off(&mut self, put_off: Option<(Place, Copy)>, topic: usize, sent: bool) {
        let Some((place, copy)) = put_off else { return };
        if copy.1 < MOST_DEFERRALS {
            self.putting_off.push((place, copy, topic));
        } else if sent {
            self.answered.push((place, copy));
        } else {
            self.in_hand.push((place, copy));
        }
    }

    fn commit(&mut self, world: &mut World) {
        for (place, (push, deferrals), topic) in std::mem::take(&mut self.putting_off) {
            self.progress.finish(place);
            world.topics[topic].push((push, deferrals + 1));
            world.deliveries.push((push, Some(deferrals + 1)));
        }
        if self.progress.in_hand() == 0 {
            self.progress.saw_deliveries(world.deliveries.len() as u64);
        }
        world.positions = self.progress.positions();
        world.ledger_from = self.progress.ledger_from();
        world.taken = self.taken;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_024, failure_persistence: None, ..ProptestConfig::default() })]

    /// No push is lost, none has two ends or is put off twice for the same time, and one of its records goes out again
    /// only if it was not known, when its owner died, what became of it.
    #[test]
    fn nothing_is_lost_and_only_what_is_not_known_is_sent_again(acts in proptest::collection::vec(act(), 0..400)) {
        let mut world = World::new();
        let mut owner = Owner::restore(&world);
        let round = [Act::Take(0, 5), Act::Take(1, 5), Act::Take(2, 5), Act::Send(0), Act::Append(0), Act::Commit];
        let finish = std::iter::repeat_n(round, 400).flatten();
        for act in acts.into_iter().chain([Act::Crash]).chain(finish) {
            owner.act(&mut world, act);
        }
        let mut ends: BTreeMap<u64, usize> = BTreeMap::new();
        let mut put_off: BTreeSet<Copy> = BTreeSet::new();
        for (push, deferred) in world.deliveries.iter().filter(|(push, _)| *push != FOREIGN) {
            match deferred {
                None => *ends.entry(*push).or_default() += 1,
                Some(deferrals) => prop_assert!(put_off.insert((*push, *deferrals)), "twice: {:?}", (push, deferrals)),
            }
        }
        let all: Vec<_> = (0..PUSHES).map(|push| (push, 1)).collect();
        prop_assert_eq!(ends.into_iter().collect::<Vec<_>>(), all);
        let count = |copies: &[Copy], copy: Copy| copies.iter().filter(|other| **other == copy).count();
        for copy in world.sent.iter().copied().collect::<BTreeSet<_>>() {
            let (sent, unknown) = (count(&world.sent, copy), count(&world.unknown, copy));
            prop_assert!(sent <= 1 + unknown, "{copy:?} was sent {sent} times, {unknown} times unknown");
        }
        prop_assert_eq!(owner.progress.in_hand(), 0);
        prop_assert!(world.ledger_from == world.deliveries.len() as u64, "the ledger ends with what is to be known");
    }
}
