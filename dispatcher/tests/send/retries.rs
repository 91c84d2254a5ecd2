//! Pushes that have to wait: where, for how long, and what comes of them.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use geopush_dispatcher::send::Waits;
use geopush_model::{Delivery, Outcome, Provider, Push, PushId, Reason};
use geopush_service::telemetry::{LogFormat, init};
use serde_json::{Value, json};

use super::world::{APP, World, apns_token, changed, end, mixed};

/// What waits a second or more waits on the log, in topics of seconds.
fn short() -> Waits {
    let seconds = Duration::from_secs;
    Waits { in_memory: Duration::from_millis(500), topics: [seconds(1), seconds(2), seconds(4)] }
}

async fn asleep() -> World {
    let mut world = World::asleep().await;
    world.config.slices.waits = short();
    world
}

fn later(provider: &str, retry_after_s: u32, times: u32) -> Value {
    json!({ "provider": provider, "status": 503, "retry_after_s": retry_after_s, "times": times })
}

/// The deferrals that were written of each push, which must be 1, 2, 3, …, each once.
fn deferrals(written: &[Delivery]) -> HashMap<PushId, Vec<u32>> {
    let mut all: HashMap<PushId, Vec<u32>> = HashMap::new();
    for delivery in written.iter().filter(|delivery| delivery.outcome == Outcome::Deferred) {
        all.entry(delivery.push).or_default().push(delivery.deferrals);
    }
    for deferrals in all.values() {
        assert_eq!(*deferrals, (1..=deferrals.len() as u32).collect::<Vec<_>>(), "each once, in order");
    }
    all
}

#[tokio::test]
async fn a_later_retry_waits_on_the_log_and_survives_a_kill() {
    let mut world = asleep().await;
    for provider in [Provider::Fcm, Provider::Apns] {
        world.fault(later(provider.as_str(), 2, 1)).await;
        let push = world.push(provider, &apns_token(1));
        world.publish(std::slice::from_ref(&push)).await;
        world.send();
        let deferred = world.first(&push, |delivery| delivery.outcome == Outcome::Deferred).await;
        assert_eq!((deferred.deferrals, deferred.attempts, deferred.reason), (1, 1, None));
        world.kill().await;
        world.send();
        let delivery = world.ends(std::slice::from_ref(&push)).await.remove(0);
        assert_eq!(end(&delivery), (Outcome::Accepted, None, 2), "{provider:?}");
        assert_eq!(delivery.deferrals, 1);
        assert!(delivery.finished_at.since_ms(deferred.finished_at) >= 2_000, "it waited as it was asked to");
        assert_eq!(world.sent(&push).len(), 1);
        world.kill().await;
    }
}

#[tokio::test]
async fn a_wait_longer_than_the_longest_topic_goes_round_without_being_tried() {
    let mut world = asleep().await;
    world.config.slices.waits.topics = [1_000, 1_100, 1_200].map(Duration::from_millis);
    world.send();
    world.fault(later("fcm", 3, 1)).await;
    let delivery = world.outcome(&world.push(Provider::Fcm, "a-phone")).await;
    assert_eq!(end(&delivery), (Outcome::Accepted, None, 2));
    assert!(delivery.deferrals >= 2, "{}", delivery.deferrals);
}

#[tokio::test]
async fn retrying_ends_with_the_pushs_time_or_after_two_days() {
    let mut world = asleep().await;
    world.send();
    world.fault(later("fcm", 1, 1_000)).await;
    let mut by_ttl = world.push(Provider::Fcm, "a-phone");
    by_ttl.expires_at = by_ttl.created_at.plus_ms(6_000);
    let mut by_age = world.push(Provider::Fcm, "another-phone");
    by_age.created_at = by_age.created_at.plus_ms(6_000 - 48 * 3_600_000);
    let pushes = [by_ttl, by_age];
    world.publish(&pushes).await;
    for delivery in world.ends(&pushes).await {
        assert_eq!(
            (delivery.outcome, delivery.reason),
            (Outcome::Expired, Some(Reason::ProviderUnavailable))
        );
        assert!(delivery.deferrals >= 1 && delivery.attempts >= 2, "{delivery:?}");
        assert_eq!(delivery.dead_letter, None);
    }
    assert_eq!(world.sandbox.sent_count(), 0);
}

#[tokio::test]
async fn kills_at_random_lose_no_retry_and_make_none_twice() {
    let mut world = asleep().await;
    let pushes = mixed(&world, 300);
    // Too few to take a lane out.
    for push in pushes.iter().step_by(5) {
        let mut fault = later(push.provider.as_str(), 1, 2);
        fault["token"] = json!(push.token);
        world.fault(fault).await;
    }
    for provider in ["fcm", "apns"] {
        world.fault(json!({ "provider": provider, "delay_ms": 20, "times": 5_000 })).await;
    }
    world.publish(&pushes).await;
    // However the kills fall, something is put off.
    world.send();
    world.first(&pushes[150], |delivery| delivery.outcome == Outcome::Deferred).await;
    world.kill().await;
    let mut with_end: HashSet<PushId> = HashSet::new();
    let mut sent_by_then: HashMap<PushId, usize> = HashMap::new();
    for ms in [150, 700, 300, 1_400, 90, 1_100, 500, 40] {
        world.send();
        // The kill falls wherever it falls.
        tokio::time::sleep(Duration::from_millis(ms)).await;
        world.kill().await;
        for delivery in world.written().await.iter().filter(|delivery| delivery.outcome.is_end()) {
            if with_end.insert(delivery.push) {
                let push = pushes.iter().find(|push| push.id == delivery.push).unwrap();
                sent_by_then.insert(push.id, world.sent(push).len());
            }
        }
    }
    world.send();
    let ends = world.ends(&pushes).await;
    let written = world.written().await;
    let deferrals = deferrals(&written);
    assert!(!deferrals.is_empty(), "nothing was put off");
    for (push, delivery) in pushes.iter().zip(&ends) {
        assert_eq!(delivery.outcome, Outcome::Accepted);
        assert_eq!(delivery.deferrals as usize, deferrals.get(&push.id).map_or(0, Vec::len));
        if let Some(sent) = sent_by_then.get(&push.id) {
            assert_eq!(world.sent(push).len(), *sent, "a push with an end was sent again");
        }
    }
    assert_eq!(
        written.iter().filter(|delivery| delivery.outcome.is_end()).count(),
        pushes.len(),
        "one end each"
    );
}

#[tokio::test]
async fn a_dead_provider_with_a_crowd_of_pushes_ahead_delays_nobody_else() {
    let mut world = World::asleep().await;
    // It takes calls, and never says a word.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}", silent.local_addr().unwrap());
    world.apps.put("dead", changed(world.sandbox.app_json(), "/fcm/base_url", json!(url)));
    let crowd: Vec<Push> = (0..50_000)
        .map(|n| {
            let mut push = world.push(Provider::Fcm, &format!("phone-{n}"));
            push.app = "dead".into();
            push
        })
        .collect();
    for part in crowd.chunks(10_000) {
        world.publish(part).await;
    }
    let others: Vec<Push> = (0..8).map(|n| world.push(Provider::Fcm, &format!("other-{n}"))).collect();
    world.publish(&others).await;
    world.send();
    let ends = world.ends(&others).await;
    assert!(ends.iter().all(|delivery| end(delivery) == (Outcome::Accepted, None, 1)));
    let written = world.written().await;
    assert_eq!(
        written.iter().filter(|delivery| delivery.outcome.is_end()).count(),
        8,
        "nothing else has ended"
    );
    assert!(deferrals(&written).len() > 40_000);
    let after = world.push(Provider::Apns, &apns_token(1));
    assert_eq!(end(&world.outcome(&after).await), (Outcome::Accepted, None, 1));
}

#[tokio::test]
async fn a_push_that_breaks_the_sender_is_a_dead_letter_and_takes_nobody_along() {
    let metrics = init(LogFormat::Text, "error").unwrap();
    let world = World::start().await;
    world.apps.put(super::world::POISON, world.sandbox.app_json());
    let mut poison = world.push(Provider::Fcm, "a-phone");
    poison.app = super::world::POISON.into();
    let others = mixed(&world, 20);
    world.publish(std::slice::from_ref(&poison)).await;
    world.publish(&others).await;
    let delivery = world.ends(std::slice::from_ref(&poison)).await.remove(0);
    assert_eq!((delivery.outcome, delivery.reason), (Outcome::Failed, Some(Reason::ProviderError)));
    assert_eq!(delivery.dead_letter.as_ref(), Some(poison.message.as_ref()));
    for delivery in world.ends(&others).await {
        assert_eq!(end(&delivery), (Outcome::Accepted, None, 1));
    }
    let text = metrics.render();
    for line in [
        r#"geopush_dispatcher_send_poison_total{provider="fcm"}"#,
        r#"geopush_dispatcher_send_dead_letters_total{reason="provider_error"}"#,
        r#"geopush_dispatcher_send_in_hand_pushes{kind="sending"}"#,
    ] {
        assert!(text.contains(line), "{line} in\n{text}");
    }
}

#[tokio::test]
async fn what_a_provider_refuses_for_its_message_keeps_the_message() {
    let world = World::start().await;
    let rows = [
        (Provider::Fcm, 400, "INVALID_ARGUMENT", true),
        (Provider::Fcm, 403, "PERMISSION_DENIED", true),
        (Provider::Fcm, 404, "UNREGISTERED", false),
        (Provider::Apns, 400, "PayloadEmpty", true),
        (Provider::Apns, 413, "PayloadTooLarge", true),
        (Provider::Apns, 410, "Unregistered", false),
    ];
    for (provider, status, reason, kept) in rows {
        world.fault(json!({ "provider": provider.as_str(), "status": status, "reason": reason })).await;
        let push = world.push(provider, &apns_token(1));
        let delivery = world.outcome(&push).await;
        assert_eq!(delivery.dead_letter, kept.then(|| push.message.as_ref().clone()), "{reason}");
    }
    let accepted = world.outcome(&world.push(Provider::Fcm, APP)).await;
    assert_eq!((accepted.outcome, accepted.dead_letter), (Outcome::Accepted, None));
}
