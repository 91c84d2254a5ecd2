//! Runs a stage: one task a slice, each with its own state, over one membership of a group.

use std::sync::Arc;

use async_trait::async_trait;
use tokio_util::sync::CancellationToken;

use crate::{Batch, LogError, Lost, Offset, Record, SharedLog, Topic};

/// Why a slice's task ended before it was asked to.
#[derive(Debug, thiserror::Error)]
pub enum StageError {
    /// A commit was lost.
    #[error(transparent)]
    Lost(#[from] Lost),
    /// The log failed.
    #[error(transparent)]
    Log(#[from] LogError),
    /// Something else that the stage needs failed.
    #[error("{0}")]
    Dependency(String),
}

/// What a role does with its slices.
#[async_trait]
pub trait Stage: Send + Sync + 'static {
    /// The group's name: one a stage, the same in every process.
    fn group(&self) -> &'static str;

    /// The topics that it consumes; a slice has the same partition of each.
    fn inputs(&self) -> &'static [Topic];

    /// Works on one slice: restores its state, then takes batches until [`Slice::next`] says `None`, commits what
    /// is in hand and returns. State lives in local variables: when a commit is lost the task is dropped, and
    /// called anew with the slice as it was last committed. An error has the same effect, after a pause.
    async fn run(&self, slice: Slice) -> Result<(), StageError>;
}

/// One slice while it is owned.
pub struct Slice {
    // the implementation's own
}

impl Slice {
    /// Its number: the partition of every input.
    pub fn number(&self) -> u32 {
        unimplemented!()
    }
    /// The log, for restoring and for read barriers.
    pub fn log(&self) -> &SharedLog {
        unimplemented!()
    }
    /// The next offset to consume of each input, as last committed under this lease.
    pub fn positions(&self) -> &[Offset] {
        unimplemented!()
    }
    /// The note as last committed.
    pub fn note(&self) -> &str {
        unimplemented!()
    }
    /// The next batch of any input; `None` when the slice is asked back or the process shuts down: commit and return.
    /// Safe to drop while waiting.
    pub async fn next(&mut self) -> Option<Batch> {
        unimplemented!()
    }
    /// Whether every record that the log has for this slice has been handed out by [`Slice::next`].
    pub async fn is_caught_up(&self) -> Result<bool, LogError> {
        unimplemented!()
    }
    /// Publishes outputs, positions and note atomically; returns once that is durable.
    pub async fn commit(
        &mut self,
        _positions: Vec<Offset>,
        _note: String,
        _outputs: Vec<Record>,
    ) -> Result<(), Lost> {
        unimplemented!()
    }
}

/// Runs `stage` on the slices that this member of its group is given, until `shutdown`; then finishes the batches
/// in hand and leaves the group.
///
/// # Errors
/// When the group can't be joined any more.
pub async fn run_stage(
    _log: SharedLog,
    _stage: Arc<dyn Stage>,
    _shutdown: CancellationToken,
) -> Result<(), StageError> {
    unimplemented!()
}
