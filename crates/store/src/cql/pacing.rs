//! How much is asked of the cluster at once, and what waits.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::time::Duration;

use tokio::sync::{Mutex, MutexGuard, Semaphore, SemaphorePermit};

use crate::StoreError;

/// Operations begun and not ended, at most; one more is refused.
const OPERATIONS: usize = 4_096;
/// Requests under way, at most; the others wait.
const REQUESTS: usize = 1_024;
/// Conditional writes of one partition go one after another, in this many queues.
const QUEUES: usize = 256;

/// Admission to the cluster.
pub(super) struct Pacing {
    operations: Semaphore,
    requests: Semaphore,
    queues: Vec<Mutex<()>>,
    /// How long anyone waits for his turn.
    patience: Duration,
}

impl Pacing {
    pub(super) fn new(patience: Duration) -> Self {
        Self::of(OPERATIONS, REQUESTS, patience)
    }

    fn of(operations: usize, requests: usize, patience: Duration) -> Self {
        let queues = (0..QUEUES).map(|_| Mutex::new(())).collect();
        Self { operations: Semaphore::new(operations), requests: Semaphore::new(requests), queues, patience }
    }

    /// Begins an operation, or says that too many have begun.
    pub(super) fn operation(&self) -> Result<SemaphorePermit<'_>, StoreError> {
        self.operations.try_acquire().map_err(|_| StoreError::Full)
    }

    /// Begins a request when its turn comes.
    pub(super) async fn request(&self) -> Result<SemaphorePermit<'_>, StoreError> {
        match tokio::time::timeout(self.patience, self.requests.acquire()).await {
            Ok(Ok(permit)) => Ok(permit),
            Ok(Err(_)) | Err(_) => Err(self.too_slow()),
        }
    }

    /// Begins a conditional write of a partition when those that this process began before have ended: two at once
    /// would only stand in each other's way, since the replicas agree on one at a time.
    pub(super) async fn turn(&self, table: &str, partition: &[u8]) -> Result<MutexGuard<'_, ()>, StoreError> {
        let mut hasher = DefaultHasher::new();
        (table, partition).hash(&mut hasher);
        let queue = usize::try_from(hasher.finish() % QUEUES as u64).unwrap_or_default();
        tokio::time::timeout(self.patience, self.queues[queue].lock()).await.map_err(|_| self.too_slow())
    }

    fn too_slow(&self) -> StoreError {
        let waited = self.patience.as_secs();
        StoreError::Unavailable(format!("requests before this one took more than {waited} s"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_too_much_is_refused_at_once() {
        let pacing = Pacing::of(1, 1, Duration::from_secs(60));
        let first = pacing.operation().unwrap();
        assert_eq!(pacing.operation().unwrap_err(), StoreError::Full);
        drop(first);
        assert!(pacing.operation().is_ok());
    }

    #[tokio::test]
    async fn nobody_waits_for_ever() {
        let pacing = Pacing::of(1, 1, Duration::from_millis(1));
        let _request = pacing.request().await.unwrap();
        assert!(matches!(pacing.request().await, Err(StoreError::Unavailable(_))));
        let _turn = pacing.turn("t", b"p").await.unwrap();
        assert!(matches!(pacing.turn("t", b"p").await, Err(StoreError::Unavailable(_))));
    }
}
