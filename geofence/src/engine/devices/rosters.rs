//! Who is in which zone, kept so that to come and go costs next to nothing.

use std::cmp::Ordering;

use geopush_model::{TransitionKind, ZoneId};

use super::Slot;

/// Enters and exits, written one after the other into journals; who is in a zone is added up when somebody asks, which
/// only changes of zones do. So a transition writes eight bytes at the end of a list, where tables by zone would have it
/// wait for memory all over the place.
#[derive(Debug)]
pub(super) struct Rosters {
    journals: Box<[Journal]>,
    stays: usize,
}

/// The enters and exits of some zones.
#[derive(Clone, Debug, Default)]
struct Journal {
    notes: Vec<Note>,
    /// So many were left when it was balanced last.
    balanced: usize,
}

/// An enter or an exit: 31 bits of the zone's id, the slot, and in the lowest bit which of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Note(u64);

impl Rosters {
    /// Enough that a journal is short, few enough that their ends stay in a processor's cache.
    const JOURNALS: usize = 1 << 12;

    pub(super) fn new() -> Self {
        Self { journals: vec![Journal::default(); Self::JOURNALS].into(), stays: 0 }
    }

    /// A device came into a zone.
    #[inline]
    pub(super) fn enter(&mut self, slot: Slot, zone: ZoneId) {
        self.stays += 1;
        self.journals[journal_of(zone)].write(Note::enter(zone, slot));
    }

    /// A device is in a zone no longer.
    #[inline]
    pub(super) fn exit(&mut self, slot: Slot, zone: ZoneId) {
        self.stays -= 1;
        self.journals[journal_of(zone)].write(Note::enter(zone, slot).exit());
    }

    /// Notes what happened.
    #[inline]
    pub(super) fn note(&mut self, slot: Slot, zone: ZoneId, kind: TransitionKind) {
        match kind {
            TransitionKind::Enter => self.enter(slot, zone),
            TransitionKind::Exit(_) => self.exit(slot, zone),
            TransitionKind::Dwell => {}
        }
    }

    /// The devices that are in a zone, each once and in order, and perhaps some that are in another one instead.
    pub(super) fn likely_in(&self, zone: ZoneId) -> Vec<Slot> {
        let Journal { notes, .. } = &self.journals[journal_of(zone)];
        let mut of_zone: Vec<_> = notes.iter().copied().filter(|note| note.is_of(zone)).collect();
        balance(&mut of_zone);
        of_zone.dedup();
        of_zone.into_iter().map(Note::slot).collect()
    }

    /// How many stays there are.
    pub(super) fn stays(&self) -> usize {
        self.stays
    }
}

impl Journal {
    const LEAST: usize = 32;

    fn write(&mut self, note: Note) {
        if self.notes.len() >= 2 * self.balanced.max(Self::LEAST) {
            balance(&mut self.notes);
            self.balanced = self.notes.len();
        }
        self.notes.push(note);
    }
}

/// Leaves the enters that no exit followed.
fn balance(notes: &mut Vec<Note>) {
    notes.sort();
    let mut left = Vec::with_capacity(notes.len() / 2);
    for of_one in notes.chunk_by(|a, b| a.is_like(*b)) {
        let enters = of_one.iter().filter(|note| !note.is_exit()).count();
        match (2 * enters).cmp(&of_one.len()) {
            Ordering::Less => unreachable!("who leaves a zone was in it"),
            Ordering::Equal => {}
            // More than one only if two zones are alike in all the bits that are kept of them.
            Ordering::Greater => left.extend_from_slice(&of_one[..2 * enters - of_one.len()]),
        }
    }
    *notes = left;
}

impl Note {
    fn enter(zone: ZoneId, Slot(slot): Slot) -> Self {
        Self(bits_of(zone) >> 12 << 33 | u64::from(slot) << 1)
    }

    fn exit(self) -> Self {
        Self(self.0 | 1)
    }

    fn is_exit(self) -> bool {
        self.0 & 1 != 0
    }

    /// Whether both are of one device in one zone.
    fn is_like(self, other: Self) -> bool {
        self.0 >> 1 == other.0 >> 1
    }

    fn is_of(self, zone: ZoneId) -> bool {
        self.0 >> 33 == bits_of(zone) << 21 >> 33
    }

    fn slot(self) -> Slot {
        Slot((self.0 >> 1) as u32)
    }
}

fn journal_of(zone: ZoneId) -> usize {
    bits_of(zone) as usize % Rosters::JOURNALS
}

/// The bits of an id that are random in all versions of UUIDs that are.
fn bits_of(zone: ZoneId) -> u64 {
    zone.0.as_u128() as u64
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;

    /// Of five zones two are alike in all that is kept of them, and the others share a journal with them or do not.
    fn zone(number: usize) -> ZoneId {
        let ids = [7, 7 | 1 << 60, 7 | 1 << 20, 7 | 1 << 42, 8];
        ZoneId(Uuid::from_u128(ids[number]))
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn whoever_is_in_a_zone_is_likely_in_it_and_nobody_who_is_in_none(
            moves in proptest::collection::vec((0..5_usize, 0..40_u32), 0..2_000),
        ) {
            let (mut rosters, mut model) = (Rosters::new(), BTreeSet::new());
            for (number, slot) in moves {
                if model.insert((number, slot)) {
                    rosters.enter(Slot(slot), zone(number));
                } else {
                    model.remove(&(number, slot));
                    rosters.exit(Slot(slot), zone(number));
                }
            }
            prop_assert_eq!(rosters.stays(), model.len());
            let members = |numbers: &[usize]| {
                let of_them = model.iter().filter(|(number, _)| numbers.contains(number));
                of_them.map(|(_, slot)| Slot(*slot)).collect::<BTreeSet<_>>()
            };
            for (number, alike) in [(0, &[0, 1][..]), (1, &[0, 1]), (2, &[2]), (3, &[3]), (4, &[4])] {
                let likely = rosters.likely_in(zone(number));
                prop_assert!(likely.is_sorted_by(|a, b| a < b));
                prop_assert_eq!(likely.into_iter().collect::<BTreeSet<_>>(), members(alike));
            }
        }
    }

    #[test]
    fn a_journal_is_no_longer_than_a_few_times_what_is_left() {
        let mut rosters = Rosters::new();
        for slot in (0..10_000).map(Slot) {
            rosters.enter(slot, zone(0));
            rosters.exit(slot, zone(0));
        }
        assert!(rosters.journals[journal_of(zone(0))].notes.len() <= 2 * Journal::LEAST);
    }
}
