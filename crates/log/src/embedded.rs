//! The embedded backend: the log in the one SQLite file.
//!
//! One process has the file, so groups are coordinated in memory. What makes it right is the order of the one
//! writer: a commit checks its lease there, and a slice is granted there, so that a commit under an old lease is
//! either seen by the next owner or lost.

mod append;
mod commit;
mod coordinator;
mod ends;
mod member;
mod places;
mod read;
mod retention;
mod schema;

use std::sync::Arc;

use async_trait::async_trait;
use geopush_embedded::{Database, DatabaseError};
use tokio_util::sync::CancellationToken;

use crate::{AppendError, Cursor, Group, Log, LogError, Offset, Reader, Record, Topic, Until};
use coordinator::Coordinator;
use ends::Ends;
use places::Places;

/// The log in the one SQLite file of the embedded default. Groups are within the process, since only one process
/// has the file. The database stays open when the log is closed: others share it.
pub struct EmbeddedLog {
    core: Arc<Core>,
}

/// What can be chosen.
#[derive(Clone, Copy, Debug)]
pub struct EmbeddedOptions {
    /// The number of partitions of a topic that has more than one; fixed when the file is made.
    pub partitions: u32,
    /// Beyond this many bytes of keys and values, a partition that is cleaned by age loses its oldest records even
    /// earlier. `None`: age alone counts.
    pub retain_bytes: Option<u64>,
}

impl Default for EmbeddedOptions {
    fn default() -> Self {
        Self { partitions: EmbeddedLog::PARTITIONS, retain_bytes: None }
    }
}

/// What the log, its readers and its members share.
struct Core {
    database: Database,
    places: Places,
    ends: Ends,
    coordinator: Arc<Coordinator>,
    closed: CancellationToken,
}

impl EmbeddedLog {
    /// The usual number of partitions of a topic that has more than one.
    pub const PARTITIONS: u32 = 8;

    /// Makes the log's tables where they are missing.
    ///
    /// # Errors
    /// When the file was made with another number of `partitions`, or can't be used.
    pub async fn open(database: Database, partitions: u32) -> Result<Self, LogError> {
        Self::open_with(database, EmbeddedOptions { partitions, ..EmbeddedOptions::default() }).await
    }

    /// Like [`EmbeddedLog::open`], with everything that can be chosen.
    ///
    /// # Errors
    /// As for [`EmbeddedLog::open`].
    pub async fn open_with(database: Database, options: EmbeddedOptions) -> Result<Self, LogError> {
        let schema::Opened { places, ends } = schema::open(&database, options.partitions).await?;
        let closed = CancellationToken::new();
        let core = Arc::new(Core {
            database,
            places,
            ends: Ends::new(&ends),
            coordinator: Arc::new(Coordinator::new()),
            closed: closed.clone(),
        });
        tokio::spawn(retention::run(
            core.database.clone(),
            core.places.clone(),
            options.retain_bytes,
            closed,
        ));
        Ok(Self { core })
    }
}

impl Drop for EmbeddedLog {
    fn drop(&mut self) {
        self.core.close();
    }
}

impl Core {
    fn close(&self) {
        self.closed.cancel();
        self.coordinator.close();
    }

    fn check_open(&self) -> Result<(), LogError> {
        if self.closed.is_cancelled() { Err(LogError::Closed) } else { Ok(()) }
    }

    fn check_place(&self, topic: Topic, partition: u32) -> Result<(), LogError> {
        let partitions = self.places.partitions(topic);
        if partition < partitions {
            return Ok(());
        }
        Err(LogError::Backend(format!(
            "{} has {partitions} partitions, so there is no partition {partition}; this is a mistake in geopush",
            topic.name()
        )))
    }
}

impl From<DatabaseError> for LogError {
    fn from(error: DatabaseError) -> Self {
        match error {
            DatabaseError::Closed => Self::Closed,
            other => Self::Backend(other.to_string()),
        }
    }
}

#[async_trait]
impl Log for EmbeddedLog {
    async fn append(&self, records: Vec<Record>) -> Result<(), AppendError> {
        append::append(&self.core, records).await
    }

    async fn join(&self, group: &str, inputs: &[Topic]) -> Result<Box<dyn Group>, LogError> {
        self.core.check_open()?;
        Ok(Box::new(member::join(&self.core, group, inputs).await?))
    }

    async fn end(&self, topic: Topic, partition: u32) -> Result<Offset, LogError> {
        self.core.check_open()?;
        self.core.check_place(topic, partition)?;
        Ok(self.core.ends.get(self.core.places.slot(topic, partition)))
    }

    async fn read(&self, from: Vec<Cursor>, until: Until) -> Result<Box<dyn Reader>, LogError> {
        self.core.check_open()?;
        Ok(Box::new(read::EmbeddedReader::new(&self.core, &from, until)?))
    }

    fn partitions(&self, topic: Topic) -> u32 {
        self.core.places.partitions(topic)
    }

    async fn close(&self) {
        self.core.close();
        // Everything that was asked for before this is through once this is; that it fails says the same.
        let _ = self.core.database.write(|_| Ok(())).await;
    }
}
