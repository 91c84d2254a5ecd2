//! HTTP to a system whose processes come and go.

use std::time::{Duration, Instant};

#[allow(dead_code, reason = "other tests use the rest")]
#[path = "../../../support/client.rs"]
mod client;

#[allow(dead_code, unused_imports, reason = "other tests do without")]
#[path = "../../../support/crowd.rs"]
mod crowd;

pub use client::{Client, Place};
#[allow(unused_imports, reason = "other tests do without")]
pub use crowd::Crowd;

/// How long one answer may take: then a phone tries another process.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long the system may be of no use at all.
pub const RECOVERY: Duration = Duration::from_secs(180);

/// Asks again and again until there is an answer; fails when there is none within [`RECOVERY`].
pub fn until<T>(what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + RECOVERY;
    loop {
        if let Some(answer) = probe() {
            return answer;
        }
        assert!(Instant::now() < deadline, "{what}: not within {RECOVERY:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}
