//! A hash table of numbers that only grows.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};

/// Numbers by the hashes of what they stand for. None is ever taken out, so that readers need neither a lock nor a guard,
/// and several searches of one thread wait for the memory at the same time.
///
/// In many small tables, of which one is copied into a larger one while the others stay.
#[derive(Debug)]
pub(super) struct Numbers {
    tables: Box<[Table]>,
}

/// One that grows: what it outgrew stays for those who still read it, and is no larger than the newest all together.
#[derive(Debug, Default)]
struct Table {
    /// Each twice as large as the one before; the newest has all entries.
    sizes: [OnceLock<Box<[Entry]>>; Table::SIZES],
    newest: AtomicUsize,
    /// Only the writer counts on.
    used: AtomicU32,
}

/// The upper half of a hash, and below that the number and one; 0 where there is none.
type Entry = AtomicU64;

impl Default for Numbers {
    fn default() -> Self {
        Self { tables: (0..Self::TABLES).map(|_| Table::default()).collect() }
    }
}

impl Numbers {
    const TABLES: usize = 1 << 8;

    /// The number with this hash that `is` the one.
    #[inline]
    pub fn find(&self, hash: u64, is: impl Fn(u32) -> bool) -> Option<u32> {
        self.table(hash).find(tag(hash), is)
    }

    /// Adds a number, below 2^32 - 1, that is not there; to be called by one thread at a time.
    pub fn add(&self, hash: u64, number: u32) {
        self.table(hash).add(u64::from(tag(hash)) << 32 | u64::from(number + 1));
    }

    #[inline]
    fn table(&self, hash: u64) -> &Table {
        &self.tables[hash as usize % Self::TABLES]
    }
}

impl Table {
    /// From 16 entries to 2^24.
    const SIZES: usize = 21;
    const LEAST: usize = 16;

    #[inline]
    fn find(&self, tag: u32, is: impl Fn(u32) -> bool) -> Option<u32> {
        let entries = self.sizes[self.newest.load(Ordering::Acquire)].get()?;
        let mut at = tag as usize;
        loop {
            let entry = entries[at & (entries.len() - 1)].load(Ordering::Acquire);
            let number = (entry as u32).checked_sub(1)?;
            if (entry >> 32) as u32 == tag && is(number) {
                return Some(number);
            }
            at += 1;
        }
    }

    fn add(&self, entry: u64) {
        let newest = self.newest.load(Ordering::Relaxed);
        let used = self.used.load(Ordering::Relaxed) + 1;
        self.used.store(used, Ordering::Relaxed);
        let entries = self.sizes[newest].get_or_init(|| free(Self::LEAST));
        if used as usize * 2 <= entries.len() {
            put(entries, entry);
            return;
        }
        let more = free(2 * entries.len());
        entries.iter().for_each(|entry| put(&more, entry.load(Ordering::Relaxed)));
        put(&more, entry);
        self.sizes[newest + 1].get_or_init(|| more);
        self.newest.store(newest + 1, Ordering::Release);
    }
}

#[inline]
fn tag(hash: u64) -> u32 {
    (hash >> 32) as u32
}

fn free(entries: usize) -> Box<[Entry]> {
    (0..entries).map(|_| Entry::new(0)).collect()
}

fn put(entries: &[Entry], entry: u64) {
    if entry == 0 {
        return;
    }
    let mut at = (entry >> 32) as usize;
    while entries[at & (entries.len() - 1)].load(Ordering::Relaxed) != 0 {
        at += 1;
    }
    entries[at & (entries.len() - 1)].store(entry, Ordering::Release);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_found_while_others_are_added_also_those_of_one_hash() {
        let numbers = Numbers::default();
        let hash = |number: u32| u64::from(number / 3).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        const MANY: u32 = 100_000;
        std::thread::scope(|scope| {
            let reader = scope.spawn(|| {
                let mut next = 0;
                while next < MANY {
                    // What was there once stays.
                    let seen =
                        (next..MANY).take_while(|n| numbers.find(hash(*n), |found| found == *n).is_some());
                    next += u32::try_from(seen.count()).unwrap();
                    let before = next.saturating_sub(50)..next;
                    assert!(before.into_iter().all(|n| numbers.find(hash(n), |found| found == n).is_some()));
                }
            });
            (0..MANY).for_each(|number| numbers.add(hash(number), number));
            reader.join().unwrap();
        });
        assert_eq!(numbers.find(hash(0), |_| false), None);
        assert_eq!(numbers.find(hash(MANY), |found| found == MANY), None);
    }
}
