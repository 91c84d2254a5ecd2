//! How far it is, shown while it runs.

use std::time::Duration;

use geopush_service::BoxError;
use indicatif::{ProgressBar, ProgressStyle};
use tokio::task::JoinHandle;

/// How often it is shown.
const EVERY: Duration = Duration::from_millis(200);

/// A bar for so many of something.
///
/// # Errors
/// None that depends on its arguments.
pub fn bar(what: &str, total: u64) -> Result<ProgressBar, BoxError> {
    let style = format!("{{elapsed_precise}} {{bar:32}} {{human_pos}}/{{human_len}} {what}  {{msg}}");
    Ok(ProgressBar::new(total).with_style(ProgressStyle::with_template(&style)?))
}

/// Moves the bar on by what is done, until it is dropped; then by all of it.
pub struct Following {
    bar: ProgressBar,
    from: u64,
    done: Box<dyn Fn() -> u64 + Send + Sync>,
    showing: JoinHandle<()>,
}

/// Follows a count that begins at 0.
pub fn follow(bar: &ProgressBar, done: impl Fn() -> u64 + Clone + Send + Sync + 'static) -> Following {
    let (shown, from, count) = (bar.clone(), bar.position(), done.clone());
    let showing = tokio::spawn(async move {
        loop {
            shown.set_position(from + count());
            tokio::time::sleep(EVERY).await;
        }
    });
    Following { bar: bar.clone(), from, done: Box::new(done), showing }
}

impl Drop for Following {
    fn drop(&mut self) {
        self.showing.abort();
        self.bar.set_position(self.from + (self.done)());
    }
}
