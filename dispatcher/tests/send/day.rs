//! A bad day at both providers, by script: every push has the one outcome that is right for it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use geopush_dispatcher::send::Waits;
use geopush_model::{Outcome, Provider, Push, PushId, Reason};
use serde_json::json;

use super::world::{World, apns_token};

/// What becomes of a push, whatever happens to the others.
struct Fate {
    push: Push,
    outcome: Outcome,
    reason: Option<Reason>,
}

fn fate(push: Push, outcome: Outcome, reason: Option<Reason>) -> Fate {
    Fate { push, outcome, reason }
}

/// What fails, fails each time that it is tried, as a kill may have it tried again. Most pushes are fine; of every hundred some are to fail, each for its own reason.
async fn fates(world: &World, count: usize) -> Vec<Fate> {
    let mut fates = Vec::new();
    for n in 0..count {
        let provider = if n % 2 == 0 { Provider::Fcm } else { Provider::Apns };
        let token = apns_token(n);
        let push = world.push(provider, &token);
        let fault = |status: u16, reason: &str| {
            let provider = provider.as_str();
            json!({ "provider": provider, "token": token, "status": status, "reason": reason, "times": 100 })
        };
        let once = |status: u16, reason: &str| json!({ "provider": provider.as_str(), "token": token, "status": status, "reason": reason });
        fates.push(match (n % 100, provider) {
            (10, Provider::Fcm) => {
                world.fault(fault(404, "UNREGISTERED")).await;
                fate(push, Outcome::Failed, Some(Reason::DeadToken))
            }
            (11, Provider::Apns) => {
                world.fault(fault(410, "Unregistered")).await;
                fate(push, Outcome::Failed, Some(Reason::DeadToken))
            }
            (20, Provider::Fcm) => {
                world.fault(fault(400, "INVALID_ARGUMENT")).await;
                fate(push, Outcome::Failed, Some(Reason::BadMessage))
            }
            (30 | 31, _) => {
                // Its device is asked to come back after its time; that is nobody else's wait, even where it is asked
                // first after a storm.
                let fault = json!({
                    "provider": provider.as_str(), "token": token, "status": 429, "retry_after_s": 7_200,
                    "times": 100,
                });
                world.fault(fault).await;
                fate(push, Outcome::Expired, Some(Reason::ProviderUnavailable))
            }
            (40 | 41, _) => {
                let mut push = push;
                Arc::make_mut(&mut push.message).body = "x".repeat(5_000);
                fate(push, Outcome::Failed, Some(Reason::TooLarge))
            }
            (50, _) => {
                // An access token that has expired: renewed, and sent.
                world.fault(once(401, "UNAUTHENTICATED")).await;
                fate(push, Outcome::Accepted, None)
            }
            (51, _) => {
                world.fault(once(403, "ExpiredProviderToken")).await;
                fate(push, Outcome::Accepted, None)
            }
            (60 | 61, _) if n < 300 => {
                // A cut in the middle of an answer.
                let fault = json!({ "provider": provider.as_str(), "token": token, "action": "drop" });
                world.fault(fault).await;
                fate(push, Outcome::Accepted, None)
            }
            (70 | 71, _) => {
                let fault = json!({ "provider": provider.as_str(), "token": token, "action": "goaway" });
                world.fault(fault).await;
                fate(push, Outcome::Accepted, None)
            }
            (80 | 81, _) => {
                let fault = json!({
                    "provider": provider.as_str(), "token": token, "status": 429, "retry_after_s": 1, "times": 2,
                });
                world.fault(fault).await;
                fate(push, Outcome::Accepted, None)
            }
            _ => fate(push, Outcome::Accepted, None),
        });
    }
    fates
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_bad_day_every_push_has_its_one_right_end() {
    let mut world = World::asleep().await;
    let seconds = Duration::from_secs;
    world.config.slices.waits =
        Waits { in_memory: Duration::from_millis(500), topics: [seconds(1), seconds(2), seconds(4)] };
    let fates = fates(&world, 1_000).await;
    let pushes: Vec<Push> = fates.iter().map(|fate| fate.push.clone()).collect();
    world.send();
    for (part, pushes) in pushes.chunks(250).enumerate() {
        for provider in ["fcm", "apns"] {
            match part {
                0 => world.fault(json!({ "provider": provider, "delay_ms": 50, "times": 100 })).await,
                1 => {
                    // Enough to take the lane out, and not for many probes.
                    let storm =
                        json!({ "provider": provider, "status": 503, "retry_after_s": 1, "times": 25 });
                    world.fault(storm).await;
                }
                _ => {}
            }
        }
        world.publish(pushes).await;
        if part == 2 {
            // Somewhere in the middle of it.
            tokio::time::sleep(Duration::from_millis(200)).await;
            world.kill().await;
            world.send();
        }
    }
    let ends = world.ends(&pushes).await;
    for (fate, delivery) in fates.iter().zip(&ends) {
        let said = (delivery.outcome, delivery.reason);
        assert_eq!(
            said,
            (fate.outcome, fate.reason),
            "{:?} after {} attempts",
            fate.push.id,
            delivery.attempts
        );
        let is_sent = !world.sent(&fate.push).is_empty();
        assert_eq!(is_sent, fate.outcome == Outcome::Accepted, "{:?}", fate.push.id);
    }
    let mut by_push: HashMap<PushId, usize> = HashMap::new();
    for delivery in world.written().await.iter().filter(|delivery| delivery.outcome.is_end()) {
        *by_push.entry(delivery.push).or_default() += 1;
    }
    assert!(by_push.values().all(|ends| *ends == 1) && by_push.len() == pushes.len(), "one end each");
}
