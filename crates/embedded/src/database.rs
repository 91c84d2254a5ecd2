//! The handle that everything shares.

use std::future::Future;
use std::path::Path;
use std::sync::Arc;

use rusqlite::Connection;

use crate::DatabaseError;

/// The open database: a cheap handle, cloned at will.
#[derive(Clone)]
pub struct Database {
    _inner: Arc<()>,
}

impl Database {
    /// Makes `dir` (only this user may enter it) and `dir/geopush.db` where they are missing, and locks `dir`.
    ///
    /// # Errors
    /// When another process has the directory, when it can't be written, or when a newer version wrote it.
    pub fn open(_dir: &Path) -> Result<Self, DatabaseError> {
        unimplemented!()
    }

    /// Queues `work` at the call, not when the future is polled; the future resolves once it is durable. All works
    /// happen in the order of the calls. Each has a savepoint of its own: one that fails changes nothing, and no
    /// other fails with it. The work happens even if the future is dropped. It must not begin or end transactions.
    ///
    /// # Errors
    /// [`DatabaseError::Full`] at once when too much is waiting; what `work` returned; a failed commit.
    pub fn write<T, W>(&self, work: W) -> impl Future<Output = Result<T, DatabaseError>> + Send + use<T, W>
    where
        T: Send + 'static,
        W: FnOnce(&Connection) -> Result<T, rusqlite::Error> + Send + 'static,
    {
        self.write_then(0, work, |_| ())
    }

    /// Like [`Database::write`], for work that holds `bytes` in memory while it waits (they count against the queue's
    /// bound). `after_commit` runs on the writer's thread once the work is durable and before the future resolves,
    /// in the order of the works; it must be quick.
    ///
    /// # Errors
    /// As for [`Database::write`].
    pub fn write_then<T, W, C>(
        &self,
        _bytes: usize,
        _work: W,
        _after_commit: C,
    ) -> impl Future<Output = Result<T, DatabaseError>> + Send + use<T, W, C>
    where
        T: Send + 'static,
        W: FnOnce(&Connection) -> Result<T, rusqlite::Error> + Send + 'static,
        C: FnOnce(&T) + Send + 'static,
    {
        async { unimplemented!() }
    }

    /// Runs `query` on a read-only connection, off the async threads. It sees everything whose write has resolved.
    ///
    /// # Errors
    /// What `query` returned, or [`DatabaseError::Closed`].
    pub async fn read<T, Q>(&self, _query: Q) -> Result<T, DatabaseError>
    where
        T: Send + 'static,
        Q: FnOnce(&Connection) -> Result<T, rusqlite::Error> + Send + 'static,
    {
        unimplemented!()
    }

    /// Waits for what is queued, writes everything to the one file, and lets go of the directory. Later calls fail.
    pub async fn close(&self) {
        unimplemented!()
    }
}
