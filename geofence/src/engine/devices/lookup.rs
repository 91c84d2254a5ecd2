//! Where the devices' lines are, by their hashes.

use super::DeviceHash;
use crate::engine::memory::ask;

/// From hashes to places: 8 bytes an entry, the tag and the place.
///
/// A table a bucket, so that a bucket's devices stand together, and growing stops the pings for one small table only.
/// A table is made of cache lines: an entry stands in the line that its tag's size calls for, or, where that is full,
/// in the next one that is not. So growing needs nothing but the tags, and most searches read one line.
#[derive(Debug)]
pub(super) struct Lookup {
    tables: Box<[Table]>,
    len: usize,
}

#[derive(Debug)]
struct Table {
    lines: Box<[Line]>,
    used: usize,
}

/// A cache line of entries, the free ones last.
#[derive(Clone, Debug)]
#[repr(C, align(64))]
struct Line {
    tags: [u32; Line::ENTRIES],
    places: [u32; Line::ENTRIES],
}

/// No place: what stands in a free entry.
const FREE: u32 = u32::MAX;

impl Lookup {
    pub(super) fn new() -> Self {
        let table = || Table { lines: vec![Line::FREE; Table::LEAST].into(), used: 0 };
        Self { tables: (0..DeviceHash::BUCKETS).map(|_| table()).collect(), len: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Asks the memory for what a search for the hash reads first.
    #[inline]
    pub(super) fn ask(&self, hash: DeviceHash) {
        let table = self.table(hash);
        ask(&table.lines[table.line_of(hash.tag())]);
    }

    /// The place of a hash, or of another one with the same tag; right all but once in a billion times.
    #[inline]
    pub(super) fn likely(&self, hash: DeviceHash) -> Option<u32> {
        self.find(hash, |_| true)
    }

    /// The place of a hash. `is_it` compares what the tag doesn't tell.
    #[inline]
    pub(super) fn find(&self, hash: DeviceHash, is_it: impl Fn(u32) -> bool) -> Option<u32> {
        let (table, tag) = (self.table(hash), hash.tag());
        let mut at = table.line_of(tag);
        loop {
            let line = &table.lines[at];
            let mut alike = line.alike(tag);
            while alike != 0 {
                let place = line.places[alike.trailing_zeros() as usize];
                if place != FREE && is_it(place) {
                    return Some(place);
                }
                alike &= alike - 1;
            }
            if !line.is_full() {
                return None;
            }
            at = table.after(at);
        }
    }

    /// Adds a hash that is not there.
    pub(super) fn add(&mut self, hash: DeviceHash, place: u32) {
        let table = &mut self.tables[usize::from(hash.bucket())];
        table.make_room();
        table.put(hash.tag(), place);
        self.len += 1;
    }

    /// Removes a hash that is at this place.
    pub(super) fn remove(&mut self, hash: DeviceHash, place: u32) {
        self.tables[usize::from(hash.bucket())].remove(hash.tag(), place);
        self.len -= 1;
    }

    /// The places of a bucket's devices.
    pub(super) fn bucket(&self, number: u8) -> impl Iterator<Item = u32> {
        self.tables[usize::from(number)].entries().map(|(_, place)| place)
    }

    /// The memory it holds, in bytes.
    pub(super) fn bytes(&self) -> usize {
        let lines: usize = self.tables.iter().map(|table| table.lines.len()).sum();
        lines * size_of::<Line>() + self.tables.len() * size_of::<Table>()
    }

    #[inline]
    fn table(&self, hash: DeviceHash) -> &Table {
        &self.tables[usize::from(hash.bucket())]
    }
}

impl Line {
    const ENTRIES: usize = 8;
    const FREE: Self = Self { tags: [0; Self::ENTRIES], places: [FREE; Self::ENTRIES] };

    /// Which entries have the tag, a bit each; free ones may.
    #[inline]
    fn alike(&self, tag: u32) -> u32 {
        (0..Self::ENTRIES).fold(0, |alike, i| alike | u32::from(self.tags[i] == tag) << i)
    }

    #[inline]
    fn is_full(&self) -> bool {
        self.places[Self::ENTRIES - 1] != FREE
    }

    fn used(&self) -> usize {
        self.places.iter().take_while(|place| **place != FREE).count()
    }

    fn put(&mut self, tag: u32, place: u32) {
        let i = self.used();
        (self.tags[i], self.places[i]) = (tag, place);
    }

    /// Fills the gap that an entry leaves with the last one.
    fn take_out(&mut self, i: usize) -> (u32, u32) {
        let (entry, last) = ((self.tags[i], self.places[i]), self.used() - 1);
        (self.tags[i], self.places[i]) = (self.tags[last], self.places[last]);
        self.places[last] = FREE;
        entry
    }
}

impl Table {
    const LEAST: usize = 2;

    #[inline]
    fn line_of(&self, tag: u32) -> usize {
        ((u64::from(tag) * self.lines.len() as u64) >> 32) as usize
    }

    #[inline]
    fn after(&self, at: usize) -> usize {
        if at + 1 == self.lines.len() { 0 } else { at + 1 }
    }

    fn entries(&self) -> impl Iterator<Item = (u32, u32)> {
        let entries = self.lines.iter().flat_map(|line| line.tags.into_iter().zip(line.places));
        entries.filter(|(_, place)| *place != FREE)
    }

    fn put(&mut self, tag: u32, place: u32) {
        let mut at = self.line_of(tag);
        while self.lines[at].is_full() {
            at = self.after(at);
        }
        self.lines[at].put(tag, place);
        self.used += 1;
    }

    /// Keeps it at most four fifths full, growing by a quarter: no emptier than six tenths, once it has grown.
    fn make_room(&mut self) {
        if (self.used + 1) * 5 <= self.lines.len() * Line::ENTRIES * 4 {
            return;
        }
        let more = self.lines.len().div_ceil(4);
        let lines = vec![Line::FREE; self.lines.len() + more].into();
        let before = Self { lines: std::mem::replace(&mut self.lines, lines), used: self.used };
        self.used = 0;
        before.entries().for_each(|(tag, place)| self.put(tag, place));
    }

    fn remove(&mut self, tag: u32, place: u32) {
        let mut at = self.line_of(tag);
        let i = loop {
            if let Some(i) = self.lines[at].places.iter().position(|there| *there == place) {
                break i;
            }
            assert!(self.lines[at].is_full(), "only what was added is removed");
            at = self.after(at);
        };
        self.used -= 1;
        // A line that was full may have sent others on: as it is not full any more, one of them comes back.
        let mut full = self.lines[at].is_full();
        self.lines[at].take_out(i);
        let mut next = self.after(at);
        while full && next != at {
            full = self.lines[next].is_full();
            if let Some(i) = self.sent_on(next, at) {
                let (tag, place) = self.lines[next].take_out(i);
                self.lines[at].put(tag, place);
                at = next;
            }
            next = self.after(next);
        }
    }

    /// An entry of line `at` that may stand in line `free` as well: it was sent on from there or from before.
    fn sent_on(&self, at: usize, free: usize) -> Option<usize> {
        let distance = |from: usize| if at >= from { at - from } else { at + self.lines.len() - from };
        let line = &self.lines[at];
        (0..line.used()).find(|i| distance(self.line_of(line.tags[*i])) >= distance(free))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeSet, HashMap};

    use geopush_model::{DeviceId, TenantId};
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;

    fn hash(n: u16) -> DeviceHash {
        DeviceHash::of(TenantId(Uuid::from_u128(7)), &DeviceId::new(&format!("d{n}")).unwrap())
    }

    #[derive(Clone, Copy, Debug)]
    enum Step {
        Add(u16),
        Remove(u16),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step =
            (0_u16..6_000, 0..5).prop_map(|(n, what)| if what > 1 { Step::Add(n) } else { Step::Remove(n) });
        proptest::collection::vec(step, 0..9_000)
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 16, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn it_finds_what_a_hash_map_finds(steps in steps()) {
            let (mut lookup, mut model) = (Lookup::new(), HashMap::new());
            for (place, step) in (0..).zip(steps) {
                match step {
                    Step::Add(n) if !model.contains_key(&n) => {
                        lookup.add(hash(n), place);
                        model.insert(n, place);
                    }
                    Step::Add(_) => {}
                    Step::Remove(n) => {
                        if let Some(place) = model.remove(&n) {
                            lookup.remove(hash(n), place);
                        }
                    }
                }
            }
            prop_assert_eq!(lookup.len(), model.len());
            for n in 0..6_000 {
                let place = model.get(&n).copied();
                prop_assert_eq!(lookup.find(hash(n), |found| Some(found) == place), place);
            }
            let mut buckets = vec![BTreeSet::new(); DeviceHash::BUCKETS as usize];
            for (n, place) in &model {
                buckets[usize::from(hash(*n).bucket())].insert(*place);
            }
            for (number, bucket) in (0..=255).zip(buckets) {
                prop_assert_eq!(lookup.bucket(number).collect::<BTreeSet<_>>(), bucket);
            }
        }
    }

    #[test]
    fn devices_of_one_tag_are_told_apart_by_the_rest() {
        let mut lookup = Lookup::new();
        (0..9).for_each(|place| lookup.add(hash(1), place));
        assert_eq!(lookup.find(hash(1), |place| place == 6), Some(6));
        lookup.remove(hash(1), 6);
        assert_eq!(lookup.find(hash(1), |place| place == 6), None);
        assert_eq!(lookup.bucket(hash(1).bucket()).count(), 8);
    }

    #[test]
    fn a_table_is_between_six_tenths_and_eight_tenths_full() {
        let mut lookup = Lookup::new();
        let names = (0..u32::MAX).map(|n| format!("d{n}"));
        for (place, name) in (0..200_000).zip(names) {
            let tenant = TenantId(Uuid::from_u128(7));
            lookup.add(DeviceHash::of(tenant, &DeviceId::new(&name).unwrap()), place);
        }
        for table in &lookup.tables {
            let load = table.used as f64 / (table.lines.len() * Line::ENTRIES) as f64;
            assert!((0.6..=0.8).contains(&load), "{load}");
        }
    }
}
