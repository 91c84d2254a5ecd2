//! Pages: which rows of a partition, in which order.

use geopush_store::{Direction, Page, Schema, Store, Table, table};
use uuid::Uuid;

use crate::Harness;

const ASC: Direction = Direction::Ascending;
const DESC: Direction = Direction::Descending;

table! {
    /// A clustering key of several columns.
    pub struct EntryRow: "listings" in History, plain, descending {
        partition { owner: String, bucket: i32 }
        clustering { number: i64, name: String, id: Uuid }
        values { text: String }
    }
}

table! {
    /// A clustering key of bytes.
    pub struct ChunkRow: "chunks" in History, plain, ascending {
        partition { owner: String }
        clustering { bytes: Vec<u8> }
        values {}
    }
}

table! {
    /// No clustering key.
    pub struct AloneRow: "alone" in History, plain, ascending {
        partition { owner: String }
        values { text: String }
    }
}

const TABLES: &[&Schema] = &[&EntryRow::SCHEMA, &ChunkRow::SCHEMA, &AloneRow::SCHEMA];

type Key = (i64, String, Uuid);

fn entry(key: &Key) -> EntryRow {
    let (number, name, id) = key.clone();
    EntryRow { owner: "o".to_owned(), bucket: 3, text: format!("{number} {name}"), number, name, id }
}

async fn keys(store: &Store, page: &Page<Key>) -> Vec<Key> {
    let rows: Vec<EntryRow> = store.page(&("o".to_owned(), 3), page).await.unwrap();
    rows.iter()
        .map(|row| {
            assert_eq!(row, &entry(&row.clustering()));
            row.clustering()
        })
        .collect()
}

/// These keys, put in another order, come back in this one, and backwards from the end.
async fn are_in_order(harness: &impl Harness, sorted: Vec<Key>) {
    let store = harness.store(TABLES).await;
    let mut mixed: Vec<_> = sorted.iter().map(entry).collect();
    mixed.reverse();
    let half = mixed.len() / 2;
    mixed.rotate_left(half);
    store.put_all(mixed).await.unwrap();
    assert_eq!(keys(&store, &Page::first(100, ASC)).await, sorted);
    let backwards: Vec<_> = sorted.into_iter().rev().collect();
    assert_eq!(keys(&store, &Page::first(100, DESC)).await, backwards);
}

pub async fn every_page_is_that_of_a_sorted_list(harness: impl Harness) {
    let store = harness.store(TABLES).await;
    let mut possible = Vec::new();
    for number in [-1, 0] {
        for name in ["", "b"] {
            for id in [1, 2, 3] {
                possible.push((number, name.to_owned(), Uuid::from_u128(id)));
            }
        }
    }
    // Some ends of pages are keys that no row has.
    let stored: Vec<_> =
        possible.iter().enumerate().filter(|(i, _)| i % 3 != 1).map(|(_, key)| key).collect();
    store.put_all(stored.iter().map(|key| entry(key)).collect()).await.unwrap();
    let ends: Vec<_> = possible.iter().cloned().map(Some).chain([None]).collect();
    // Where the last page ended is a key that there was.
    let afters: Vec<_> = stored.iter().map(|key| Some((*key).clone())).chain([None]).collect();
    let mut questions = Vec::new();
    for from in &ends {
        for to in &ends {
            questions.extend(afters.iter().map(|after| (from, to, after)));
        }
    }
    for (from, to, after) in questions {
        for (direction, limit) in [(ASC, 100), (DESC, 100), (ASC, 2), (DESC, 2)] {
            let page = Page { from: from.clone(), to: to.clone(), after: after.clone(), direction, limit };
            let mut expected: Vec<Key> = stored
                .iter()
                .filter(|key| from.as_ref().is_none_or(|from| **key >= from))
                .filter(|key| to.as_ref().is_none_or(|to| **key < to))
                .filter(|key| {
                    after.as_ref().is_none_or(|after| match direction {
                        Direction::Ascending => **key > after,
                        Direction::Descending => **key < after,
                    })
                })
                .map(|key| (*key).clone())
                .collect();
            if direction == DESC {
                expected.reverse();
            }
            expected.truncate(limit);
            assert_eq!(keys(&store, &page).await, expected, "{page:?}");
        }
    }
}

pub async fn negative_numbers_come_before_positive_ones(harness: impl Harness) {
    let numbers = [i64::MIN, -(1 << 40), -256, -2, -1, 0, 1, 255, 256, 1 << 40, i64::MAX];
    let sorted = numbers.map(|number| (number, String::new(), Uuid::nil())).to_vec();
    are_in_order(&harness, sorted).await;
}

pub async fn text_is_in_the_order_of_its_utf8(harness: impl Harness) {
    // In UTF-16 the clef, which is there two surrogates, would come before the ligature.
    let names =
        ["", "\0", "\0\0", " ", "A", "Z", "a", "a\0", "a ", "aa", "z", "é", "中", "\u{fb00}", "\u{1d11e}"];
    are_in_order(&harness, names.map(|name| (0, name.to_owned(), Uuid::nil())).to_vec()).await;
}

pub async fn uuids_of_a_version_are_in_the_order_of_their_bytes(harness: impl Harness) {
    let mut ids: Vec<_> =
        (0..40).map(|n: u32| Uuid::new_v5(&Uuid::NAMESPACE_OID, &n.to_le_bytes())).collect();
    ids.sort_unstable_by_key(|id| *id.as_bytes());
    are_in_order(&harness, ids.into_iter().map(|id| (0, String::new(), id)).collect()).await;
}

pub async fn bytes_are_in_their_order(harness: impl Harness) {
    let store = harness.store(TABLES).await;
    let sorted = [vec![], vec![0], vec![0, 0], vec![1], vec![127], vec![128], vec![128, 0], vec![255]];
    let chunk = |bytes: &Vec<u8>| ChunkRow { owner: "o".to_owned(), bytes: bytes.clone() };
    store.put_all(sorted.iter().rev().map(chunk).collect()).await.unwrap();
    let page: Vec<ChunkRow> = store.page(&("o".to_owned(),), &Page::first(100, ASC)).await.unwrap();
    assert!(page.into_iter().map(|row| row.bytes).eq(sorted));
}

pub async fn a_partition_without_clustering_key_has_a_page_of_one(harness: impl Harness) {
    let store = harness.store(TABLES).await;
    let row = AloneRow { owner: "o".to_owned(), text: "t".to_owned() };
    store.put(row.clone()).await.unwrap();
    assert_eq!(store.get(&row.partition(), &()).await.unwrap().as_ref(), Some(&row));
    for direction in [ASC, DESC] {
        let first = Page::first(10, direction);
        let pages = [
            (first.clone(), 1),
            (Page { from: Some(()), ..first.clone() }, 1),
            (Page { to: Some(()), ..first.clone() }, 0),
            (Page { from: Some(()), to: Some(()), ..first.clone() }, 0),
            (Page { after: Some(()), ..first }, 0),
        ];
        for (page, rows) in pages {
            let found: Vec<AloneRow> = store.page(&row.partition(), &page).await.unwrap();
            assert_eq!(found.len(), rows, "{page:?}");
        }
    }
}

pub async fn a_page_of_nothing_is_empty(harness: impl Harness) {
    let store = harness.store(TABLES).await;
    assert!(keys(&store, &Page::first(10, ASC)).await.is_empty());
    store.put(entry(&(1, String::new(), Uuid::nil()))).await.unwrap();
    assert!(keys(&store, &Page::first(0, ASC)).await.is_empty());
    assert_eq!(keys(&store, &Page::first(usize::MAX, ASC)).await.len(), 1);
}

pub async fn a_page_may_be_longer_than_one_answer(harness: impl Harness) {
    let store = harness.store(TABLES).await;
    let written: Vec<_> = (0..4_500).map(|number| (number, String::new(), Uuid::nil())).collect();
    store.put_all(written.iter().map(entry).collect()).await.unwrap();
    for (direction, limit) in [(ASC, 4_321), (DESC, 4_000), (ASC, 10_000)] {
        let mut expected = written.clone();
        if direction == DESC {
            expected.reverse();
        }
        expected.truncate(limit);
        assert!(keys(&store, &Page::first(limit, direction)).await == expected, "{limit} {direction:?}");
    }
}
