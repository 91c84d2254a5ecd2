//! Pages across partitions.

use geopush_store::{Direction, Page, Schema, Store, Table, table};

use crate::Harness;

const ASC: Direction = Direction::Ascending;
const DESC: Direction = Direction::Descending;
const SHARDS: i32 = 4;

table! {
    /// An event, in the shards of its hour.
    pub struct EventRow: "events" in History, plain, descending {
        partition { hour: i64, shard: i32 }
        clustering { at: i64, id: i64 }
        values { text: String }
    }
}

const TABLES: &[&Schema] = &[&EventRow::SCHEMA];

type Key = (i64, i64);

fn event((at, id): Key, shard: i32) -> EventRow {
    EventRow { hour: at / 100, shard, at, id, text: format!("{at} {id}") }
}

/// The groups of these hours, in the page's direction.
fn groups(hours: std::ops::Range<i64>, direction: Direction) -> Vec<Vec<(i64, i32)>> {
    let mut groups: Vec<Vec<_>> =
        hours.map(|hour| (0..SHARDS).map(|shard| (hour, shard)).collect()).collect();
    if direction == DESC {
        groups.reverse();
    }
    groups
}

/// Three hours with rows and empty hours between and around them; the keys in order.
async fn fill(store: &Store) -> Vec<Key> {
    let mut keys = Vec::new();
    for (hour, rows) in [(1, 7), (2, 1), (5, 23)] {
        keys.extend((0..rows).map(|row| (hour * 100 + row / 3, row)));
    }
    store.put_all(keys.iter().map(|key| event(*key, (key.1 * 7 % 5 % 4) as i32)).collect()).await.unwrap();
    keys
}

/// All rows of the groups, a page at a time, and how many pages there were.
async fn walk(store: &Store, groups: &[Vec<(i64, i32)>], page: &Page<Key>) -> (Vec<Key>, usize) {
    let (mut keys, mut pages) = (Vec::new(), 0);
    let (mut from_group, mut after) = (0, None);
    loop {
        let page = Page { after, ..page.clone() };
        let across = store.page_across::<EventRow>(&groups[from_group..], &page).await.unwrap();
        assert!(across.rows.len() <= page.limit);
        keys.extend(across.rows.iter().map(EventRow::clustering));
        pages += 1;
        let Some(next) = across.next else { return (keys, pages) };
        from_group += next.group;
        after = next.after;
    }
}

pub async fn every_cut_goes_on_where_it_ended(harness: impl Harness) {
    let store = harness.store(TABLES).await;
    let mut expected = fill(&store).await;
    for direction in [ASC, DESC] {
        for limit in 1..=expected.len() + 1 {
            let (keys, pages) = walk(&store, &groups(0..7, direction), &Page::first(limit, direction)).await;
            assert_eq!(keys, expected, "{direction:?}, {limit} a page");
            assert!(pages <= expected.len() / limit + 2, "{pages} pages of {limit}");
        }
        expected.reverse();
    }
}

pub async fn shards_are_merged_however_full_they_are(harness: impl Harness) {
    let store = harness.store(TABLES).await;
    // One shard has nearly everything, so that it is read several times for one page.
    let keys: Vec<_> = (0..400).map(|row| (500 + row / 8, row)).collect();
    let shard = |(at, id): Key| match at {
        520 => 3,
        _ if id % 50 == 0 => 2,
        _ => 1,
    };
    store.put_all(keys.iter().map(|key| event(*key, shard(*key))).collect()).await.unwrap();
    for limit in [1, 10, 150, 399, 400, 1_000] {
        let (ascending, _) = walk(&store, &groups(5..6, ASC), &Page::first(limit, ASC)).await;
        assert!(ascending == keys, "{limit} a page");
        let (descending, _) = walk(&store, &groups(5..6, DESC), &Page::first(limit, DESC)).await;
        assert!(descending.iter().eq(keys.iter().rev()), "{limit} a page");
    }
}

pub async fn ends_hold_in_every_group(harness: impl Harness) {
    let store = harness.store(TABLES).await;
    let all = fill(&store).await;
    for (from, to) in
        [((101, i64::MIN), (503, 10)), ((200, 0), (200, 1)), ((0, 0), (500, 0)), ((503, 0), (101, 0))]
    {
        let expected: Vec<_> = all.iter().copied().filter(|key| (from..to).contains(key)).collect();
        for limit in [1, 4, 100] {
            let page = Page { from: Some(from), to: Some(to), ..Page::first(limit, ASC) };
            let (keys, _) = walk(&store, &groups(0..7, ASC), &page).await;
            assert_eq!(keys, expected, "{page:?}");
            let (mut keys, _) =
                walk(&store, &groups(0..7, DESC), &Page { direction: DESC, ..page.clone() }).await;
            keys.reverse();
            assert_eq!(keys, expected, "{page:?} backwards");
        }
    }
}

pub async fn a_full_page_is_exactly_full(harness: impl Harness) {
    let store = harness.store(TABLES).await;
    let keys = fill(&store).await;
    let groups = groups(1..6, ASC);
    let across = store.page_across::<EventRow>(&groups, &Page::first(8, ASC)).await.unwrap();
    assert!(across.rows.iter().map(EventRow::clustering).eq(keys[..8].iter().copied()));
    let none = store.page_across::<EventRow>(&groups, &Page::first(0, ASC)).await.unwrap();
    assert!(none.rows.is_empty() && none.next.is_some());
    let all = store.page_across::<EventRow>(&groups, &Page::first(keys.len(), ASC)).await.unwrap();
    assert!(all.rows.len() == keys.len() && all.next.is_none());
}

pub async fn an_empty_list_has_an_empty_page(harness: impl Harness) {
    let store = harness.store(TABLES).await;
    fill(&store).await;
    for groups in [vec![], vec![vec![]], groups(6..9, ASC)] {
        let across = store.page_across::<EventRow>(&groups, &Page::first(10, ASC)).await.unwrap();
        assert!(across.rows.is_empty() && across.next.is_none());
    }
}

pub async fn many_empty_partitions_end_a_page_early(harness: impl Harness) {
    let store = harness.store(TABLES).await;
    let last = event((59_900, 1), 0);
    store.put(last.clone()).await.unwrap();
    let groups = groups(0..600, ASC);
    let first = store.page_across::<EventRow>(&groups, &Page::first(10, ASC)).await.unwrap();
    let next = first.next.unwrap();
    assert!(first.rows.is_empty() && next.after.is_none() && next.group > 0, "{next:?}");
    assert_eq!(walk(&store, &groups, &Page::first(10, ASC)).await.0, [last.clustering()]);
    // One group is read whole, however many partitions it has.
    let one = vec![groups.concat()];
    let across = store.page_across::<EventRow>(&one, &Page::first(10, ASC)).await.unwrap();
    assert_eq!((across.rows, across.next), (vec![last], None));
}

pub async fn a_group_starts_anew_where_keys_do(harness: impl Harness) {
    // Buckets by hash: a later group has smaller keys, and `after` must not hold for it.
    let store = harness.store(TABLES).await;
    fill(&store).await;
    let mut backwards = groups(0..7, ASC);
    backwards.reverse();
    let (whole, _) = walk(&store, &backwards, &Page::first(100, ASC)).await;
    for limit in 1..whole.len() {
        assert_eq!(walk(&store, &backwards, &Page::first(limit, ASC)).await.0, whole);
    }
    assert_eq!(whole.len(), 31);
}
