//! Ends of pushes, written to the deliveries.

use std::time::Duration;

use geopush_log::{AppendError, Hold, Record, SharedLog};
use tokio::time::Instant;

use super::event;
use super::progress::Place;

/// A failed append is tried again after this, doubling, for as long as [`LIMIT`].
const PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// Then the slice starts again, and sends again what could not be written down.
const LIMIT: Duration = Duration::from_secs(60);

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
