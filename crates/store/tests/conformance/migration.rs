//! Tables that change under their rows.

use std::sync::atomic::Ordering;

use geopush_store::{Schema, Store, StoreError, Table, table};

use crate::Harness;

table! {
    /// As it was first.
    pub struct FirstRow: "things" in History, plain, ascending {
        partition { owner: String }
        clustering { id: i64 }
        values { text: String }
    }
}

/// Later declarations of the same table.
mod later {
    use super::table;

    table! {
        /// With one column more.
        pub struct WiderRow: "things" in History, plain, ascending {
            partition { owner: String }
            clustering { id: i64 }
            values { remark: Option<String>, text: String }
        }
    }

    table! {
        /// With another key.
        pub struct OtherKeyRow: "things" in History, plain, ascending {
            partition { owner: String }
            clustering { text: String }
            values { id: i64 }
        }
    }

    table! {
        /// With a column that old rows can't have.
        pub struct StricterRow: "things" in History, plain, ascending {
            partition { owner: String }
            clustering { id: i64 }
            values { text: String, remark: String }
        }
    }

    table! {
        /// Expiring.
        pub struct ExpiringRow: "things" in History, plain, ascending, ttl_days 1 {
            partition { owner: String }
            clustering { id: i64 }
            values { text: String }
        }
    }
}

fn first(id: i64) -> FirstRow {
    FirstRow { owner: "o".to_owned(), id, text: "text".to_owned() }
}

fn owner() -> (String,) {
    ("o".to_owned(),)
}

pub async fn migrating_twice_changes_nothing(harness: impl Harness) {
    let store = harness.store(&[&FirstRow::SCHEMA]).await;
    store.put(first(1)).await.unwrap();
    store.migrate().await.unwrap();
    let harness = harness.reopen().await;
    let store = harness.store(&[&FirstRow::SCHEMA]).await;
    assert_eq!(store.get(&owner(), &(1,)).await.unwrap(), Some(first(1)));
    let geopush = Store::new(harness.backend());
    geopush.migrate().await.unwrap();
    geopush.migrate().await.unwrap();
}

pub async fn a_new_optional_column_is_null_in_old_rows(harness: impl Harness) {
    harness.store(&[&FirstRow::SCHEMA]).await.put(first(1)).await.unwrap();
    let store = harness.store(&[&later::WiderRow::SCHEMA]).await;
    let row = |id, remark| later::WiderRow { owner: "o".to_owned(), id, remark, text: "text".to_owned() };
    assert_eq!(store.get(&owner(), &(1,)).await.unwrap(), Some(row(1, None)));
    store.put(row(2, Some("new".to_owned()))).await.unwrap();
    assert_eq!(store.get(&owner(), &(2,)).await.unwrap(), Some(row(2, Some("new".to_owned()))));
    // A build from before, on the same file, does not mind.
    let store = harness.store(&[&FirstRow::SCHEMA]).await;
    store.put(first(3)).await.unwrap();
    assert_eq!(store.get(&owner(), &(2,)).await.unwrap(), Some(first(2)));
}

pub async fn another_key_is_refused(harness: impl Harness) {
    harness.store(&[&FirstRow::SCHEMA]).await.put(first(1)).await.unwrap();
    refused(&harness, &[&later::OtherKeyRow::SCHEMA]).await;
}

pub async fn a_new_column_that_must_have_a_value_is_refused(harness: impl Harness) {
    harness.store(&[&FirstRow::SCHEMA]).await.put(first(1)).await.unwrap();
    refused(&harness, &[&later::StricterRow::SCHEMA]).await;
}

async fn refused(harness: &impl Harness, tables: &'static [&'static Schema]) {
    let result = Store::with_tables(harness.backend(), tables).migrate().await;
    assert!(matches!(result, Err(StoreError::Incompatible { table: "things", .. })), "{result:?}");
    let store = harness.store(&[&FirstRow::SCHEMA]).await;
    assert_eq!(store.get(&owner(), &(1,)).await.unwrap(), Some(first(1)));
}

pub async fn old_rows_of_a_table_that_starts_to_expire_live_on(harness: impl Harness) {
    harness.store(&[&FirstRow::SCHEMA]).await.put(first(1)).await.unwrap();
    let store = harness.store(&[&later::ExpiringRow::SCHEMA]).await;
    let found = store.get::<later::ExpiringRow>(&owner(), &(1,)).await.unwrap();
    assert_eq!(found.map(|row| row.text), Some("text".to_owned()));
    let Some(clock) = harness.clock() else { return };
    let now = clock.fetch_add(24 * 60 * 60 * 1000, Ordering::SeqCst) + 24 * 60 * 60 * 1000;
    assert_eq!(store.get::<later::ExpiringRow>(&owner(), &(1,)).await.unwrap(), None);
    assert_eq!(store.expire(now).await.unwrap(), 1);
}

pub async fn nothing_is_migrated_before_it_was(harness: impl Harness) {
    let (first, wider) = (&[&FirstRow::SCHEMA], &[&later::WiderRow::SCHEMA]);
    let of = |tables: &'static [&'static Schema]| Store::with_tables(harness.backend(), tables);
    assert!(!of(first).is_migrated().await.unwrap());
    of(first).migrate().await.unwrap();
    assert!(of(first).is_migrated().await.unwrap());
    assert!(!of(wider).is_migrated().await.unwrap());
    of(wider).migrate().await.unwrap();
    assert!(of(wider).is_migrated().await.unwrap() && of(first).is_migrated().await.unwrap());
    let refused = of(&[&later::OtherKeyRow::SCHEMA]).is_migrated().await;
    assert!(matches!(refused, Err(StoreError::Incompatible { table: "things", .. })), "{refused:?}");
}

pub async fn many_may_migrate_at_once(harness: impl Harness) {
    let migrations = (0..4).map(|_| {
        let store = Store::new(harness.backend());
        tokio::spawn(async move { store.migrate().await })
    });
    for migration in futures::future::join_all(migrations).await {
        migration.unwrap().unwrap();
    }
    assert!(Store::new(harness.backend()).is_migrated().await.unwrap());
}
