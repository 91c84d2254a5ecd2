//! The page about outcomes and reasons tells of every code that there is, and of no other.

use std::collections::BTreeSet;

use geopush_model::{Outcome, Reason};

const PAGE: &str = include_str!("../../../docs/delivery-outcomes.md");

/// The cells of a table's rows, below the heading of its section.
fn rows(heading: &str) -> Vec<Vec<&'static str>> {
    let section =
        PAGE.split("\n## ").find(|section| section.starts_with(heading)).expect("there is the section");
    let rows = section.lines().filter(|line| line.starts_with("| `"));
    rows.map(|row| row.trim_matches('|').split(" | ").map(str::trim).collect()).collect()
}

fn codes(rows: &[Vec<&'static str>]) -> Vec<&'static str> {
    rows.iter().map(|row| row[0].trim_matches('`')).collect()
}

#[test]
fn every_outcome_has_its_row() {
    let rows = rows("Outcomes");
    assert_eq!(codes(&rows), Outcome::ALL.iter().map(|outcome| outcome.as_str()).collect::<Vec<_>>());
    assert!(rows.iter().all(|row| row.len() == 3 && row.iter().all(|cell| !cell.is_empty())), "{rows:?}");
}

#[test]
fn every_reason_has_its_row_with_the_outcome_that_it_belongs_to() {
    let rows = rows("Reasons");
    let told: BTreeSet<_> = codes(&rows).into_iter().collect();
    assert_eq!(told, Reason::ALL.iter().map(|reason| reason.as_str()).collect());
    assert_eq!(told.len(), rows.len(), "each has one");
    for row in rows {
        assert!(row.len() == 4 && row.iter().all(|cell| !cell.is_empty()), "{row:?}");
        let outcome = Outcome::parse(row[1]);
        assert!(outcome.is_some_and(|outcome| outcome.is_end() && outcome != Outcome::Accepted), "{row:?}");
    }
}
