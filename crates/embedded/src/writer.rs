//! The one thread that writes: what is waiting goes into one transaction.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rusqlite::Connection;

use crate::DatabaseError;
use crate::connection::Directory;
use crate::queue::{Job, Queue};

/// A group that has worked for this long is committed, so that one slow piece of work delays few others.
const GROUP_TIME: Duration = Duration::from_millis(20);
/// A WAL beyond this is folded in even if readers have to be waited for.
const WAL_LIMIT: u64 = 128 << 20;

/// Writes until the queue is closed and empty, then folds the WAL in and lets go of the directory.
pub(crate) fn run(queue: &Queue, connection: Connection, directory: Arc<Directory>) {
    let mut wal = Wal { path: directory.wal(), next_look: 0, limit: WAL_LIMIT };
    while let Some(mut jobs) = queue.pop_group() {
        while !jobs.is_empty() {
            metrics::gauge!("geopush_embedded_queue_works").set((queue.len() + jobs.len()) as f64);
            commit_group(&connection, &mut jobs);
            wal.bound(&connection);
        }
    }
    checkpoint(&connection);
    if let Err((_, error)) = connection.close() {
        tracing::warn!(%error, "the embedded database did not close cleanly; the next start recovers it");
    }
    drop(directory);
}

/// Takes jobs off the front until the time is up, and commits them together.
fn commit_group(connection: &Connection, jobs: &mut VecDeque<Job>) {
    let begun = Instant::now();
    let mut done = Vec::with_capacity(jobs.len());
    let result = run_group(connection, jobs, &mut done, begun);
    let failed = result.err().map(|error| {
        if !connection.is_autocommit() {
            // Nothing more can be done if even this fails: the next BEGIN says so.
            let _ = connection.execute_batch("ROLLBACK");
        }
        tracing::error!(%error, works = done.len(), "a group of writes failed; check the disk's space and health");
        metrics::counter!("geopush_embedded_failed_commits_total").increment(1);
        DatabaseError::Commit(error.to_string())
    });
    metrics::histogram!("geopush_embedded_commit_seconds").record(begun.elapsed().as_secs_f64());
    metrics::histogram!("geopush_embedded_commit_works").record(done.len() as f64);
    for job in done {
        job.work.settle(failed.as_ref());
    }
}

fn run_group(
    connection: &Connection,
    jobs: &mut VecDeque<Job>,
    done: &mut Vec<Job>,
    begun: Instant,
) -> rusqlite::Result<()> {
    if let Err(error) = execute(connection, "BEGIN IMMEDIATE") {
        done.extend(jobs.drain(..));
        return Err(error);
    }
    while let Some(mut job) = jobs.pop_front() {
        let step = run_one(connection, &mut job);
        done.push(job);
        step?;
        if begun.elapsed() > GROUP_TIME {
            break;
        }
    }
    execute(connection, "COMMIT")
}

/// Runs one job behind its savepoint. An error here is one of the whole transaction.
fn run_one(connection: &Connection, job: &mut Job) -> rusqlite::Result<()> {
    execute(connection, "SAVEPOINT work")?;
    if !job.work.run(connection) {
        // A full disk, for one, makes SQLite roll back the whole transaction by itself; this fails then.
        execute(connection, "ROLLBACK TO work")?;
    }
    execute(connection, "RELEASE work")
}

fn execute(connection: &Connection, sql: &str) -> rusqlite::Result<()> {
    connection.prepare_cached(sql)?.execute([]).map(drop)
}

/// Folds the whole WAL into the database file, waiting a bounded time for readers.
fn checkpoint(connection: &Connection) {
    let result = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, i64>(0));
    match result {
        Ok(0) => {}
        Ok(_) => tracing::debug!("the WAL could not be folded in whole: someone is reading"),
        Err(error) => {
            tracing::warn!(%error, "the WAL could not be folded in; check the disk's space and health");
        }
    }
}

/// Keeps the WAL from growing for ever when readers are always in the way of SQLite's own checkpoints.
struct Wal {
    path: PathBuf,
    next_look: u32,
    limit: u64,
}

impl Wal {
    fn bound(&mut self, connection: &Connection) {
        self.next_look += 1;
        if self.next_look < 64 {
            return;
        }
        self.next_look = 0;
        let size = || std::fs::metadata(&self.path).map_or(0, |file| file.len());
        if size() > self.limit {
            checkpoint(connection);
            // If a reader kept it, try again only when it has grown as much again.
            self.limit = WAL_LIMIT + size();
        }
    }
}
