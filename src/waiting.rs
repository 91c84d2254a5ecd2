//! Waits for what other servers give: tries again with a growing pause, says so, and ends when it is asked to.

use std::time::Duration;

use geopush_service::BoxError;
use geopush_service::health::Readiness;
use geopush_service::shutdown::Shutdown;
use tokio::time::{Instant, sleep, timeout};
use tracing::{info, warn};

/// The pauses between two tries: doubled from the first to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// A try that takes longer has failed.
const LONGEST_TRY: Duration = Duration::from_secs(30);
/// After the first line, how often the log says that it is still waited.
const SAID_EVERY: Duration = Duration::from_secs(10);

/// Why a try failed.
#[derive(Debug)]
pub(crate) enum Failed {
    /// It may succeed later.
    Again(String),
    /// It never will.
    ForGood(BoxError),
}

/// Something that is waited for.
pub(crate) struct Waiting<'a> {
    /// How metrics name it.
    pub part: &'static str,
    /// What it is, for people, such as "Kafka at k1:9092".
    pub what: String,
    /// What `/readyz` says of it; a command has none, and tells people at the terminal.
    pub readiness: Option<&'a Readiness>,
    /// Ends the wait.
    pub shutdown: &'a Shutdown,
}

impl Waiting<'_> {
    /// Tries until it succeeds; `None` when shutdown was asked for first. It leaves the part not ready: whoever
    /// waited says when its work can begin.
    ///
    /// # Errors
    /// When trying again is of no use.
    pub async fn until<T, F>(&self, mut attempt: impl FnMut() -> F) -> Result<Option<T>, BoxError>
    where
        F: Future<Output = Result<T, Failed>>,
    {
        let mut pause = FIRST_PAUSE;
        let mut said: Option<Instant> = None;
        self.say(&format!("connecting to {}", self.what));
        loop {
            let tried = tokio::select! {
                () = self.shutdown.requested() => return Ok(None),
                tried = timeout(LONGEST_TRY, attempt()) => tried,
            };
            let why = match tried {
                Ok(Ok(done)) => {
                    if said.is_some() && self.readiness.is_some() {
                        info!(part = self.part, "{}: the wait is over", self.what);
                    }
                    return Ok(Some(done));
                }
                Ok(Err(Failed::ForGood(error))) => return Err(error),
                Ok(Err(Failed::Again(why))) => why,
                Err(_) => format!("no answer within {LONGEST_TRY:?}"),
            };
            metrics::counter!("geopush_dependency_failures_total", "part" => self.part).increment(1);
            if said.is_none_or(|at| at.elapsed() >= SAID_EVERY) {
                self.tell(&why);
                said = Some(Instant::now());
            }
            self.say(&format!("waiting for {}: {why}", self.what));
            tokio::select! {
                () = self.shutdown.requested() => return Ok(None),
                () = sleep(pause) => {}
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    fn tell(&self, why: &str) {
        match self.readiness {
            Some(_) => warn!(part = self.part, "waiting for {}: {why}; trying again", self.what),
            None => eprintln!("waiting for {}: {why}; trying again", self.what),
        }
    }

    fn say(&self, why: &str) {
        if let Some(readiness) = self.readiness {
            readiness.not_ready_unlogged(why);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use geopush_service::health::Health;

    use super::*;

    fn waiting<'a>(readiness: &'a Readiness, shutdown: &'a Shutdown) -> Waiting<'a> {
        Waiting { part: "log", what: "Kafka at k1:9092".to_owned(), readiness: Some(readiness), shutdown }
    }

    #[tokio::test(start_paused = true)]
    async fn it_tries_until_it_succeeds_and_says_meanwhile_what_is_missing() {
        let (health, shutdown) = (Health::default(), Shutdown::new());
        let readiness = health.register("log");
        let tries = Cell::new(0);
        let began = Instant::now();
        let attempt = async || {
            tries.set(tries.get() + 1);
            if tries.get() == 10 {
                let why = health.report().parts["log"].clone().unwrap();
                assert_eq!(why, "waiting for Kafka at k1:9092: refused");
                return Ok("connected");
            }
            Err(Failed::Again("refused".to_owned()))
        };
        let got = waiting(&readiness, &shutdown).until(attempt).await.unwrap();
        assert_eq!(got, Some("connected"));
        // 0.25, 0.5, 1, 2, 4, then 5 s each.
        assert_eq!(began.elapsed().as_millis(), 27_750);
        assert!(!health.report().is_ready(), "that its work can begin is for others to say");
    }

    #[tokio::test(start_paused = true)]
    async fn a_try_that_hangs_is_given_up_and_made_again() {
        let (health, shutdown) = (Health::default(), Shutdown::new());
        let readiness = health.register("log");
        let tries = Cell::new(0);
        let attempt = async || {
            tries.set(tries.get() + 1);
            if tries.get() == 1 {
                std::future::pending::<()>().await;
            }
            Ok(())
        };
        assert_eq!(waiting(&readiness, &shutdown).until(attempt).await.unwrap(), Some(()));
    }

    #[tokio::test(start_paused = true)]
    async fn it_ends_at_once_when_asked_to_or_when_it_is_of_no_use() {
        let (health, shutdown) = (Health::default(), Shutdown::new());
        let readiness = health.register("log");
        let refusing = async || Err::<(), _>(Failed::ForGood("8 partitions, not 16".into()));
        let error = waiting(&readiness, &shutdown).until(refusing).await.unwrap_err();
        assert_eq!(error.to_string(), "8 partitions, not 16");

        let asked = shutdown.clone();
        tokio::spawn(async move {
            sleep(Duration::from_secs(7)).await;
            asked.request();
        });
        let began = Instant::now();
        let hanging = async || std::future::pending::<Result<(), Failed>>().await;
        assert_eq!(waiting(&readiness, &shutdown).until(hanging).await.unwrap(), None);
        assert_eq!(began.elapsed().as_secs(), 7);
    }
}
