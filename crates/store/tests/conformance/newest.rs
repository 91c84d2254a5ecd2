//! Tables of which the newest row stays, whichever was put last.

use geopush_store::{Direction, Page, Schema, Store, Table, table};

use crate::Harness;

table! {
    /// A count up to an offset.
    pub struct CountRow: "counts" in History, plain, ascending, ttl_days 90,
        newest_by { hour * 3_600_000_000, counted_to * 1 }
    {
        partition { owner: String }
        clustering { hour: i64 }
        values { count: i64, counted_to: i64, remark: Option<String> }
    }
}

const TABLES: &[&Schema] = &[&CountRow::SCHEMA];
const HOUR: i64 = 480_000;

fn count(counted_to: i64) -> CountRow {
    let remark = (counted_to % 2 == 0).then(|| counted_to.to_string());
    CountRow { owner: "o".to_owned(), hour: HOUR, count: counted_to / 2, counted_to, remark }
}

async fn current(store: &Store) -> Option<CountRow> {
    store.get(&("o".to_owned(),), &(HOUR,)).await.unwrap()
}

pub async fn a_late_write_of_an_older_row_changes_nothing(harness: impl Harness) {
    let store = harness.store(TABLES).await;
    for (put, stays) in [(5, 5), (4, 5), (9, 9), (8, 9), (5, 9), (10, 10), (0, 10)] {
        store.put(count(put)).await.unwrap();
        assert_eq!(current(&store).await, Some(count(stays)), "after {put}");
    }
    // The same again is the same.
    store.put(count(10)).await.unwrap();
    assert_eq!(current(&store).await, Some(count(10)));
}

pub async fn of_one_call_the_newest_stays(harness: impl Harness) {
    let store = harness.store(TABLES).await;
    let other = CountRow { hour: HOUR + 1, ..count(1) };
    store.put_all(vec![count(1), count(7), other.clone(), count(3)]).await.unwrap();
    let page: Vec<CountRow> =
        store.page(&("o".to_owned(),), &Page::first(10, Direction::Ascending)).await.unwrap();
    assert_eq!(page, [count(7), other]);
}

pub async fn a_deletion_takes_what_is_not_newer(harness: impl Harness) {
    let store = harness.store(TABLES).await;
    store.put(count(5)).await.unwrap();
    store.delete_up_to(count(4)).await.unwrap();
    assert_eq!(current(&store).await, Some(count(5)));
    store.delete_up_to(count(5)).await.unwrap();
    assert_eq!(current(&store).await, None);
    store.put(count(6)).await.unwrap();
    assert_eq!(current(&store).await, Some(count(6)));
    store.delete_up_to(count(9)).await.unwrap();
    store.delete_up_to(count(9)).await.unwrap();
    assert_eq!(current(&store).await, None);
}
