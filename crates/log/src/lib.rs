//! The event log: topics of partitioned, durable records, and stages that turn some into others exactly once.
//!
//! The heart is the **slice**: partition *p* of every input topic of a stage. It is the unit of parallelism, of
//! state and of recovery. A stage joins a [`Group`] and is given slices; each knows its position in every input
//! and a small note, both as last committed. [`Committer::commit`] publishes outputs, positions and note atomically.
//!
//! The types to know: [`Log`] (append, read, join), [`Record`] and [`Received`], [`Topic`], [`Slice`] (what a
//! stage's code works with; [`run_stage`] does the rest), [`Follower`] (a compacted topic kept in memory, with the
//! read barrier).
//!
//! This crate never looks inside a value, and knows nothing of tenants, zones or pushes.

mod backoff;
mod embedded;
mod follow;
mod group;
mod kafka;
mod record;
mod rejected;
mod stage;
mod topic;

pub use embedded::{EmbeddedLog, EmbeddedOptions};
pub use follow::Follower;
pub use group::{Batch, Commit, Committer, Event, Given, Group, Lost};
#[cfg(feature = "bench")]
pub use kafka::baseline;
pub use kafka::{KafkaLog, KafkaOptions};
pub use record::{Partition, Received, Record, TraceId};
pub use rejected::rejected;
pub use stage::{Hold, Slice, Stage, StageError, run_stage};
pub use topic::{Cleanup, Topic, partition_of};

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

/// The place of a record in its partition. Offsets grow; compaction and transactions leave holes.
pub type Offset = u64;

/// A place to read from: this offset of this partition of this topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// The topic.
    pub topic: Topic,
    /// Its partition.
    pub partition: u32,
    /// The first offset to read.
    pub offset: Offset,
}

/// Where a [`Reader`] stops.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Until {
    /// Before these offsets, one a cursor.
    Offsets(Vec<Offset>),
    /// At the ends as they are when the read begins, open transactions waited for.
    Now,
    /// Nowhere: new records are waited for.
    Never,
}

/// Why an append failed.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// Nothing was written: too much is waiting already. Try again later.
    #[error("the log has too many records waiting to be written; try again in a moment")]
    Full,
    /// Nothing was written: the log will not take these records.
    #[error("the log refused the records: {0}")]
    Refused(String),
    /// Any part of the records may have been written.
    #[error("it is not known whether the records were written: {0}")]
    Unknown(String),
}

/// Why the log could not be read or joined.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The backend failed; the text says how and what to do.
    #[error("the event log could not be used: {0}")]
    Backend(String),
    /// What is there is not what was asked for, and trying again won't help; the text says what to do.
    #[error("the event log is not as configured: {0}")]
    Incompatible(String),
    /// The log is being closed.
    #[error("the event log is closed")]
    Closed,
}

/// A partitioned, durable log of records. One conformance suite (`tests/conformance.rs`) holds for every backend.
#[async_trait]
pub trait Log: Send + Sync + 'static {
    /// Returns once every record is durable. Records of one call that share a partition keep their order.
    ///
    /// # Errors
    /// See [`AppendError`]; only [`AppendError::Unknown`] leaves anything written.
    async fn append(&self, records: Vec<Record>) -> Result<(), AppendError>;

    /// Joins the named group as one more member and begins to share the slices of `inputs` with the others.
    /// Every input must have the same number of partitions.
    ///
    /// # Errors
    /// When the backend can't be reached.
    async fn join(&self, group: &str, inputs: &[Topic]) -> Result<Box<dyn Group>, LogError>;

    /// The offset that the next durable record of this partition will have at least: everything before it can be read.
    ///
    /// # Errors
    /// When the backend can't be reached.
    async fn end(&self, topic: Topic, partition: u32) -> Result<Offset, LogError>;

    /// Reads from each cursor on, in any interleaving, each partition in order.
    ///
    /// # Errors
    /// When the backend can't be reached.
    async fn read(&self, from: Vec<Cursor>, until: Until) -> Result<Box<dyn Reader>, LogError>;

    /// How many partitions a topic has.
    fn partitions(&self, topic: Topic) -> u32;

    /// Waits for what is under way and stops. Later calls fail.
    async fn close(&self);
}

/// A read under way.
#[async_trait]
pub trait Reader: Send {
    /// The next records of one cursor (its index with them), or `None` when every cursor has reached its end, or
    /// when `wait` has passed without a record; [`Reader::done`] tells which. Safe to drop while waiting.
    ///
    /// # Errors
    /// When the backend fails; the read can't go on then.
    async fn next(&mut self, wait: Duration) -> Result<Option<(usize, Vec<Received>)>, LogError>;

    /// The offset up to which cursor `index` has been read: holes included, so it reaches the end of the read.
    fn position(&self, index: usize) -> Offset;

    /// Whether every cursor has reached its end.
    fn done(&self) -> bool;
}

/// A log shared by everything in a process.
pub type SharedLog = Arc<dyn Log>;
