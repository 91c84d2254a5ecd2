//! Asks a server now and then whether it is there, and tells `/readyz`.

use std::time::Duration;

use geopush_log::{SharedLog, Topic};
use geopush_service::BoxError;
use geopush_service::health::Readiness;
use geopush_service::shutdown::Shutdown;
use geopush_store::Store;
use geopush_store::tables::TenantRow;
use tokio::time::{sleep, timeout};
use tracing::warn;
use uuid::Uuid;

/// How often it is asked, and how long it may take to answer.
const EVERY: Duration = Duration::from_secs(5);
const TAKES: Duration = Duration::from_secs(4);

/// Asks until shutdown: the part is ready while `what` answers.
///
/// # Errors
/// None.
pub(super) async fn watch<F>(
    part: &'static str,
    what: String,
    readiness: Readiness,
    shutdown: Shutdown,
    probe: impl Fn() -> F + Send,
) -> Result<(), BoxError>
where
    F: Future<Output = Result<(), String>> + Send,
{
    let mut answers = true;
    loop {
        tokio::select! {
            () = shutdown.requested() => return Ok(()),
            () = sleep(EVERY) => {}
        }
        let answer = tokio::select! {
            () = shutdown.requested() => return Ok(()),
            answer = timeout(TAKES, probe()) => answer,
        };
        match answer.unwrap_or_else(|_| Err(format!("no answer within {TAKES:?}"))) {
            Ok(()) => {
                answers = true;
                readiness.ready();
            }
            Err(why) => {
                metrics::counter!("geopush_dependency_failures_total", "part" => part).increment(1);
                if std::mem::take(&mut answers) {
                    warn!(part, "{what} does not answer: {why}; the roles wait and go on by themselves");
                }
                readiness.not_ready_unlogged(format!("{what} does not answer: {why}"));
            }
        }
    }
}

/// Whether the log tells the end of a topic.
pub(super) async fn log_answers(log: SharedLog) -> Result<(), String> {
    log.end(Topic::Config, 0).await.map(drop).map_err(|error| error.to_string())
}

/// Whether the tables can be read.
pub(super) async fn store_answers(store: Store) -> Result<(), String> {
    // There is no such tenant: it is the answer that counts.
    match store.get::<TenantRow>(&(Uuid::nil(),), &()).await {
        Ok(_) => Ok(()),
        Err(error) => Err(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use geopush_service::health::Health;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_part_is_ready_while_its_server_answers() {
        let (health, shutdown) = (Health::default(), Shutdown::new());
        let readiness = health.register("log");
        readiness.ready();
        let asked = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&asked);
        // It answers, refuses, hangs, and answers again.
        let probe = move || {
            let nth = counted.fetch_add(1, Ordering::Relaxed);
            async move {
                match nth {
                    1 => Err("refused".to_owned()),
                    2 => std::future::pending().await,
                    _ => Ok(()),
                }
            }
        };
        let what = "Kafka at k1:9092".to_owned();
        let watching = tokio::spawn(watch("log", what, readiness, shutdown.clone(), probe));
        let mut said = Vec::new();
        while asked.load(Ordering::Relaxed) < 5 {
            let why = health.report().parts["log"].clone();
            if said.last() != Some(&why) {
                said.push(why);
            }
            sleep(Duration::from_millis(500)).await;
        }
        let down = |why: &str| Some(format!("Kafka at k1:9092 does not answer: {why}"));
        assert_eq!(said, [None, down("refused"), down("no answer within 4s"), None]);
        shutdown.request();
        watching.await.unwrap().unwrap();
    }
}
