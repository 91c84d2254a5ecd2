//! The embedded backend: the log in the one SQLite file.

use async_trait::async_trait;
use geopush_embedded::Database;

use crate::{AppendError, Cursor, Group, Log, LogError, Offset, Reader, Record, Topic, Until};

/// The log in the one SQLite file of the embedded default. Groups are within the process, since only one process
/// has the file.
pub struct EmbeddedLog {
    partitions: u32,
}

impl EmbeddedLog {
    /// The usual number of partitions of a topic that has more than one.
    pub const PARTITIONS: u32 = 8;

    /// Makes the log's tables where they are missing.
    ///
    /// # Errors
    /// When the file was made with another number of `partitions`, or can't be used.
    pub async fn open(_database: Database, partitions: u32) -> Result<Self, LogError> {
        Ok(Self { partitions })
    }
}

#[async_trait]
impl Log for EmbeddedLog {
    async fn append(&self, _records: Vec<Record>) -> Result<(), AppendError> {
        unimplemented!()
    }

    async fn join(&self, _group: &str, _inputs: &[Topic]) -> Result<Box<dyn Group>, LogError> {
        unimplemented!()
    }

    async fn end(&self, _topic: Topic, _partition: u32) -> Result<Offset, LogError> {
        unimplemented!()
    }

    async fn read(&self, _from: Vec<Cursor>, _until: Until) -> Result<Box<dyn Reader>, LogError> {
        unimplemented!()
    }

    fn partitions(&self, topic: Topic) -> u32 {
        if topic.is_partitioned() { self.partitions } else { 1 }
    }

    async fn close(&self) {}
}
