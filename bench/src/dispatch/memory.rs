//! How much memory sending takes, however much it sends.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use geopush_service::BoxError;

use super::child::Provider;
use super::sender::{Sending, send};
use crate::goal::Goal;
use crate::progress;
use crate::report::{Check, Report, Series};
use crate::usage::resident_bytes;

/// How often it is looked at.
const EVERY: Duration = Duration::from_millis(500);
/// Of the time: what comes before is growing into its size.
const WARM: f64 = 0.1;

/// Sends so many pushes, and looks at this process's memory meanwhile.
///
/// # Errors
/// When the provider's process can't be used.
pub async fn run(pushes: u64, program: &Path, report: &mut Report) -> Result<(), BoxError> {
    let provider = Provider::start(program)?;
    let bar = progress::bar("pushes", pushes)?;
    let apps = vec!["shop"];
    let sending = Sending { pushes, rate: None, looks: false, apps, connections: 2, streams: 100 };
    let resident = Arc::new(Mutex::new(Vec::new()));
    let looking = tokio::spawn({
        let resident = Arc::clone(&resident);
        async move {
            loop {
                resident.lock().unwrap_or_else(PoisonError::into_inner).push(resident_bytes() as f64);
                tokio::time::sleep(EVERY).await;
            }
        }
    });
    let sent = send(&sending, &provider, &bar).await;
    looking.abort();
    let sent = sent?;
    bar.finish_and_clear();
    let mut check = Check::new("every push ended");
    check.compare((sent.timeline.total() != pushes).then_some(|| "some did not".to_owned()));
    report.checks.push(check);
    let values = std::mem::take(&mut *resident.lock().unwrap_or_else(PoisonError::into_inner));
    let warm = values.get((values.len() as f64 * WARM) as usize).copied().unwrap_or(f64::NAN);
    let most = values.iter().copied().fold(0.0, f64::max);
    report.number("memory: pushes", "pushes", sent.timeline.total() as f64);
    report.number("memory: after a tenth", "bytes", warm);
    report.number("memory: the most", "bytes", most);
    report.goals.push(Goal::at_most("memory, the most / after a tenth of the pushes", "", most / warm, 1.1));
    let (name, unit) = ("resident memory".to_owned(), "bytes".to_owned());
    report.series.push(Series { name, unit, every_s: EVERY.as_secs_f64(), values });
    Ok(())
}
