//! Ends of pushes, written to the deliveries.

use std::time::Duration;

use futures::future::BoxFuture;
use geopush_log::{AppendError, Hold, Record, SharedLog, StageError};
use tokio::time::Instant;

use super::event;
use super::progress::Place;

/// A failed append is tried again after this, doubling, for as long as [`LIMIT`].
const PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// Then the slice starts again, and sends again what could not be written down.
const LIMIT: Duration = Duration::from_secs(60);

/// The most ends that are appended at once.
const MAX_APPEND: usize = 1_000;

/// Ends that are written, one append at a time: what ends meanwhile goes together with the next.
#[derive(Default)]
pub struct Ends {
    /// Not being written yet.
    ended: Vec<(Place, Record)>,
    appending: Option<BoxFuture<'static, Result<Vec<Place>, AppendError>>>,
    writing: usize,
}

impl Ends {
    /// A record that finishes a place.
    pub fn put(&mut self, place: Place, record: Record) {
        self.ended.push((place, record));
    }

    /// Begins to write what there is, unless something is being written.
    ///
    /// # Errors
    /// When this process may not write any more.
    pub fn append(&mut self, log: &SharedLog, hold: &Hold) -> Result<(), StageError> {
        if self.appending.is_some() || self.ended.is_empty() {
            return Ok(());
        }
        if !hold.is_sure() {
            return Err(StageError::Dependency(
                "this process stood still, and others may have its pushes; what they know comes first"
                    .to_owned(),
            ));
        }
        let (places, records): (Vec<_>, Vec<_>) =
            self.ended.drain(..self.ended.len().min(MAX_APPEND)).unzip();
        self.writing = places.len();
        self.appending = Some(Box::pin(append(log.clone(), hold.clone(), places, records)));
        Ok(())
    }

    /// Waits until what is being written is there; for ever if nothing is. Safe to drop while waiting.
    pub async fn appended(&mut self) -> Result<Vec<Place>, AppendError> {
        let Some(appending) = &mut self.appending else { return std::future::pending().await };
        let appended = appending.await;
        (self.appending, self.writing) = (None, 0);
        appended
    }

    /// How many are to be written or are being written.
    pub fn len(&self) -> usize {
        self.writing + self.ended.len()
    }
}

/// Appends until it is sure that the records are there, and tells again whose they are. They may be there twice then:
/// whoever reads deliveries goes by the push's id.
pub async fn append(
    log: SharedLog,
    hold: Hold,
    places: Vec<Place>,
    records: Vec<Record>,
) -> Result<Vec<Place>, AppendError> {
    let began = Instant::now();
    let mut pause = PAUSE;
    loop {
        match log.append(records.clone()).await {
            Ok(()) => return Ok(places),
            Err(error @ AppendError::Refused(_)) => return Err(error),
            Err(error) if began.elapsed() > LIMIT || !hold.is_sure() => return Err(error),
            Err(error) => {
                event::append_failed(&error, pause);
                tokio::time::sleep(pause).await;
                pause = pause.saturating_mul(2).min(LONGEST_PAUSE);
            }
        }
    }
}
