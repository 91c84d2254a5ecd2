//! Rows whose time runs out, to the millisecond: for backends whose clock can be set.

use std::sync::atomic::{AtomicI64, Ordering};

use geopush_store::{Direction, Page, Schema, Store, Table, table};

use crate::Harness;

const DAY_MS: i64 = 24 * 60 * 60 * 1000;

table! {
    /// Goes after a day.
    pub struct VisitRow: "visits" in History, plain, ascending, ttl_days 1 {
        partition { owner: String }
        clustering { id: i64 }
        values { text: String }
    }
}

table! {
    /// Goes after two days; conditional.
    pub struct TicketRow: "tickets" in Config, conditional, ascending, ttl_days 2 {
        partition { owner: String }
        values { text: String, version: i64 }
    }
}

table! {
    /// Stays.
    pub struct StayRow: "stays" in History, plain, ascending {
        partition { owner: String }
        clustering { id: i64 }
        values {}
    }
}

const TABLES: &[&Schema] = &[&VisitRow::SCHEMA, &TicketRow::SCHEMA, &StayRow::SCHEMA];

fn visit(id: i64) -> VisitRow {
    VisitRow { owner: "o".to_owned(), id, text: format!("visit {id}") }
}

fn ticket(text: &str, version: i64) -> TicketRow {
    TicketRow { owner: "o".to_owned(), text: text.to_owned(), version }
}

fn owner() -> (String,) {
    ("o".to_owned(),)
}

fn clock<H: Harness>(harness: &H) -> &AtomicI64 {
    harness.clock().expect("a backend whose clock can be set")
}

fn pass(clock: &AtomicI64, ms: i64) -> i64 {
    clock.fetch_add(ms, Ordering::SeqCst) + ms
}

async fn visits(store: &Store) -> Vec<i64> {
    let page: Vec<VisitRow> = store.page(&owner(), &Page::first(10_000, Direction::Ascending)).await.unwrap();
    page.into_iter().map(|row| row.id).collect()
}

pub async fn a_row_is_not_seen_once_its_time_has_run_out(harness: impl Harness) {
    let clock = clock(&harness);
    let store = harness.store(TABLES).await;
    store.put(visit(1)).await.unwrap();
    pass(clock, DAY_MS - 1);
    store.put(visit(2)).await.unwrap();
    assert_eq!(store.get(&owner(), &(1,)).await.unwrap(), Some(visit(1)));
    assert_eq!(visits(&store).await, [1, 2]);
    pass(clock, 1);
    assert_eq!(store.get::<VisitRow>(&owner(), &(1,)).await.unwrap(), None);
    assert_eq!(store.get_all(&[(owner(), (1,)), (owner(), (2,))]).await.unwrap(), [None, Some(visit(2))]);
    assert_eq!(visits(&store).await, [2]);
    let page = Page { from: Some((0,)), to: Some((9,)), ..Page::first(1, Direction::Ascending) };
    assert_eq!(store.page::<VisitRow>(&owner(), &page).await.unwrap(), [visit(2)]);
}

pub async fn a_put_starts_the_time_again(harness: impl Harness) {
    let clock = clock(&harness);
    let store = harness.store(TABLES).await;
    store.put(visit(1)).await.unwrap();
    pass(clock, DAY_MS - 1);
    store.put(visit(1)).await.unwrap();
    let now = pass(clock, DAY_MS - 1);
    assert_eq!(store.expire(now).await.unwrap(), 0);
    assert_eq!(visits(&store).await, [1]);
}

pub async fn expiring_removes_what_has_run_out_and_nothing_else(harness: impl Harness) {
    let clock = clock(&harness);
    let store = harness.store(TABLES).await;
    store.put_all((0..1_300).map(visit).collect()).await.unwrap();
    store.put_if_absent(ticket("t", 1)).await.unwrap();
    pass(clock, DAY_MS / 2);
    store.put_all((2_000..2_010).map(visit).collect()).await.unwrap();
    let now = pass(clock, DAY_MS / 2);
    assert_eq!(store.expire(now - 1).await.unwrap(), 0);
    assert_eq!(store.expire(now).await.unwrap(), 1_300);
    assert_eq!(store.expire(now).await.unwrap(), 0);
    assert!(visits(&store).await.into_iter().eq(2_000..2_010));
    assert_eq!(store.get(&owner(), &()).await.unwrap(), Some(ticket("t", 1)));
    let now = pass(clock, DAY_MS);
    assert_eq!(store.expire(now).await.unwrap(), 11);
}

pub async fn an_expired_row_is_absent_to_conditions(harness: impl Harness) {
    let clock = clock(&harness);
    let store = harness.store(TABLES).await;
    assert!(store.put_if_absent(ticket("first", 1)).await.unwrap());
    pass(clock, 2 * DAY_MS - 1);
    assert!(!store.put_if_absent(ticket("early", 1)).await.unwrap());
    pass(clock, 1);
    assert!(!store.put_if_version(ticket("late", 2), 1).await.unwrap());
    assert!(store.put_if_absent(ticket("second", 1)).await.unwrap());
    assert_eq!(store.get(&owner(), &()).await.unwrap(), Some(ticket("second", 1)));
    pass(clock, 2 * DAY_MS - 1);
    assert!(store.put_if_version(ticket("third", 2), 1).await.unwrap());
    let now = pass(clock, 2 * DAY_MS - 1);
    assert_eq!(store.expire(now).await.unwrap(), 0);
    assert_eq!(store.get(&owner(), &()).await.unwrap(), Some(ticket("third", 2)));
}

pub async fn rows_of_tables_without_a_lifetime_stay(harness: impl Harness) {
    let clock = clock(&harness);
    let store = harness.store(TABLES).await;
    let stay = StayRow { owner: "o".to_owned(), id: 1 };
    store.put(stay.clone()).await.unwrap();
    let now = pass(clock, 10_000 * DAY_MS);
    assert_eq!(store.expire(now).await.unwrap(), 0);
    assert_eq!(store.get(&owner(), &(1,)).await.unwrap(), Some(stay));
}
