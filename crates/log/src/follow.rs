//! A compacted topic, applied to memory from its start to its end and then on.

use crate::{LogError, Received, SharedLog, Topic};

/// Follows one single-partition compacted topic on a task of its own.
pub struct Follower {
    // the implementation's own
}

impl Follower {
    /// Begins to follow `topic`: `apply` gets every record in order, in groups (`&[Received]`), the first time at
    /// most once. Returns when everything that was there at the call has been applied. A failing read is tried again
    /// with a growing pause, logged and counted; what was applied is not applied again.
    pub async fn start(
        _log: SharedLog,
        _topic: Topic,
        _apply: impl FnMut(&[Received]) + Send + 'static,
    ) -> Result<Self, LogError> {
        unimplemented!()
    }

    /// The read barrier: returns when everything that was durable at the call has been applied.
    pub async fn barrier(&self) -> Result<(), LogError> {
        unimplemented!()
    }

    /// Stops following.
    pub async fn stop(self) {
        unimplemented!()
    }
}
