//! A process is killed while it writes: what it was told is durable is there, and nothing is torn.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use geopush_embedded::Database;

const DIRECTORY: &str = "GEOPUSH_TEST_KILL_DIRECTORY";
const ROUNDS: i64 = 8;

/// Not a claim of its own: the process that gets killed, when the other test starts this binary anew.
#[test]
fn the_writing_process() {
    let Some(dir) = std::env::var_os(DIRECTORY) else { return };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    runtime.block_on(write_for_ever(Path::new(&dir)));
}

async fn write_for_ever(dir: &Path) {
    let database = Database::open(dir).unwrap();
    database
        .write(|c| c.execute_batch("CREATE TABLE IF NOT EXISTS halves (n INTEGER, half INTEGER, v BLOB)"))
        .await
        .unwrap();
    let last: i64 = database
        .read(|c| c.query_row("SELECT ifnull(max(n), 0) FROM halves", [], |row| row.get(0)))
        .await
        .unwrap();
    let tasks: Vec<_> = (0..8)
        .map(|task| {
            let database = database.clone();
            tokio::spawn(async move {
                for i in 0.. {
                    let n = last + 1 + i * 8 + task;
                    database
                        .write(move |c| {
                            let mut insert =
                                c.prepare_cached("INSERT INTO halves VALUES (?1, ?2, zeroblob(3000))")?;
                            insert.execute([n, 0])?;
                            insert.execute([n, 1])
                        })
                        .await
                        .unwrap();
                    println!("durable {n}");
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
}

#[tokio::test]
async fn what_was_acknowledged_survives_kill_9() {
    let dir = tempfile::tempdir().unwrap();
    let mut acknowledged = std::collections::BTreeSet::new();
    for round in 0..ROUNDS {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["the_writing_process", "--exact", "--nocapture"])
            .env(DIRECTORY, dir.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut left = 20 + round * 37;
        for line in lines {
            // The harness prints on the same line as the first of ours.
            let line = line.unwrap();
            let Some((_, n)) = line.split_once("durable ") else { continue };
            acknowledged.insert(n.parse::<i64>().unwrap());
            left -= 1;
            if left == 0 {
                child.kill().unwrap();
            }
        }
        child.wait().unwrap();
        assert!(left <= 0, "the child ended before it was killed");
    }

    let database = Database::open(dir.path()).unwrap();
    let (check, halves): (String, Vec<(i64, i64)>) = database
        .read(|c| {
            let check = c.query_row("PRAGMA integrity_check", [], |row| row.get(0))?;
            let halves = c
                .prepare("SELECT n, count(*) FROM halves GROUP BY n")?
                .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
                .collect::<Result<_, _>>()?;
            Ok((check, halves))
        })
        .await
        .unwrap();
    assert_eq!(check, "ok");
    assert!(halves.iter().all(|(_, count)| *count == 2), "a work was torn");
    let there: std::collections::BTreeSet<i64> = halves.iter().map(|(n, _)| *n).collect();
    let missing: Vec<_> = acknowledged.difference(&there).collect();
    assert!(missing.is_empty(), "acknowledged and lost: {missing:?}");
}
