//! A hash table that readers never wait for.

use std::hash::{BuildHasher, Hash};
use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwap;
use hashbrown::{DefaultHashBuilder, HashTable};

/// A hash table in many small ones, each replaced by a changed copy of itself: a change copies little, and readers
/// meet no lock and no growing table.
///
/// Entries know their keys, or where these stand; so every method is told how to hash and compare.
#[derive(Debug)]
pub(super) struct Shards<T, const TABLES: usize> {
    hasher: DefaultHashBuilder,
    tables: Box<[OnceLock<ArcSwap<HashTable<T>>>; TABLES]>,
}

/// What becomes of an entry.
#[derive(Debug)]
pub(super) enum Change<T> {
    /// It is there from now on, instead of its like.
    Put(T),
    /// Its like is not there any more.
    Drop(T),
}

impl<T, const TABLES: usize> Default for Shards<T, TABLES> {
    fn default() -> Self {
        // Made where it stays: it may be too large for a stack.
        let tables: Box<[_]> = (0..TABLES).map(|_| OnceLock::new()).collect();
        let tables = tables.try_into().ok().expect("as many tables as were made");
        Self { hasher: DefaultHashBuilder::default(), tables }
    }
}

impl<T: Clone, const TABLES: usize> Shards<T, TABLES> {
    /// The hash of a key.
    pub fn hash(&self, key: &impl Hash) -> u64 {
        self.hasher.hash_one(key)
    }

    /// A copy of the entry with this hash that `is` the one.
    #[inline]
    pub fn find(&self, hash: u64, is: impl FnMut(&T) -> bool) -> Option<T> {
        self.with(hash, is, T::clone)
    }

    /// What there is to say of the entry with this hash that `is` the one.
    #[inline]
    pub fn with<R>(&self, hash: u64, is: impl FnMut(&T) -> bool, say: impl FnOnce(&T) -> R) -> Option<R> {
        self.tables[Self::table(hash)].get()?.load().find(hash, is).map(say)
    }

    /// Applies changes, each with its key's hash, in their order; to be called by one thread at a time.
    pub fn change(
        &self,
        mut changes: Vec<(u64, Change<T>)>,
        hash_of: impl Fn(&T) -> u64,
        are_alike: impl Fn(&T, &T) -> bool,
    ) {
        changes.sort_by_key(|(hash, _)| Self::table(*hash));
        let mut changes = changes.into_iter().peekable();
        while let Some((hash, _)) = changes.peek() {
            let number = Self::table(*hash);
            let shared = self.tables[number].get_or_init(ArcSwap::default);
            let mut table = HashTable::clone(&shared.load());
            while let Some((hash, change)) = changes.next_if(|(hash, _)| Self::table(*hash) == number) {
                let (Change::Put(entry) | Change::Drop(entry)) = &change;
                if let Ok(found) = table.find_entry(hash, |other| are_alike(other, entry)) {
                    found.remove();
                }
                if let Change::Put(entry) = change {
                    table.insert_unique(hash, entry, &hash_of);
                }
            }
            shared.store(Arc::new(table));
        }
    }

    /// Which table: by bits that the tables themselves do not go by.
    fn table(hash: u64) -> usize {
        (hash >> 32) as usize % TABLES
    }
}
