//! The handle that everything shares.

use std::future::Future;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use rusqlite::Connection;
use tokio::sync::oneshot;

use crate::DatabaseError;
use crate::connection::{Directory, open_writer};
use crate::queue::{Job, Limits, Queue};
use crate::readers::Readers;
use crate::work::{Pending, Work};
use crate::writer;

/// The open database: a cheap handle, cloned at will. Dropping the last one does what [`Database::close`] does,
/// and blocks while it does.
#[derive(Clone)]
pub struct Database {
    inner: Arc<Inner>,
}

struct Inner {
    queue: Arc<Queue>,
    readers: Arc<Readers>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

impl Database {
    /// Makes `dir` (only this user may enter it) and `dir/geopush.db` where they are missing, and locks `dir`.
    ///
    /// # Errors
    /// When another process has the directory, when it can't be written, or when a newer version wrote it.
    pub fn open(dir: &Path) -> Result<Self, DatabaseError> {
        Self::open_with(dir, Limits::USUAL)
    }

    pub(crate) fn open_with(dir: &Path, limits: Limits) -> Result<Self, DatabaseError> {
        let directory = Arc::new(Directory::open(dir)?);
        let path = directory.database();
        let connection = open_writer(&path)?;
        let queue = Arc::new(Queue::new(limits));
        let writer = std::thread::Builder::new()
            .name("geopush-writer".to_owned())
            .spawn({
                let queue = Arc::clone(&queue);
                move || writer::run(&queue, connection, directory)
            })
            .map_err(|error| DatabaseError::Io { path: path.clone(), reason: error.to_string() })?;
        let readers = Arc::new(Readers::new(path));
        Ok(Self { inner: Arc::new(Inner { queue, readers, writer: Mutex::new(Some(writer)) }) })
    }

    /// Queues `work` at the call, not when the future is polled; the future resolves once it is durable. All works
    /// happen in the order of the calls. Each has a savepoint of its own: one that fails changes nothing, and no
    /// other fails with it. The work happens even if the future is dropped. It must not begin or end transactions,
    /// and should take milliseconds at most: everyone else waits for it.
    ///
    /// # Errors
    /// [`DatabaseError::Full`] at once when too much is waiting; what `work` returned; a failed commit.
    pub fn write<T, W>(&self, work: W) -> impl Future<Output = Result<T, DatabaseError>> + Send + use<T, W>
    where
        T: Send + 'static,
        W: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        self.write_then(0, work, |_| ())
    }

    /// Like [`Database::write`], for work that holds `bytes` in memory while it waits (they count against the
    /// queue's bound). `settled` is called exactly once, before the future resolves: on the writer's thread once the
    /// work is durable or has failed, in the order of the works and before any later group of works runs; or at
    /// once, when the work is refused. It must be quick.
    ///
    /// # Errors
    /// As for [`Database::write`].
    pub fn write_then<T, W, S>(
        &self,
        bytes: usize,
        work: W,
        settled: S,
    ) -> impl Future<Output = Result<T, DatabaseError>> + Send + use<T, W, S>
    where
        T: Send + 'static,
        W: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
        S: FnOnce(Result<&T, &DatabaseError>) + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let work: Box<dyn Work> = Box::new(Pending { work: Some(work), outcome: None, settled, reply });
        if let Err((refusal, job)) = self.inner.queue.push(Job { bytes, work }) {
            metrics::counter!("geopush_embedded_refused_total").increment(1);
            job.work.settle(Some(&refusal));
        }
        async move {
            let lost = || DatabaseError::Commit("the writer stopped".to_owned());
            answer.await.unwrap_or_else(|_| Err(lost()))
        }
    }

    /// Runs `query` on a read-only connection, off the async threads, in one snapshot. It sees everything whose
    /// write has resolved.
    ///
    /// # Errors
    /// What `query` returned, or [`DatabaseError::Closed`].
    pub async fn read<T, Q>(&self, query: Q) -> Result<T, DatabaseError>
    where
        T: Send + 'static,
        Q: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        self.inner.readers.read(query).await
    }

    /// Waits for what is queued, writes everything to the one file, and lets go of the directory. Later calls fail.
    pub async fn close(&self) {
        self.inner.readers.close().await;
        self.inner.queue.close();
        let writer = self.inner.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(writer) = writer {
            // A panic of the writer has been printed by then, and there is nobody left to tell.
            let _ = tokio::task::spawn_blocking(move || writer.join()).await;
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.queue.close();
        let writer = self.writer.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        // The last handle may have been owned by a piece of work; the writer can't wait for itself.
        if let Some(writer) = writer.filter(|writer| writer.thread().id() != std::thread::current().id()) {
            let _ = writer.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    const SMALL: Limits = Limits { waiting_works: 3, waiting_bytes: 100, group_works: 8, group_bytes: 100 };

    /// Holds the writer up until the sender is used or dropped.
    fn hold_up(database: &Database) -> mpsc::Sender<()> {
        let (go, wait) = mpsc::channel::<()>();
        let (begun, began) = mpsc::channel();
        drop(database.write(move |_| {
            let _ = begun.send(());
            let _ = wait.recv();
            Ok(())
        }));
        began.recv().unwrap();
        go
    }

    #[tokio::test]
    async fn a_full_queue_refuses_at_once_and_later_takes_again() {
        let dir = tempfile::tempdir().unwrap();
        let database = Database::open_with(dir.path(), SMALL).unwrap();
        let go = hold_up(&database);
        let waiting: Vec<_> = (0..3).map(|n| database.write(move |_| Ok(n))).collect();
        let refused = database.write(|_| Ok(3)).await;
        assert!(matches!(refused, Err(DatabaseError::Full)), "{refused:?}");
        drop(go);
        for (n, written) in waiting.into_iter().enumerate() {
            assert_eq!(written.await.unwrap(), n);
        }
        assert_eq!(database.write(|_| Ok(4)).await.unwrap(), 4);
    }

    #[tokio::test]
    async fn bytes_count_against_the_queue_but_one_work_is_always_taken() {
        let dir = tempfile::tempdir().unwrap();
        let database = Database::open_with(dir.path(), SMALL).unwrap();
        let go = hold_up(&database);
        let large = database.write_then(1_000, |_| Ok(()), |_| ());
        let refused = database.write_then(1, |_| Ok(()), |_| ()).await;
        assert!(matches!(refused, Err(DatabaseError::Full)), "{refused:?}");
        drop(go);
        large.await.unwrap();
    }

    #[tokio::test]
    async fn what_waits_together_is_committed_together() {
        let dir = tempfile::tempdir().unwrap();
        let database = Database::open(dir.path()).unwrap();
        database.write(|c| c.execute("CREATE TABLE t (n INTEGER)", [])).await.unwrap();
        let go = hold_up(&database);
        let (seen, order) = mpsc::channel();
        let written: Vec<_> = (0..100)
            .map(|n| {
                let seen = seen.clone();
                database.write_then(
                    0,
                    move |c| c.execute("INSERT INTO t VALUES (?1)", [n]),
                    move |_| seen.send(n).unwrap(),
                )
            })
            .collect();
        drop(go);
        for written in written {
            written.await.unwrap();
        }
        assert_eq!(order.try_iter().collect::<Vec<_>>(), (0..100).collect::<Vec<_>>());
    }
}
