//! What the embedded file promises.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use geopush_embedded::{Database, DatabaseError};

async fn with_table() -> (tempfile::TempDir, Database) {
    let dir = tempfile::tempdir().unwrap();
    let database = Database::open(dir.path()).unwrap();
    database.write(|c| c.execute_batch("CREATE TABLE t (n INTEGER PRIMARY KEY, v BLOB)")).await.unwrap();
    (dir, database)
}

async fn count(database: &Database) -> i64 {
    database.read(|c| c.query_row("SELECT count(*) FROM t", [], |row| row.get(0))).await.unwrap()
}

#[tokio::test]
async fn a_work_that_fails_changes_nothing_and_no_other_fails_with_it() {
    let (_dir, database) = with_table().await;
    let written: Vec<_> = (0..50)
        .map(|n| {
            database.write(move |c| {
                c.execute("INSERT INTO t VALUES (?1, NULL)", [n])?;
                if n % 3 == 0 { Err(rusqlite::Error::QueryReturnedNoRows) } else { Ok(n) }
            })
        })
        .collect();
    for (n, written) in written.into_iter().enumerate() {
        assert_eq!(written.await.is_err(), n % 3 == 0);
    }
    let kept: Vec<i64> = database
        .read(|c| c.prepare("SELECT n FROM t ORDER BY n")?.query_map([], |row| row.get(0))?.collect())
        .await
        .unwrap();
    assert_eq!(kept, (0..50).filter(|n| n % 3 != 0).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_work_that_panics_is_an_error_of_its_own() {
    let (_dir, database) = with_table().await;
    let failed = database
        .write(|c| {
            c.execute("INSERT INTO t VALUES (1, NULL)", [])?;
            if count_rows(c)? == 1 { panic!("on purpose") } else { Ok(()) }
        })
        .await;
    assert!(
        matches!(&failed, Err(DatabaseError::Sqlite(reason)) if reason.contains("on purpose")),
        "{failed:?}"
    );
    assert_eq!(count(&database).await, 0);
}

fn count_rows(c: &rusqlite::Connection) -> rusqlite::Result<i64> {
    c.query_row("SELECT count(*) FROM t", [], |row| row.get(0))
}

#[tokio::test]
async fn a_work_happens_even_if_nobody_waits() {
    let (_dir, database) = with_table().await;
    drop(database.write(|c| c.execute("INSERT INTO t VALUES (1, NULL)", [])));
    database.write(|_| Ok(())).await.unwrap();
    assert_eq!(count(&database).await, 1);
}

#[tokio::test]
async fn settled_is_called_before_the_future_resolves_whether_it_worked_or_not() {
    let (_dir, database) = with_table().await;
    for fails in [false, true] {
        let called = Arc::new(AtomicBool::new(false));
        let there = Arc::clone(&called);
        let work = move |_: &rusqlite::Connection| match fails {
            true => Err(rusqlite::Error::QueryReturnedNoRows),
            false => Ok(()),
        };
        let result = database
            .write_then(0, work, move |outcome| {
                assert_eq!(outcome.is_err(), fails);
                there.store(true, Ordering::SeqCst);
            })
            .await;
        assert_eq!(result.is_err(), fails);
        assert!(called.load(Ordering::SeqCst));
    }
}

#[tokio::test]
async fn a_directory_belongs_to_one_at_a_time() {
    let (dir, database) = with_table().await;
    let second = Database::open(dir.path()).map(drop);
    let Err(error @ DatabaseError::InUse { .. }) = second else { panic!("{second:?}") };
    assert!(error.to_string().contains("another geopush is running"), "{error}");
    let clone = database.clone();
    database.close().await;
    let again = Database::open(dir.path()).unwrap();
    assert_eq!(count(&again).await, 0);
    assert!(matches!(clone.write(|_| Ok(())).await, Err(DatabaseError::Closed)));
    assert!(matches!(clone.read(|_| Ok(())).await, Err(DatabaseError::Closed)));
    drop(again);
    Database::open(dir.path()).map(drop).unwrap();
}

#[tokio::test]
async fn closing_leaves_one_file_with_everything_in_it() {
    let (dir, database) = with_table().await;
    let written = database.write(|c| c.execute("INSERT INTO t VALUES (7, NULL)", []));
    database.close().await;
    written.await.unwrap();
    let mut files: Vec<_> =
        std::fs::read_dir(dir.path()).unwrap().map(|file| file.unwrap().file_name()).collect();
    files.sort();
    assert_eq!(files, ["geopush.db", "lock"]);
}

#[tokio::test]
async fn only_the_owner_may_look() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("deep/data");
    let database = Database::open(&path).unwrap();
    database.write(|c| c.execute_batch("CREATE TABLE t (n INTEGER)")).await.unwrap();
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&path), 0o700);
    for file in ["geopush.db", "geopush.db-wal", "lock"] {
        assert_eq!(mode(&path.join(file)), 0o600, "{file}");
    }
}

#[tokio::test]
async fn a_file_of_a_newer_geopush_is_refused() {
    let (dir, database) = with_table().await;
    database.write(|c| c.pragma_update(None, "user_version", 99)).await.unwrap();
    drop(database);
    let refused = Database::open(dir.path()).map(drop);
    assert!(matches!(refused, Err(DatabaseError::Version { found: 99, .. })), "{refused:?}");
}

#[tokio::test]
async fn a_read_cannot_write() {
    let (_dir, database) = with_table().await;
    let refused = database.read(|c| c.execute("INSERT INTO t VALUES (1, NULL)", [])).await;
    assert!(matches!(refused, Err(DatabaseError::Sqlite(_))), "{refused:?}");
    assert_eq!(count(&database).await, 0);
}

#[tokio::test]
async fn a_read_sees_one_snapshot() {
    let (_dir, database) = with_table().await;
    let (begun, began) = std::sync::mpsc::channel();
    let (go, wait) = std::sync::mpsc::channel::<()>();
    let reading = tokio::spawn({
        let database = database.clone();
        async move {
            let query = move |c: &rusqlite::Connection| {
                let before = count_rows(c)?;
                begun.send(()).unwrap();
                let _ = wait.recv();
                Ok((before, count_rows(c)?))
            };
            database.read(query).await.unwrap()
        }
    });
    tokio::task::spawn_blocking(move || began.recv().unwrap()).await.unwrap();
    database.write(|c| c.execute("INSERT INTO t VALUES (1, NULL)", [])).await.unwrap();
    drop(go);
    assert_eq!(reading.await.unwrap(), (0, 0));
    assert_eq!(count(&database).await, 1);
}

#[tokio::test]
async fn the_wal_stays_bounded_under_writes_and_reads() {
    let (dir, database) = with_table().await;
    for round in 0..40_i64 {
        let written: Vec<_> = (0..100)
            .map(|n| {
                database.write(move |c| {
                    c.execute("INSERT INTO t VALUES (?1, randomblob(16000))", [round * 100 + n])
                })
            })
            .collect();
        for written in written {
            written.await.unwrap();
        }
        assert_eq!(count(&database).await, (round + 1) * 100);
    }
    let wal = std::fs::metadata(dir.path().join("geopush.db-wal")).unwrap().len();
    assert!(wal < 48 << 20, "64 MB were written and the WAL holds {wal} bytes");
}
