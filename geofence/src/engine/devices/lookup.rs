//! Where the devices' lines are, by their hashes.

use super::DeviceHash;

/// From hashes to places: 8 bytes an entry, the tag and the place.
///
/// A table a bucket, so that a bucket's devices stand together, and growing stops the pings for one small table only.
/// A table is open addressed: an entry stands at the place that its tag's size calls for, or as near behind as it
/// can, so growing needs nothing but the tags.
#[derive(Debug)]
pub(super) struct Lookup {
    tables: Box<[Table]>,
    len: usize,
}

#[derive(Debug)]
struct Table {
    entries: Box<[Entry]>,
    used: u32,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    tag: u32,
    place: u32,
}

/// Where the search for a hash begins, and the entry there, which was asked of the memory before it is needed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Search {
    start: u32,
    entry: Entry,
}

impl Default for Search {
    fn default() -> Self {
        Self { start: 0, entry: Entry::FREE }
    }
}

impl Entry {
    const FREE: Self = Self { tag: 0, place: u32::MAX };

    fn is_free(self) -> bool {
        self.place == u32::MAX
    }
}

impl Lookup {
    pub(super) fn new() -> Self {
        let table = || Table { entries: vec![Entry::FREE; Table::LEAST].into(), used: 0 };
        Self { tables: (0..DeviceHash::BUCKETS).map(|_| table()).collect(), len: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    #[inline]
    pub(super) fn begin(&self, hash: DeviceHash) -> Search {
        let table = &self.tables[usize::from(hash.bucket())];
        let start = table.start_of(hash.tag());
        Search { start: start as u32, entry: table.entries[start] }
    }

    /// The place of a hash, given that nothing was added or removed since the search began. `is_it` compares what
    /// the tag doesn't tell.
    #[inline]
    pub(super) fn end(&self, hash: DeviceHash, search: Search, is_it: impl Fn(u32) -> bool) -> Option<u32> {
        let table = &self.tables[usize::from(hash.bucket())];
        let (mut at, mut entry) = (search.start as usize, search.entry);
        while !entry.is_free() {
            if entry.tag == hash.tag() && is_it(entry.place) {
                return Some(entry.place);
            }
            at = table.after(at);
            entry = table.entries[at];
        }
        None
    }

    pub(super) fn find(&self, hash: DeviceHash, is_it: impl Fn(u32) -> bool) -> Option<u32> {
        self.end(hash, self.begin(hash), is_it)
    }

    /// Adds a hash that is not there.
    pub(super) fn add(&mut self, hash: DeviceHash, place: u32) {
        let table = &mut self.tables[usize::from(hash.bucket())];
        table.make_room();
        table.put(Entry { tag: hash.tag(), place });
        self.len += 1;
    }

    /// Removes a hash that is at this place.
    pub(super) fn remove(&mut self, hash: DeviceHash, place: u32) {
        let table = &mut self.tables[usize::from(hash.bucket())];
        let mut at = table.start_of(hash.tag());
        while table.entries[at].place != place {
            assert!(!table.entries[at].is_free(), "only what was added is removed");
            at = table.after(at);
        }
        table.take_out(at);
        self.len -= 1;
    }

    /// The places of a bucket's devices.
    pub(super) fn bucket(&self, number: u8) -> impl Iterator<Item = u32> {
        let entries = self.tables[usize::from(number)].entries.iter();
        entries.filter(|entry| !entry.is_free()).map(|entry| entry.place)
    }

    /// The memory it holds, in bytes.
    pub(super) fn bytes(&self) -> usize {
        let entries: usize = self.tables.iter().map(|table| table.entries.len()).sum();
        entries * size_of::<Entry>() + self.tables.len() * size_of::<Table>()
    }
}

impl Table {
    const LEAST: usize = 16;

    fn start_of(&self, tag: u32) -> usize {
        ((u64::from(tag) * self.entries.len() as u64) >> 32) as usize
    }

    fn after(&self, at: usize) -> usize {
        if at + 1 == self.entries.len() { 0 } else { at + 1 }
    }

    fn put(&mut self, entry: Entry) {
        let mut at = self.start_of(entry.tag);
        while !self.entries[at].is_free() {
            at = self.after(at);
        }
        self.entries[at] = entry;
        self.used += 1;
    }

    /// Keeps it at most four fifths full, growing by a quarter: no emptier than about two thirds.
    fn make_room(&mut self) {
        if (self.used as usize + 1) * 5 <= self.entries.len() * 4 {
            return;
        }
        let capacity = (self.entries.len() + self.entries.len() / 4).next_multiple_of(8);
        let before = std::mem::replace(&mut self.entries, vec![Entry::FREE; capacity].into());
        self.used = 0;
        before.iter().filter(|entry| !entry.is_free()).for_each(|entry| self.put(*entry));
    }

    /// Frees a place, and moves what stands behind it as near to its start as it can.
    fn take_out(&mut self, mut hole: usize) {
        let len = self.entries.len();
        let distance = |from: usize, to: usize| if to >= from { to - from } else { to + len - from };
        let mut at = self.after(hole);
        while !self.entries[at].is_free() {
            let start = self.start_of(self.entries[at].tag);
            if distance(start, at) >= distance(hole, at) {
                self.entries[hole] = self.entries[at];
                hole = at;
            }
            at = self.after(at);
        }
        self.entries[hole] = Entry::FREE;
        self.used -= 1;
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
            let load = f64::from(table.used) / table.entries.len() as f64;
            assert!((0.6..=0.8).contains(&load), "{load}");
        }
    }
}
