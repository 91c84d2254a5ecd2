//! Rows: put, get, delete.

use futures::future::try_join_all;
use geopush_store::{Direction, Page, Schema, Store, StoreError, Table, Timestamp, table};
use uuid::Uuid;

use crate::Harness;

table! {
    /// A column of each type.
    pub struct SampleRow: "samples" in History, plain, ascending {
        partition { owner: String }
        clustering { id: i32 }
        values {
            text: String,
            uuid: Uuid,
            big: i64,
            int: i32,
            at: Timestamp,
            double: f64,
            flag: bool,
            bytes: Vec<u8>,
            maybe_text: Option<String>,
            maybe_uuid: Option<Uuid>,
            maybe_big: Option<i64>,
            maybe_int: Option<i32>,
            maybe_at: Option<Timestamp>,
            maybe_double: Option<f64>,
            maybe_flag: Option<bool>,
            maybe_bytes: Option<Vec<u8>>,
        }
    }
}

table! {
    /// A row that is only there or not.
    pub struct MarkRow: "marks" in History, plain, ascending {
        partition { owner: String }
        clustering { name: String }
        values {}
    }
}

const TABLES: &[&Schema] = &[&SampleRow::SCHEMA, &MarkRow::SCHEMA];

fn sample(owner: &str, id: i32) -> SampleRow {
    SampleRow {
        owner: owner.to_owned(),
        id,
        text: "text".to_owned(),
        uuid: Uuid::from_u128(7),
        big: 1 << 40,
        int: 5,
        at: Timestamp(1_700_000_000_123),
        double: 0.1,
        flag: true,
        bytes: vec![0, 255],
        maybe_text: Some("some".to_owned()),
        maybe_uuid: Some(Uuid::from_u128(8)),
        maybe_big: Some(-1),
        maybe_int: Some(-2),
        maybe_at: Some(Timestamp(-3)),
        maybe_double: Some(-0.5),
        maybe_flag: Some(false),
        maybe_bytes: Some(Vec::new()),
    }
}

fn bare(owner: &str, id: i32) -> SampleRow {
    SampleRow {
        maybe_text: None,
        maybe_uuid: None,
        maybe_big: None,
        maybe_int: None,
        maybe_at: None,
        maybe_double: None,
        maybe_flag: None,
        maybe_bytes: None,
        ..sample(owner, id)
    }
}

fn key(owner: &str, id: i32) -> ((String,), (i32,)) {
    ((owner.to_owned(),), (id,))
}

/// All rows of an owner.
async fn rows(store: &Store, owner: &str) -> Vec<SampleRow> {
    store.page(&(owner.to_owned(),), &Page::first(10_000, Direction::Ascending)).await.unwrap()
}

/// The row comes back as it was put.
async fn comes_back(harness: &impl Harness, row: SampleRow) {
    let store = harness.store(TABLES).await;
    store.put(row.clone()).await.unwrap();
    assert_eq!(store.get(&row.partition(), &row.clustering()).await.unwrap().as_ref(), Some(&row));
    assert_eq!(rows(&store, &row.owner).await.into_iter().find(|found| found.id == row.id), Some(row));
}

pub async fn what_is_put_is_got(harness: impl Harness) {
    comes_back(&harness, sample("a", 1)).await;
}

pub async fn a_put_replaces_the_whole_row(harness: impl Harness) {
    let store = harness.store(TABLES).await;
    store.put(sample("a", 1)).await.unwrap();
    store.put(bare("a", 1)).await.unwrap();
    let (partition, clustering) = key("a", 1);
    assert_eq!(store.get(&partition, &clustering).await.unwrap(), Some(bare("a", 1)));
}

pub async fn a_deleted_row_is_gone(harness: impl Harness) {
    let store = harness.store(TABLES).await;
    store.put_all(vec![sample("a", 1), sample("a", 2)]).await.unwrap();
    let (partition, clustering) = key("a", 1);
    store.delete::<SampleRow>(&partition, &clustering).await.unwrap();
    store.delete::<SampleRow>(&partition, &(9,)).await.unwrap();
    assert_eq!(store.get::<SampleRow>(&partition, &clustering).await.unwrap(), None);
    assert_eq!(rows(&store, "a").await, [sample("a", 2)]);
}

pub async fn of_two_rows_with_one_key_in_a_call_the_later_stays(harness: impl Harness) {
    let store = harness.store(TABLES).await;
    let named = |text: &str| SampleRow { text: text.to_owned(), ..sample("a", 1) };
    store.put_all(vec![named("z"), named("a")]).await.unwrap();
    let (partition, clustering) = key("a", 1);
    assert_eq!(store.get(&partition, &clustering).await.unwrap(), Some(named("a")));
}

pub async fn the_last_of_many_writes_of_a_key_stays(harness: impl Harness) {
    let store = harness.store(TABLES).await;
    // More than a batch, over three owners, each key several times and far apart.
    let row = |round: i32, n: i32| SampleRow { int: round, ..sample(["a", "b", "c"][n as usize % 3], n) };
    let rows = (0..5).flat_map(|round| (0..400).map(move |n| row(round, n))).collect();
    store.put_all(rows).await.unwrap();
    for owner in ["a", "b", "c"] {
        let found = rows_of_round(&store, owner, 4).await;
        assert!((133..=134).contains(&found), "{owner}: {found}");
    }
}

/// How many rows an owner has, which are all of this round.
async fn rows_of_round(store: &Store, owner: &str, round: i32) -> usize {
    let found = rows(store, owner).await;
    assert!(found.iter().all(|row| row.int == round), "{owner} has rows of rounds before");
    found.len()
}

pub async fn writes_of_a_key_hold_in_the_order_of_their_calls(harness: impl Harness) {
    let store = harness.store(TABLES).await;
    let (partition, clustering) = key("a", 1);
    for round in 0..50 {
        let row = SampleRow { int: round, ..sample("a", 1) };
        store.delete::<SampleRow>(&partition, &clustering).await.unwrap();
        store.put(row.clone()).await.unwrap();
        assert_eq!(store.get(&partition, &clustering).await.unwrap(), Some(row));
    }
    store.put(sample("a", 1)).await.unwrap();
    store.delete::<SampleRow>(&partition, &clustering).await.unwrap();
    assert_eq!(store.get::<SampleRow>(&partition, &clustering).await.unwrap(), None);
}

pub async fn a_key_that_not_every_backend_keeps_is_refused(harness: impl Harness) {
    let store = harness.store(TABLES).await;
    let refused = Err(StoreError::Corrupt { table: "marks", column: "owner" });
    let mark = |owner: &str, name: &str| MarkRow { owner: owner.to_owned(), name: name.to_owned() };
    let long = "k".repeat(65_535);
    let longer = "k".repeat(65_536);
    assert_eq!(store.put(mark("", "n")).await, refused);
    assert_eq!(store.put(mark(&longer, "n")).await, refused);
    assert_eq!(
        store.put(mark("o", &longer)).await,
        Err(StoreError::Corrupt { table: "marks", column: "name" })
    );
    assert_eq!(store.get::<MarkRow>(&(String::new(),), &("n".to_owned(),)).await.map(drop), refused);
    store.put(mark(&long, &long)).await.unwrap();
    assert_eq!(store.get(&(long.clone(),), &(long.clone(),)).await.unwrap(), Some(mark(&long, &long)));
    // The empty name is a name like others.
    store.put(mark("o", "")).await.unwrap();
    assert_eq!(store.get(&("o".to_owned(),), &(String::new(),)).await.unwrap(), Some(mark("o", "")));
}

pub async fn keys_of_any_script_are_told_apart(harness: impl Harness) {
    let store = harness.store(TABLES).await;
    // Composed and decomposed, cases that fold to one, and characters beyond the first plane are different keys.
    let owners = ["Å", "A\u{30a}", "straße", "STRASSE", "\u{1f9ed}", "\u{202e}abc", "a\0b", "مرحبا", "日本"];
    store.put_all(owners.iter().map(|owner| sample(owner, 1)).collect()).await.unwrap();
    for owner in owners {
        assert_eq!(rows(&store, owner).await, [sample(owner, 1)], "{owner:?}");
    }
}

pub async fn nothing_is_null_but_what_may_be(harness: impl Harness) {
    comes_back(&harness, bare("a", 1)).await;
    let empty = SampleRow { text: String::new(), bytes: Vec::new(), ..bare("a", 2) };
    let store = harness.store(TABLES).await;
    store.put(empty.clone()).await.unwrap();
    assert_eq!(store.get(&empty.partition(), &empty.clustering()).await.unwrap(), Some(empty));
}

pub async fn extreme_values_come_back(harness: impl Harness) {
    let least = SampleRow {
        id: i32::MIN,
        big: i64::MIN,
        int: i32::MIN,
        at: Timestamp(i64::MIN),
        double: f64::MIN_POSITIVE,
        uuid: Uuid::nil(),
        text: "a\0b \u{10ffff} \u{1d11e}".to_owned(),
        ..sample("least", 0)
    };
    let most = SampleRow {
        id: i32::MAX,
        big: i64::MAX,
        int: i32::MAX,
        at: Timestamp(i64::MAX),
        double: f64::INFINITY,
        uuid: Uuid::max(),
        ..sample("most", 0)
    };
    comes_back(&harness, least).await;
    comes_back(&harness, most).await;
}

pub async fn large_values_come_back(harness: impl Harness) {
    let text = "é".repeat(1 << 19);
    let bytes: Vec<u8> = (0..1 << 20).map(|i: u32| i.to_le_bytes()[1]).collect();
    comes_back(&harness, SampleRow { text, bytes, ..sample("a", 1) }).await;
}

pub async fn a_number_that_is_none_is_refused(harness: impl Harness) {
    let store = harness.store(TABLES).await;
    let refused = store.put(SampleRow { maybe_double: Some(f64::NAN), ..sample("a", 1) }).await;
    assert_eq!(refused, Err(StoreError::Corrupt { table: "samples", column: "maybe_double" }));
}

pub async fn many_keys_are_got_in_the_order_asked(harness: impl Harness) {
    let store = harness.store(TABLES).await;
    let written = (0..700).map(|id| sample(if id % 2 == 0 { "even" } else { "odd" }, id)).collect();
    store.put_all(written).await.unwrap();
    let keys: Vec<_> = (0..1400).rev().map(|id| key(if id % 3 == 0 { "even" } else { "odd" }, id)).collect();
    let got = store.get_all::<SampleRow>(&keys).await.unwrap();
    let expected: Vec<_> = (0..1400)
        .rev()
        .map(|id| match (id % 2 == 0, id % 3 == 0) {
            (true, true) if id < 700 => Some(sample("even", id)),
            (false, false) if id < 700 => Some(sample("odd", id)),
            _ => None,
        })
        .collect();
    assert!(got == expected);
    assert!(store.get_all::<SampleRow>(&[]).await.unwrap().is_empty());
}

pub async fn more_rows_than_a_chunk_are_all_written(harness: impl Harness) {
    let store = harness.store(TABLES).await;
    let written: Vec<_> = (0..1_203).map(|id| sample("a", id)).collect();
    store.put_all(written.clone()).await.unwrap();
    store.put_all::<SampleRow>(Vec::new()).await.unwrap();
    let got = rows(&store, "a").await;
    assert!(got == written, "{} rows of {}", got.len(), written.len());
}

pub async fn rows_without_values_are_there_or_not(harness: impl Harness) {
    let store = harness.store(TABLES).await;
    let mark = MarkRow { owner: "a".to_owned(), name: "n".to_owned() };
    let (partition, clustering) = (mark.partition(), mark.clustering());
    assert_eq!(store.get::<MarkRow>(&partition, &clustering).await.unwrap(), None);
    store.put_all(vec![mark.clone(), mark.clone()]).await.unwrap();
    assert_eq!(store.get(&partition, &clustering).await.unwrap(), Some(mark));
    store.delete::<MarkRow>(&partition, &clustering).await.unwrap();
    assert_eq!(store.get::<MarkRow>(&partition, &clustering).await.unwrap(), None);
}

pub async fn partitions_are_apart(harness: impl Harness) {
    let store = harness.store(TABLES).await;
    store.put_all(vec![sample("a", 1), sample("aa", 1), sample("A", 1), sample(" ", 1)]).await.unwrap();
    store.delete::<SampleRow>(&("aa".to_owned(),), &(1,)).await.unwrap();
    for (owner, count) in [("a", 1), ("aa", 0), ("A", 1), (" ", 1), ("b", 0)] {
        let found = rows(&store, owner).await;
        assert_eq!(found.len(), count, "{owner:?}");
        assert!(found.iter().all(|row| row.owner == owner));
    }
}

pub async fn everything_is_there_after_a_restart(harness: impl Harness) {
    let store = harness.store(TABLES).await;
    let written: Vec<_> = (0..50).map(|id| sample("a", id)).collect();
    store.put_all(written.clone()).await.unwrap();
    drop(store);
    let harness = harness.reopen().await;
    let store = harness.store(TABLES).await;
    assert!(rows(&store, "a").await == written);
}

pub async fn concurrent_puts_are_all_kept(harness: impl Harness) {
    let store = harness.store(TABLES).await;
    let tasks = (0..100).map(|id| {
        let store = store.clone();
        tokio::spawn(async move { store.put(sample("a", id)).await })
    });
    for put in try_join_all(tasks).await.unwrap() {
        put.unwrap();
    }
    assert_eq!(rows(&store, "a").await.len(), 100);
}
