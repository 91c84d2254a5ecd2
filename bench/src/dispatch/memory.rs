//! How much memory sending takes, however much it sends.
//!
//! What is resident is what the allocator has taken from the system, in use or not: it takes more whenever a size runs
//! out by chance on one thread, ever more seldom. What grows with the number of pushes goes on growing, so the second
//! half of them is held against the first.

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
    let (warm, half) = ((values.len() as f64 * WARM) as usize, values.len() / 2);
    let most = |values: Option<&[f64]>| values.into_iter().flatten().copied().fold(f64::NAN, f64::max);
    let (first, second) = (most(values.get(warm..half)), most(values.get(half..)));
    let warm = values.get(warm).copied().unwrap_or(f64::NAN);
    report.number("memory: pushes", "pushes", sent.timeline.total() as f64);
    report.number("memory: after a tenth", "bytes", warm);
    report.number("memory: the most in the first half", "bytes", first);
    report.number("memory: the most in the second half", "bytes", second);
    report.number("memory: the most / after a tenth", "", first.max(second) / warm);
    let name = "memory, the most in the second half of the pushes / in the first";
    report.goals.push(Goal::at_most(name, "", second / first, 1.1));
    let (name, unit) = ("resident memory".to_owned(), "bytes".to_owned());
    report.series.push(Series { name, unit, every_s: EVERY.as_secs_f64(), values });
    Ok(())
}
