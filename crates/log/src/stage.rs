//! Runs a stage: one task a slice, each with its own state, over one membership of a group.

mod buffer;
mod lag;
mod runner;
mod slice;

use std::sync::Arc;

use async_trait::async_trait;
use tokio_util::sync::CancellationToken;

use crate::backoff::Backoff;
use crate::{LogError, Lost, SharedLog, Topic};
use runner::Runner;

pub use slice::{Hold, Slice};

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
    /// called anew with the slice as it was last committed. An error, a panic or a return before it is asked for
    /// has the same effect, after a pause that grows from 0.1 s to 10 s while nothing is committed.
    async fn run(&self, slice: Slice) -> Result<(), StageError>;
}

/// Runs `stage` on the slices that this member of its group is given, until `shutdown`; then finishes the batches
/// in hand (30 s at most) and leaves the group. When the backend throws the member out it joins again.
///
/// # Errors
/// When the group can't be joined at first, or the log is closed before `shutdown`.
pub async fn run_stage(
    log: SharedLog,
    stage: Arc<dyn Stage>,
    shutdown: CancellationToken,
) -> Result<(), StageError> {
    let mut backoff = Backoff::default();
    let mut group = log.join(stage.group(), stage.inputs()).await?;
    loop {
        let error = match Runner::new(&log, &stage, group).run(&shutdown).await {
            Ok(()) => return Ok(()),
            Err(error) => error,
        };
        group = loop {
            if shutdown.is_cancelled() {
                return Ok(());
            }
            if matches!(error, LogError::Closed) {
                return Err(error.into());
            }
            let pause = backoff.next();
            tracing::error!(
                %error, stage = stage.group(), ?pause,
                "a stage fell out of its group and joins again; if it goes on, check the log's backend"
            );
            metrics::counter!("geopush_stage_rejoins_total", "stage" => stage.group()).increment(1);
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = shutdown.cancelled() => return Ok(()),
            }
            if let Ok(group) = log.join(stage.group(), stage.inputs()).await {
                break group;
            }
        };
    }
}
