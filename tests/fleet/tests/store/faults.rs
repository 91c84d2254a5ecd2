//! A cluster that fails, or lets not everybody in.

use std::time::{Duration, Instant};

use futures::future::try_join_all;
use geopush_fleet::{Cassandra, Secured};
use geopush_store::{CqlOptions, CqlStore, Schema, Store, StoreError, Table, table};

use crate::harness::Harness;
use crate::look::change;
use crate::{OnCassandra, options};

table! {
    /// A note.
    pub struct NoteRow: "notes" in History, plain, ascending {
        partition { owner: String }
        clustering { id: i64 }
        values { text: String }
    }
}

table! {
    /// A lease.
    pub struct LeaseRow: "leases" in Config, conditional, ascending {
        partition { owner: String }
        values { text: String, version: i64 }
    }
}

const TABLES: &[&Schema] = &[&NoteRow::SCHEMA, &LeaseRow::SCHEMA];

/// Within this every call ends, however the cluster is.
const BOUND: Duration = Duration::from_secs(25);

fn note(id: i64) -> NoteRow {
    NoteRow { owner: "o".to_owned(), id, text: "text".to_owned() }
}

async fn read(store: &Store, id: i64) -> Result<Option<NoteRow>, StoreError> {
    store.get(&("o".to_owned(),), &(id,)).await
}

/// The error that a call must end with, and in time.
async fn unavailable<R: std::fmt::Debug>(call: impl Future<Output = Result<R, StoreError>>) -> String {
    let begun = Instant::now();
    let ended = tokio::time::timeout(BOUND, call).await.expect("every call ends in bounded time");
    match ended {
        Err(StoreError::Unavailable(said)) => said,
        other => panic!("after {:?}: {other:?}", begun.elapsed()),
    }
}

async fn blocking<R: Send + 'static>(work: impl FnOnce() -> R + Send + 'static) -> R {
    tokio::task::spawn_blocking(work).await.unwrap()
}

async fn refused(options: CqlOptions) -> String {
    unavailable(async { CqlStore::connect(options).await.map(drop) }).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_stands_still_or_dies_is_unavailable_and_serves_again_after() {
    let node = std::sync::Arc::new(blocking(|| Cassandra::start().unwrap()).await);
    let process = OnCassandra::with(options(&node.address())).await;
    let store = process.store(TABLES).await;
    store.put(note(1)).await.unwrap();

    node.pause().unwrap();
    let said = unavailable(store.put(note(2))).await;
    assert!(said.contains("no answer within 5 s"), "{said}");
    unavailable(read(&store, 1)).await;
    let lease = LeaseRow { owner: "o".to_owned(), text: "text".to_owned(), version: 1 };
    unavailable(store.put_if_absent(lease.clone())).await;
    unavailable(store.is_migrated()).await;
    refused(options(&node.address())).await;
    node.resume().unwrap();
    again(&store, 1).await;
    // Whether it was written is only known now: it is there, or can be put.
    let there: Option<LeaseRow> = store.get(&("o".to_owned(),), &()).await.unwrap();
    assert_ne!(store.put_if_absent(lease.clone()).await.unwrap(), there.is_some());
    assert_eq!(store.get(&("o".to_owned(),), &()).await.unwrap(), Some(lease.clone()));
    store.put(note(3)).await.unwrap();

    node.kill().unwrap();
    unavailable(store.put(note(4))).await;
    unavailable(read(&store, 3)).await;
    let started = std::sync::Arc::clone(&node);
    blocking(move || started.restart().unwrap()).await;
    again(&store, 3).await;
    assert_eq!(store.get(&("o".to_owned(),), &()).await.unwrap(), Some(lease));
    store.put_all((4..200).map(note).collect()).await.unwrap();
    assert_eq!(read(&store, 199).await.unwrap(), Some(note(199)));
}

/// Waits until a note that was acknowledged is read again; anything but the store being away is an error.
async fn again(store: &Store, id: i64) {
    let begun = Instant::now();
    loop {
        match read(store, id).await {
            Ok(found) => return assert_eq!(found, Some(note(id))),
            Err(StoreError::Unavailable(said)) => {
                assert!(begun.elapsed() < Duration::from_secs(60), "it does not come back: {said}");
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
            Err(other) => panic!("{other}"),
        }
    }
}

#[tokio::test]
async fn nobody_at_the_address_is_unavailable_soon() {
    // The port is ours, and whoever knocks is never answered.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap().to_string();
    let said = refused(options(&address)).await;
    assert!(said.contains(&address) && said.contains("cql.nodes"), "{said}");
    drop(silent);
    let said = refused(options(&address)).await;
    assert!(said.contains(&address) && said.contains("cql.nodes"), "{said}");
}

#[tokio::test]
async fn tables_that_were_not_made_ask_for_the_migration() {
    let process = OnCassandra::start().await;
    let store = Store::with_tables(process.backend(), TABLES);
    assert!(!store.is_migrated().await.unwrap());
    let said = unavailable(read(&store, 1)).await;
    assert!(said.contains("geopush migrate"), "{said}");
    store.migrate().await.unwrap();
    assert_eq!(read(&store, 1).await.unwrap(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secured_node_is_spoken_to_with_its_authority_and_a_password_alone() {
    let node = blocking(|| Cassandra::start_secured().unwrap()).await;
    let Secured { ca, username, password } = node.secured().unwrap().clone();
    let own = |password: &str| Some((username.to_owned(), password.to_owned()));
    let right = CqlOptions { credentials: own(password), ca: Some(ca.clone()), ..options(&node.address()) };
    let store = OnCassandra::with(right.clone()).await.store(TABLES).await;
    store.put(note(1)).await.unwrap();
    assert_eq!(read(&store, 1).await.unwrap(), Some(note(1)));

    let said = refused(CqlOptions { credentials: own("hunter2"), ..right.clone() }).await;
    assert!(said.contains("cql.password") && !said.contains("hunter2"), "{said}");
    let said = refused(CqlOptions { credentials: None, ..right.clone() }).await;
    assert!(said.contains("cql.username"), "{said}");
    refused(CqlOptions { ca: None, ..right.clone() }).await;

    let other = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
    let of_others = ca.with_file_name("others.pem");
    std::fs::write(&of_others, other.cert.pem()).unwrap();
    let said = refused(CqlOptions { ca: Some(of_others), ..right.clone() }).await;
    assert!(said.contains("cql.ca"), "{said}");
    let said = refused(CqlOptions { ca: Some("/nowhere/ca.pem".into()), ..right }).await;
    assert!(said.contains("/nowhere/ca.pem"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_write_fails_while_its_table_is_changed() {
    let harness = OnCassandra::start().await;
    let store = harness.store(TABLES).await;
    let table = format!("{}_history.notes", harness.options.keyspace);
    let address = harness.options.nodes[0].clone();
    // A node forgets the statements of a table at each of these.
    let changes = tokio::spawn(blocking(move || {
        for column in 0..12 {
            change(&address, &format!("ALTER TABLE {table} ADD later{column} int"));
        }
    }));
    let mut written = 0;
    while !changes.is_finished() {
        let puts = (written..written + 50).map(|id| store.put(note(id)));
        try_join_all(puts).await.unwrap();
        written += 50;
    }
    changes.await.unwrap();
    let keys: Vec<_> = (0..written).map(|id| (("o".to_owned(),), (id,))).collect();
    let found: Vec<Option<NoteRow>> = store.get_all(&keys).await.unwrap();
    assert!(found.iter().all(Option::is_some), "of {written}");
}
