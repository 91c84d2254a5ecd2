//! What only the embedded store can show: its file.

// Clippy knows tests by their attribute alone, not what they share.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use geopush_embedded::Database;
use geopush_store::{EmbeddedStore, Store, StoreError, Timestamp, tables};
use uuid::Uuid;

fn tenant() -> tables::TenantRow {
    let at = Timestamp(1_700_000_000_000);
    tables::TenantRow {
        tenant: Uuid::from_u128(5),
        name: "Acme".to_owned(),
        detect_crossings: None,
        timezone: None,
        quiet_hours: None,
        caps: None,
        quota_per_day: None,
        weight: None,
        created_at: at,
        updated_at: at,
        version: 1,
    }
}

async fn open(dir: &tempfile::TempDir) -> (Database, Store) {
    let database = Database::open(dir.path()).unwrap();
    let store = Store::new(Arc::new(EmbeddedStore::new(database.clone())));
    store.migrate().await.unwrap();
    (database, store)
}

#[tokio::test]
async fn the_file_is_readable_as_what_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let (database, store) = open(&dir).await;
    assert!(store.put_if_absent(tenant()).await.unwrap());
    let text = |c: &rusqlite::Connection| {
        c.query_row("SELECT hex(tenant) || ' ' || name || ' ' || created_at FROM tenants", [], |row| {
            row.get(0)
        })
    };
    let text: String = database.read(text).await.unwrap();
    assert_eq!(text, format!("{:0>32} Acme 1700000000000", 5));
}

#[tokio::test]
async fn a_value_that_is_missing_names_its_column() {
    let dir = tempfile::tempdir().unwrap();
    let (database, store) = open(&dir).await;
    assert!(store.put_if_absent(tenant()).await.unwrap());
    database.write(|c| c.execute("UPDATE tenants SET name = NULL", [])).await.unwrap();
    let got = store.get::<tables::TenantRow>(&(tenant().tenant,), &()).await;
    assert_eq!(got, Err(StoreError::Corrupt { table: "tenants", column: "name" }));
}

#[tokio::test]
async fn a_value_of_another_form_names_its_column() {
    let dir = tempfile::tempdir().unwrap();
    let (database, store) = open(&dir).await;
    let too_wide = |c: &rusqlite::Connection| {
        c.execute("INSERT INTO idempotency VALUES (zeroblob(16), 'k', x'00', 1 << 40, '', 0, 1, 1 << 60)", [])
    };
    database.write(too_wide).await.unwrap();
    let got = store.get::<tables::IdempotencyRow>(&(Uuid::nil(), "k".to_owned()), &()).await;
    assert_eq!(got, Err(StoreError::Corrupt { table: "idempotency", column: "status" }));

    let too_short =
        |c: &rusqlite::Connection| c.execute("INSERT INTO intents VALUES (0, 'zone', 'z', x'01', 0)", []);
    database.write(too_short).await.unwrap();
    let got = store.get::<tables::IntentRow>(&(0,), &("zone".to_owned(), "z".to_owned())).await;
    assert_eq!(got, Err(StoreError::Corrupt { table: "intents", column: "tenant" }));
}

#[tokio::test]
async fn a_closed_database_is_unavailable() {
    let dir = tempfile::tempdir().unwrap();
    let (database, store) = open(&dir).await;
    database.close().await;
    let result = store.put_if_absent(tenant()).await;
    assert!(matches!(result, Err(StoreError::Unavailable(_))), "{result:?}");
}

#[test]
fn no_value_outside_the_key_is_printed() {
    let printed = format!("{:?}", tenant());
    assert!(printed.contains("tenant:") && !printed.contains("Acme"), "{printed}");
}
