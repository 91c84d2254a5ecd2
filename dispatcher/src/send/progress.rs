//! How far a slice has come in each of its inputs: pure accounting of offsets, apart from any I/O.

use std::collections::BTreeMap;

use geopush_log::Offset;

/// A record of one of a slice's inputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place {
    /// The index of the input.
    pub input: usize,
    /// Its offset there.
    pub offset: Offset,
}

/// Which records of a slice are not finished yet, and from where on the deliveries tell of the others. A record is
/// finished when the deliveries hold the end of its push, or that it was put off to a later record.
///
/// Two things are committed. The *positions* are each input's lowest unfinished record. The *ledger start* is an
/// offset of the deliveries before which nothing is said of a record at or after its input's position: whoever
/// restores reads from there what need not be sent again.
#[derive(Clone, Debug)]
pub struct Progress {
    inputs: Vec<Input>,
    /// Where the ledger starts for a record that is taken next.
    ledger_from: Offset,
    in_hand: usize,
}

#[derive(Clone, Debug)]
struct Input {
    next: Offset,
    /// Each with the ledger start that holds while it is the lowest.
    unfinished: BTreeMap<Offset, Offset>,
    /// Records before this may have been sent by an owner before, who said so after `replay_from`.
    replay_until: Offset,
    replay_from: Offset,
}

impl Input {
    fn is_replaying(&self) -> bool {
        self.next < self.replay_until
    }

    /// Before this nothing is said of what is not finished; none: nothing is said of it anywhere yet.
    fn ledger_from(&self) -> Option<Offset> {
        match self.unfinished.first_key_value() {
            Some((_, from)) => Some(*from),
            None => self.is_replaying().then_some(self.replay_from),
        }
    }
}

impl Progress {
    /// As restored: each input's committed position, with the offset from which on no owner before has sent
    /// anything; and the committed ledger start.
    pub fn restored(inputs: impl IntoIterator<Item = (Offset, Offset)>, ledger_from: Offset) -> Self {
        let input = |(next, replay_until)| Input {
            next,
            unfinished: BTreeMap::new(),
            replay_until,
            replay_from: ledger_from,
        };
        Self { inputs: inputs.into_iter().map(input).collect(), ledger_from, in_hand: 0 }
    }

    /// Takes a record in hand, before it is sent: everything of its input before `next` was taken then. An end of the
    /// deliveries that is told to [`Self::saw_deliveries`] must have been read before that, too.
    pub fn take(&mut self, place: Place, next: Offset) {
        let input = &mut self.inputs[place.input];
        let from = if input.is_replaying() { input.replay_from } else { self.ledger_from };
        input.unfinished.insert(place.offset, from);
        input.next = next;
        self.in_hand += 1;
    }

    /// The deliveries' end as it was read just now: what is taken from now on is said after it.
    pub fn saw_deliveries(&mut self, end: Offset) {
        self.ledger_from = self.ledger_from.max(end);
    }

    /// A record is finished, durably, or in the commit that is being made.
    pub fn finish(&mut self, place: Place) {
        if self.inputs[place.input].unfinished.remove(&place.offset).is_some() {
            self.in_hand -= 1;
        }
    }

    /// Whether records are still to come that an owner before may have sent.
    pub fn is_replaying(&self) -> bool {
        self.inputs.iter().any(Input::is_replaying)
    }

    /// Whether an owner before may have sent this one.
    pub fn may_have_been_sent(&self, place: Place) -> bool {
        place.offset < self.inputs[place.input].replay_until
    }

    /// How many of those taken are not finished.
    pub fn in_hand(&self) -> usize {
        self.in_hand
    }

    /// The positions to commit.
    pub fn positions(&self) -> Vec<Offset> {
        let position =
            |input: &Input| input.unfinished.first_key_value().map_or(input.next, |(lowest, _)| *lowest);
        self.inputs.iter().map(position).collect()
    }

    /// The ledger start to commit with them.
    pub fn ledger_from(&self) -> Offset {
        self.inputs.iter().filter_map(Input::ledger_from).min().unwrap_or(self.ledger_from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pushes(offset: Offset) -> Place {
        Place { input: 0, offset }
    }

    fn retries(offset: Offset) -> Place {
        Place { input: 1, offset }
    }

    #[test]
    fn the_position_is_the_lowest_unfinished_record() {
        let mut progress = Progress::restored([(10, 10), (0, 0)], 100);
        progress.saw_deliveries(105);
        for (offset, next) in [(10, 11), (11, 13), (13, 14)] {
            progress.take(pushes(offset), next);
        }
        progress.finish(pushes(11));
        assert_eq!((progress.positions(), progress.ledger_from()), (vec![10, 0], 105));
        progress.saw_deliveries(106);
        progress.take(pushes(14), 15);
        progress.finish(pushes(10));
        assert_eq!((progress.positions(), progress.ledger_from()), (vec![13, 0], 105));
        progress.finish(pushes(13));
        assert_eq!((progress.positions(), progress.ledger_from()), (vec![14, 0], 106));
        progress.finish(pushes(14));
        progress.finish(pushes(14));
        assert_eq!((progress.positions(), progress.in_hand()), (vec![15, 0], 0));
        progress.saw_deliveries(200);
        assert_eq!(progress.ledger_from(), 200);
    }

    #[test]
    fn the_ledger_does_not_move_while_an_earlier_owners_records_may_come() {
        let mut progress = Progress::restored([(0, 2), (0, 0)], 5);
        progress.saw_deliveries(50);
        progress.take(pushes(0), 1);
        progress.finish(pushes(0));
        assert_eq!(progress.ledger_from(), 5);
        progress.take(pushes(1), 2);
        assert!(!progress.is_replaying());
        assert_eq!(progress.ledger_from(), 5);
        progress.take(pushes(2), 3);
        assert!(progress.may_have_been_sent(pushes(1)) && !progress.may_have_been_sent(pushes(2)));
        progress.finish(pushes(1));
        assert_eq!(progress.ledger_from(), 50);
    }

    #[test]
    fn the_ledger_starts_where_the_input_that_is_furthest_back_needs_it() {
        let mut progress = Progress::restored([(0, 0), (7, 9)], 5);
        progress.saw_deliveries(50);
        progress.take(pushes(0), 1);
        assert_eq!(progress.ledger_from(), 5, "retries of an earlier owner are still to come");
        progress.take(retries(7), 8);
        progress.take(retries(8), 9);
        progress.finish(retries(7));
        assert_eq!((progress.positions(), progress.ledger_from()), (vec![0, 8], 5));
        progress.finish(retries(8));
        assert_eq!((progress.positions(), progress.ledger_from()), (vec![0, 9], 50));
    }
}
