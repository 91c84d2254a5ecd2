//! What a stage's code works with.

use std::sync::Arc;
use std::time::Instant;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::buffer::{Buffered, Progress};
use crate::{Batch, Commit, Committer, LogError, Lost, Offset, Record, SharedLog, Topic};

/// One slice while it is owned.
pub struct Slice {
    pub(super) stage: &'static str,
    pub(super) inputs: &'static [Topic],
    pub(super) number: u32,
    pub(super) lease: u64,
    pub(super) log: SharedLog,
    pub(super) committer: Arc<dyn Committer>,
    pub(super) positions: Vec<Offset>,
    pub(super) note: String,
    /// Bounded by pausing: see [`Progress`].
    pub(super) batches: mpsc::UnboundedReceiver<Buffered>,
    pub(super) closing: CancellationToken,
    pub(super) progress: Arc<Progress>,
}

impl Slice {
    /// Its number: the partition of every input.
    pub fn number(&self) -> u32 {
        self.number
    }

    /// The log, for restoring and for read barriers.
    pub fn log(&self) -> &SharedLog {
        &self.log
    }

    /// The next offset to consume of each input, as last committed.
    pub fn positions(&self) -> &[Offset] {
        &self.positions
    }

    /// The note as last committed; empty if there was none.
    pub fn note(&self) -> &str {
        &self.note
    }

    /// The next batch of any input; `None` when the slice is asked back or the process shuts down: commit and return.
    /// Safe to drop while waiting.
    pub async fn next(&mut self) -> Option<Batch> {
        let buffered = tokio::select! {
            biased;
            () = self.closing.cancelled() => None,
            buffered = self.batches.recv() => buffered,
        }?;
        self.progress.take(&buffered);
        let batch = buffered.batch;
        let topic = self.inputs[batch.input].name();
        metrics::counter!("geopush_stage_batches_total", "stage" => self.stage).increment(1);
        metrics::counter!("geopush_stage_records_total", "stage" => self.stage, "topic" => topic)
            .increment(batch.records.len() as u64);
        Some(batch)
    }

    /// Holds back the batches of one input, or lets them go on. What was read already still comes: as much as the
    /// buffers hold.
    pub fn pause(&self, input: usize, paused: bool) {
        self.progress.hold_back(input, paused);
    }

    /// Returns once the slice is asked back or the process shuts down: for a stage that does not always wait for
    /// [`Slice::next`], which says the same.
    pub fn asked_back(&self) -> impl Future<Output = ()> + Send + use<> {
        self.closing.clone().cancelled_owned()
    }

    /// Whether [`Slice::asked_back`] would return at once: for a stage whose batches take long.
    pub fn is_asked_back(&self) -> bool {
        self.closing.is_cancelled()
    }

    /// Whether every record that the log has for this slice has been handed out by [`Slice::next`].
    ///
    /// # Errors
    /// When the log can't be reached.
    pub async fn is_caught_up(&self) -> Result<bool, LogError> {
        for (input, topic) in self.inputs.iter().enumerate() {
            let end = self.log.end(*topic, self.number).await?;
            if self.progress.handed_out(input).is_none_or(|offset| offset < end) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The hold of this lease on the slice, for work that goes on beside this task.
    pub fn hold(&self) -> Hold {
        Hold { slice: self.number, lease: self.lease, committer: Arc::clone(&self.committer) }
    }

    /// Publishes outputs, positions and note atomically; returns once that is durable.
    ///
    /// # Errors
    /// When it did not happen or nobody knows: return the error, and the slice starts again from its last commit.
    pub async fn commit(
        &mut self,
        positions: Vec<Offset>,
        note: String,
        outputs: Vec<Record>,
    ) -> Result<(), Lost> {
        let begun = Instant::now();
        let commit = Commit {
            slice: self.number,
            lease: self.lease,
            positions: positions.clone(),
            note: note.clone(),
            outputs,
        };
        self.committer.commit(commit).await?;
        metrics::histogram!("geopush_stage_commit_seconds", "stage" => self.stage)
            .record(begun.elapsed().as_secs_f64());
        self.progress.commit(&positions);
        self.positions = positions;
        self.note = note;
        Ok(())
    }
}

/// Whether a slice is still owned as it was: see [`Committer::holds`].
#[derive(Clone)]
pub struct Hold {
    slice: u32,
    lease: u64,
    committer: Arc<dyn Committer>,
}

impl Hold {
    /// Whether the slice is surely still owned.
    pub fn is_sure(&self) -> bool {
        self.committer.holds(self.slice, self.lease)
    }
}
