//! How often a phone is pushed to, over all campaigns.

use geopush_model::{Caps, UnixMillis};

const HOUR_MS: i64 = 60 * 60 * 1_000;
const DAY_MS: i64 = 24 * HOUR_MS;
const WEEK_MS: i64 = 7 * DAY_MS;

/// Each cap that is set, with the time that it counts over.
fn set(caps: Caps) -> impl Iterator<Item = (usize, i64)> {
    [(caps.per_hour, HOUR_MS), (caps.per_day, DAY_MS), (caps.per_week, WEEK_MS)]
        .into_iter()
        .filter_map(|(cap, ms)| Some((usize::try_from(cap?).unwrap_or(usize::MAX), ms)))
}

/// Whether one more push would be one too many in any window that ends now. What was decided by a clock that is ahead
/// of this one counts as well.
pub(super) fn are_reached(pushed_at: &[UnixMillis], caps: Caps, now: UnixMillis) -> bool {
    set(caps).any(|(cap, ms)| pushed_at.iter().filter(|at| now.since_ms(**at) < ms).count() >= cap)
}

/// Remembers a push for as long as a cap looks back.
pub(super) fn count(pushed_at: &mut Vec<UnixMillis>, caps: Caps, now: UnixMillis) {
    let Some(longest_ms) = set(caps).map(|(_, ms)| ms).max() else { return pushed_at.clear() };
    pushed_at.push(now);
    pushed_at.retain(|at| now.since_ms(*at) < longest_ms);
    // More would change no answer, unless campaigns that ignore the caps push without end.
    let most = usize::try_from(Caps::MOST).unwrap_or(usize::MAX);
    let forgotten = pushed_at.len().saturating_sub(most);
    pushed_at.drain(..forgotten);
}
