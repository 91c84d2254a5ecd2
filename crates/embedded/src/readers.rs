//! A few read-only connections, used off the async threads.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::Connection;
use tokio::sync::Semaphore;

use crate::DatabaseError;
use crate::connection::open_reader;

/// Reads at a time. SQLite's readers don't block one another; more would only wait for the processors.
const READERS: u32 = 8;

pub(crate) struct Readers {
    path: PathBuf,
    permits: Arc<Semaphore>,
    idle: Mutex<Vec<Connection>>,
}

impl Readers {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path, permits: Arc::new(Semaphore::new(READERS as usize)), idle: Mutex::default() }
    }

    pub(crate) async fn read<T, Q>(self: &Arc<Self>, query: Q) -> Result<T, DatabaseError>
    where
        T: Send + 'static,
        Q: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        let permit = Arc::clone(&self.permits).acquire_owned().await.map_err(|_| DatabaseError::Closed)?;
        let this = Arc::clone(self);
        let running = tokio::task::spawn_blocking(move || {
            let connection = match this.take() {
                Some(connection) => connection,
                None => open_reader(&this.path)?,
            };
            // One snapshot for everything that the query looks at.
            let transaction = connection.unchecked_transaction()?;
            let result = query(&transaction);
            transaction.finish()?;
            this.give(connection);
            drop(permit);
            Ok(result?)
        });
        running.await.map_err(|error| DatabaseError::Sqlite(format!("a read failed: {error}")))?
    }

    fn take(&self) -> Option<Connection> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }

    fn give(&self, connection: Connection) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
    }

    /// Waits for the reads under way and takes no more.
    pub(crate) async fn close(&self) {
        let all = self.permits.acquire_many(READERS).await;
        self.permits.close();
        drop(all);
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}
