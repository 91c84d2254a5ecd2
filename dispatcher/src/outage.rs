//! What a stage does while the store does not answer: it tries again, says so, and loses nothing.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use geopush_log::StageError;
use geopush_service::health::Readiness;
use geopush_store::StoreError;
use tokio_util::sync::CancellationToken;

/// The pauses before each further try. After the last the slice starts again from its last commit, with the growing
/// pauses of [`geopush_log::run_stage`], so that a slice asked for by another process is never held for long.
const PAUSES: [Duration; 4] =
    [Duration::from_millis(100), Duration::from_millis(300), Duration::from_secs(1), Duration::from_secs(2)];

/// Sees one stage through the store's outages. Its clones are of the same stage.
#[derive(Clone)]
pub(crate) struct Patience {
    stage: &'static str,
    readiness: Readiness,
    failing: Arc<AtomicBool>,
    shutdown: CancellationToken,
}

impl Patience {
    pub(crate) fn new(stage: &'static str, readiness: Readiness, shutdown: CancellationToken) -> Self {
        Self { stage, readiness, failing: Arc::default(), shutdown }
    }

    /// Does what may be done again, until it succeeds, a few times at most.
    pub(crate) async fn with<T, F>(
        &self,
        what: &'static str,
        mut work: impl FnMut() -> F,
    ) -> Result<T, StageError>
    where
        F: Future<Output = Result<T, StoreError>>,
    {
        let mut pauses = PAUSES.into_iter();
        loop {
            let error = match work().await {
                Ok(done) => {
                    if self.failing.swap(false, Ordering::Relaxed) {
                        tracing::info!(stage = self.stage, "the store answers again");
                        self.readiness.ready();
                    }
                    return Ok(done);
                }
                Err(error) => error,
            };
            metrics::counter!("geopush_dispatcher_store_failures_total", "stage" => self.stage).increment(1);
            tracing::warn!(
                stage = self.stage, what, %error,
                "the store failed; the stage waits and tries again, and nothing is lost meanwhile"
            );
            self.failing.store(true, Ordering::Relaxed);
            self.readiness.not_ready(format!("the store failed to {what}: {error}"));
            let gave_up = || StageError::Dependency(format!("the store failed to {what}: {error}"));
            let pause = pauses.next().ok_or_else(gave_up)?;
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.shutdown.cancelled() => return Err(gave_up()),
            }
        }
    }
}

impl fmt::Debug for Patience {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Patience").field("stage", &self.stage).finish_non_exhaustive()
    }
}
