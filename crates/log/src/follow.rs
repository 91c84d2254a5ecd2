//! A compacted topic, applied to memory from its start to its end and then on.

use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::backoff::Backoff;
use crate::{Cursor, LogError, Offset, Reader, Received, SharedLog, Topic, Until};

/// How long a read waits before it looks up: a topic's end may move by holes alone, which are no records.
const WAIT: Duration = Duration::from_secs(1);

/// Follows one single-partition compacted topic on a task of its own, which dropping it ends.
pub struct Follower {
    log: SharedLog,
    topic: Topic,
    /// Everything before this offset has been applied.
    applied: watch::Receiver<Offset>,
    task: JoinHandle<()>,
}

impl Follower {
    /// Begins to follow `topic`: `apply` gets every record in order, in groups (`&[Received]`), the first time at
    /// most once. Returns when everything that was there at the call has been applied. A failing read is tried again
    /// with a growing pause, logged and counted; what was applied is not applied again.
    ///
    /// # Errors
    /// When the log is closed.
    pub async fn start(
        log: SharedLog,
        topic: Topic,
        apply: impl FnMut(&[Received]) + Send + 'static,
    ) -> Result<Self, LogError> {
        let (progress, applied) = watch::channel(0);
        let task = tokio::spawn(follow(log.clone(), topic, progress, apply));
        let follower = Self { log, topic, applied, task };
        let mut backoff = Backoff::default();
        while let Err(error) = follower.barrier().await {
            if matches!(error, LogError::Closed) {
                return Err(error);
            }
            let pause = backoff.next();
            tracing::warn!(%error, topic = topic.name(), ?pause, "a topic's end could not be read; it is tried again");
            tokio::time::sleep(pause).await;
        }
        Ok(follower)
    }

    /// The read barrier: returns when everything that was durable at the call has been applied. Cheap when that is
    /// so already.
    ///
    /// # Errors
    /// When the log can't be reached or is closed.
    pub async fn barrier(&self) -> Result<(), LogError> {
        let end = self.log.end(self.topic, 0).await?;
        if *self.applied.borrow() >= end {
            return Ok(());
        }
        let mut applied = self.applied.clone();
        match applied.wait_for(|applied| *applied >= end).await {
            Ok(_) => Ok(()),
            Err(_) => Err(LogError::Closed),
        }
    }

    /// Stops following.
    pub async fn stop(mut self) {
        self.task.abort();
        // It ends as cancelled, or had ended before.
        let _ = (&mut self.task).await;
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn follow(
    log: SharedLog,
    topic: Topic,
    progress: watch::Sender<Offset>,
    mut apply: impl FnMut(&[Received]) + Send,
) {
    let mut backoff = Backoff::default();
    loop {
        let from = *progress.borrow();
        let error = match log.read(vec![Cursor { topic, partition: 0, offset: from }], Until::Never).await {
            Ok(reader) => apply_all(reader, &progress, &mut apply, &mut backoff).await,
            Err(error) => error,
        };
        if matches!(error, LogError::Closed) {
            return;
        }
        let pause = backoff.next();
        metrics::counter!("geopush_log_follower_retries_total", "topic" => topic.name()).increment(1);
        tracing::warn!(%error, topic = topic.name(), ?pause, "a topic could not be followed; it is tried again");
        tokio::time::sleep(pause).await;
    }
}

async fn apply_all(
    mut reader: Box<dyn Reader>,
    progress: &watch::Sender<Offset>,
    apply: &mut (impl FnMut(&[Received]) + Send),
    backoff: &mut Backoff,
) -> LogError {
    // The first look does not wait, so that a topic that ends in holes is known to have been applied.
    let mut wait = Duration::ZERO;
    loop {
        match reader.next(wait).await {
            Ok(Some((_, records))) => {
                apply(&records);
                wait = Duration::ZERO;
            }
            Ok(None) => wait = WAIT,
            Err(error) => return error,
        }
        *backoff = Backoff::default();
        progress.send_if_modified(|applied| {
            let position = reader.position(0);
            let moved = position > *applied;
            *applied = position.max(*applied);
            moved
        });
    }
}
