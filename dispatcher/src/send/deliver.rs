//! One push from its decision to its end.

use std::time::Duration;

use geopush_model::{Push, UnixMillis};
use geopush_service::clock::Clock;
use tokio_util::sync::CancellationToken;

use super::decision::jitter;
use super::event;
use super::lane::Attempt;
use super::lanes::{Lanes, NoLane};
use super::line::NoTurn;
use super::tries::{Ending, Step, Tries, deadline};

/// Sends a push, and sends it again as its provider's rules say, until it ends. `None` when `stop` came while it
/// waited, or when `is_mine` says that another process may be sending it: it has no end yet. An attempt under way is
/// not stopped.
pub async fn deliver(
    push: &Push,
    lanes: &Lanes,
    clock: &dyn Clock,
    stop: &CancellationToken,
    is_mine: impl Fn() -> bool,
) -> Option<Ending> {
    let deadline = deadline(push);
    let mut tries = Tries::default();
    let mut caught_up = false;
    loop {
        let now = UnixMillis(clock.now_ms());
        let Some(left) = time_left(deadline, now) else { return Some(tries.expired()) };
        let lane = match lanes.lane(push) {
            Ok(lane) => lane,
            // Another process may have told the planner of an app that this one has not heard of yet.
            Err(NoLane::NoApp) if !caught_up => {
                lanes.catch_up().await;
                caught_up = true;
                continue;
            }
            Err(NoLane::NoApp) => return Some(tries.no_app()),
            Err(NoLane::Unusable(_) | NoLane::BadUrl(_) | NoLane::UrlNotAllowed) => {
                return Some(tries.unusable_app());
            }
        };
        let turn = tokio::select! {
            biased;
            () = stop.cancelled() => return None,
            turn = lane.turn(push) => turn,
            () = tokio::time::sleep(left) => continue,
        };
        let attempt = match turn {
            Ok(_) if !is_mine() => return None,
            Ok(turn) => lane.send(turn, push, UnixMillis(clock.now_ms())).await,
            Err(NoTurn::Out(retry_in)) => Attempt::Unreachable(retry_in),
            Err(NoTurn::DeviceFull(retry_in)) => Attempt::DeviceFull(retry_in),
            Err(NoTurn::Replaced) => continue,
        };
        // Whoever waits does not keep an old lane open, and does not wait for one.
        let replaced = lane.replaced();
        drop(lane);
        let is_out = matches!(attempt, Attempt::Unreachable(_));
        match tries.after(attempt, jitter()) {
            Step::End(ending) => return Some(ending),
            Step::Again => {}
            Step::Wait(pause) => {
                let left = time_left(deadline, UnixMillis(clock.now_ms()));
                if left.is_none_or(|left| left <= pause) {
                    return Some(tries.expired());
                }
                event::retry(push, pause);
                tokio::select! {
                    biased;
                    () = stop.cancelled() => return None,
                    () = replaced.cancelled(), if is_out => {}
                    () = tokio::time::sleep(pause) => {}
                }
            }
        }
    }
}

fn time_left(deadline: UnixMillis, now: UnixMillis) -> Option<Duration> {
    let left_ms = u64::try_from(deadline.since_ms(now)).ok()?;
    (left_ms > 0).then(|| Duration::from_millis(left_ms))
}
