//! Rows whose time runs out.

use std::sync::atomic::Ordering;
use std::time::Duration;

use geopush_store::{Bound, Direction, Schema, Table, Value, table};

use crate::Harness;

table! {
    /// Goes by itself.
    pub struct VisitRow: "visits" in History, plain, ascending, ttl_days 1 {
        partition { owner: String }
        clustering { id: i64 }
        values { text: String }
    }
}

table! {
    /// Goes by itself; conditional.
    pub struct TicketRow: "tickets" in Config, conditional, ascending, ttl_days 1 {
        partition { owner: String }
        values { text: String, version: i64 }
    }
}

/// The same, but that rows go after seconds: some clocks can only be waited for.
const SHORT_VISITS: &Schema = &Schema { ttl_s: Some(LIFE_S), ..VisitRow::SCHEMA };
const SHORT_TICKETS: &Schema = &Schema { ttl_s: Some(LIFE_S), ..TicketRow::SCHEMA };
const LIFE_S: u32 = 6;

fn visit(id: i64) -> VisitRow {
    VisitRow { owner: "o".to_owned(), id, text: format!("visit {id}") }
}

fn ticket(text: &str, version: i64) -> TicketRow {
    TicketRow { owner: "o".to_owned(), text: text.to_owned(), version }
}

/// Lets time pass, by setting the clock or by waiting.
async fn wait(harness: &impl Harness, s: u64) {
    match harness.clock() {
        Some(clock) => drop(clock.fetch_add(s as i64 * 1000, Ordering::SeqCst)),
        None => tokio::time::sleep(Duration::from_secs(s)).await,
    }
}

pub async fn a_row_goes_by_itself(harness: impl Harness) {
    let backend = harness.backend();
    backend.migrate(&[SHORT_VISITS]).await.unwrap();
    let put = |id| backend.put(SHORT_VISITS, vec![visit(id).into_values()]);
    let seen = async || {
        let (partition, ends) = (vec![Value::Text("o".to_owned())], (Bound::Unbounded, Bound::Unbounded));
        let page = backend.page(SHORT_VISITS, partition, ends.0, ends.1, Direction::Ascending, 10);
        let rows = page.await.unwrap();
        rows.into_iter().map(|row| VisitRow::from_values(row).unwrap().id).collect::<Vec<_>>()
    };
    put(1).await.unwrap();
    put(2).await.unwrap();
    assert_eq!(seen().await, [1, 2]);
    wait(&harness, 3).await;
    // A put starts the time again.
    put(2).await.unwrap();
    wait(&harness, 4).await;
    assert_eq!(seen().await, [2]);
    let gone = vec![Value::Text("o".to_owned()), Value::Int(1)];
    assert_eq!(backend.get(SHORT_VISITS, vec![gone]).await.unwrap(), [None]);
    wait(&harness, 3).await;
    assert!(seen().await.is_empty());
}

pub async fn conditions_do_not_see_what_went_by_itself(harness: impl Harness) {
    let backend = harness.backend();
    backend.migrate(&[SHORT_TICKETS]).await.unwrap();
    let absent = |text: &str| backend.put_if_absent(SHORT_TICKETS, ticket(text, 1).into_values());
    assert!(absent("first").await.unwrap());
    assert!(!absent("early").await.unwrap());
    wait(&harness, 3).await;
    // A new version starts the time again.
    let next = backend.put_if_version(SHORT_TICKETS, ticket("next", 2).into_values(), 1);
    assert!(next.await.unwrap());
    wait(&harness, 4).await;
    let key = || vec![vec![Value::Text("o".to_owned())]];
    let there = backend.get(SHORT_TICKETS, key()).await.unwrap();
    assert_eq!(there, [Some(ticket("next", 2).into_values())]);
    wait(&harness, 3).await;
    assert_eq!(backend.get(SHORT_TICKETS, key()).await.unwrap(), [None]);
    let late = backend.put_if_version(SHORT_TICKETS, ticket("late", 3).into_values(), 2);
    assert!(!late.await.unwrap());
    assert!(absent("second").await.unwrap());
}
