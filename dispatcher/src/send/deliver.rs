//! One push from its turn to its end, or until it has to wait.

use std::time::Duration;

use geopush_model::{Push, UnixMillis};
use geopush_service::clock::Clock;
use tokio_util::sync::CancellationToken;

use super::decision::jitter;
use super::lane::Attempt;
use super::lanes::Lanes;
use super::line::NoTurn;
use super::provider::NoLane;
use super::tries::{Ending, Step, Tries, deadline};

/// What became of a push.
#[derive(Debug)]
pub enum Delivered {
    /// It has ended.
    Ended(Ending),
    /// It is to be tried again later.
    Waits(Waiting),
    /// It has no end yet, and is not to be tried here any more.
    Stopped,
}

/// A push that is to be tried again.
#[derive(Debug)]
pub struct Waiting {
    /// The attempts so far.
    pub tries: Tries,
    /// After this.
    pub wait: Duration,
    /// Its lane takes nothing until then, unless it is replaced: then this is set off.
    pub lane_out: Option<CancellationToken>,
}

/// Sends a push, and at once again where its provider's rules say so. It is stopped when `stop` comes while it waits for
/// its turn, or when `is_mine` says that another process may be sending it. An attempt under way is not stopped.
pub async fn deliver(
    push: &Push,
    mut tries: Tries,
    lanes: &Lanes,
    clock: &dyn Clock,
    stop: &CancellationToken,
    is_mine: impl Fn() -> bool,
) -> Delivered {
    let mut caught_up = false;
    loop {
        let Some(left) = time_left(push, UnixMillis(clock.now_ms())) else {
            return Delivered::Ended(tries.expired());
        };
        let lane = match lanes.lane(push) {
            Ok(lane) => lane,
            // Another process may have told the planner of an app that this one has not heard of yet.
            Err(NoLane::NoApp) if !caught_up => {
                lanes.catch_up().await;
                caught_up = true;
                continue;
            }
            Err(NoLane::NoApp) => return Delivered::Ended(tries.no_app()),
            Err(NoLane::Unusable(_) | NoLane::BadUrl(_) | NoLane::UrlNotAllowed) => {
                return Delivered::Ended(tries.unusable_app());
            }
        };
        let turn = tokio::select! {
            biased;
            () = stop.cancelled() => return Delivered::Stopped,
            turn = lane.turn(push) => turn,
            () = tokio::time::sleep(left) => continue,
        };
        let attempt = match turn {
            Ok(_) if !is_mine() => return Delivered::Stopped,
            Ok(turn) => lane.send(turn, push, UnixMillis(clock.now_ms())).await,
            Err(NoTurn::Out(retry_in)) => Attempt::Unreachable(retry_in),
            Err(NoTurn::DeviceFull(retry_in)) => Attempt::DeviceFull(retry_in),
            Err(NoTurn::Replaced) => continue,
        };
        // Whoever waits does not keep the lane open.
        let (wait, lane_out) = match tries.after(attempt, jitter()) {
            Step::End(ending) => return Delivered::Ended(ending),
            Step::Again => continue,
            Step::Wait(wait) => (wait, None),
            Step::LaneOut(wait) => (wait, Some(lane.replaced())),
        };
        return Delivered::Waits(Waiting { tries, wait, lane_out });
    }
}

/// How long a push may still be tried.
pub fn time_left(push: &Push, now: UnixMillis) -> Option<Duration> {
    let left_ms = u64::try_from(deadline(push).since_ms(now)).ok()?;
    (left_ms > 0).then(|| Duration::from_millis(left_ms))
}
