//! What holds when sending ends, orderly or not.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use geopush_log::{Cursor, Record, Topic, Until};
use geopush_model::{Outcome, Provider, PushId};
use serde_json::{Value, json};

use super::world::{World, apns_token, end, mixed};

#[tokio::test]
async fn after_a_kill_only_what_had_no_durable_end_is_sent_again() {
    let mut world = World::asleep().await;
    let pushes = mixed(&world, 600);
    world.publish(&pushes).await;
    // Slow enough to die in the middle of it.
    let lanes = &mut world.config.lanes;
    (lanes.connections, lanes.fcm_streams, lanes.apns_streams) = (1, 10, 10);
    for provider in ["fcm", "apns"] {
        world.fault(json!({ "provider": provider, "delay_ms": 20, "times": 5_000 })).await;
    }
    let mut with_end: HashSet<PushId> = HashSet::new();
    for kills in 1..=5 {
        world.send();
        assert!(world.sandbox.wait_for_sent(kills * 60, Duration::from_secs(20)).await);
        world.kill().await;
        with_end.extend(world.written().await.iter().map(|delivery| delivery.push));
    }
    let sent_by_then: Vec<(bool, usize)> =
        pushes.iter().map(|push| (with_end.contains(&push.id), world.sent(push).len())).collect();
    assert!(!with_end.is_empty() && with_end.len() < pushes.len(), "{} had an end", with_end.len());
    world.send();
    let ends = world.ends(&pushes).await;
    assert!(ends.iter().all(|delivery| delivery.outcome == Outcome::Accepted));
    for (push, (had_end, sent)) in pushes.iter().zip(sent_by_then) {
        let now = world.sent(push).len();
        if had_end {
            assert_eq!(now, sent, "a push with an end was sent again");
        } else {
            assert!(now > sent, "a push without an end was not sent again");
        }
    }
    let written = world.written().await;
    let distinct: HashSet<PushId> = written.iter().map(|delivery| delivery.push).collect();
    assert_eq!((written.len(), distinct.len()), (pushes.len(), pushes.len()), "one end each");
}

#[tokio::test]
async fn an_orderly_end_repeats_nothing() {
    let mut world = World::start().await;
    let pushes = mixed(&world, 300);
    world.fault(json!({ "provider": "fcm", "delay_ms": 300, "times": 150 })).await;
    world.publish(&pushes).await;
    assert!(world.sandbox.wait_for_sent(100, Duration::from_secs(20)).await);
    world.shut_down().await;
    world.send();
    world.ends(&pushes).await;
    world.shut_down().await;
    world.send();
    let last = world.push(Provider::Fcm, "last");
    world.outcome(&last).await;
    for push in pushes.iter().chain([&last]) {
        assert_eq!(world.sent(push).len(), 1);
    }
    assert_eq!(world.written().await.len(), 301);
}

#[tokio::test]
async fn a_push_that_waits_for_its_retry_does_not_hold_up_the_end_and_is_not_lost() {
    let mut world = World::asleep().await;
    world.config.slices.waits.in_memory = Duration::from_secs(3_600);
    world.send();
    let waiting = world.push(Provider::Apns, &apns_token(1));
    world.fault(json!({ "provider": "apns", "status": 429, "retry_after_s": 1_800 })).await;
    world.publish(std::slice::from_ref(&waiting)).await;
    world.faults_met().await;
    let after = mixed(&world, 50);
    world.publish(&after).await;
    world.ends(&after).await;
    let began = Instant::now();
    world.shut_down().await;
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    assert!(!world.written().await.iter().any(|delivery| delivery.push == waiting.id));
    world.send();
    assert_eq!(end(&world.ends(std::slice::from_ref(&waiting)).await[0]), (Outcome::Accepted, None, 1));
    for push in after.iter().chain([&waiting]) {
        assert_eq!(world.sent(push).len(), 1);
    }
}

#[tokio::test]
async fn a_record_that_is_no_push_is_rejected_and_blocks_nothing() {
    let world = World::start().await;
    let push = world.push(Provider::Fcm, "a-phone");
    let nonsense = Record::new(Topic::Pushes, push.key().to_bytes(), &b"nonsense"[..]);
    let deleted = Record::tombstone(Topic::Pushes, push.key().to_bytes());
    world.log.append(vec![nonsense, deleted]).await.unwrap();
    assert_eq!(world.outcome(&push).await.outcome, Outcome::Accepted);
    let cursor = Cursor { topic: Topic::Rejected, partition: 0, offset: 0 };
    let mut reader = world.log.read(vec![cursor], Until::Never).await.unwrap();
    let mut rejected: Vec<Value> = Vec::new();
    while rejected.len() < 2 {
        let (_, records) = reader.next(Duration::from_secs(20)).await.unwrap().unwrap();
        rejected.extend(records.iter().map(|r| serde_json::from_slice(r.value.as_ref().unwrap()).unwrap()));
    }
    for record in rejected {
        assert_eq!(record["topic"], "geopush.pushes");
        assert!(!record["reason"].as_str().unwrap().is_empty());
    }
}

#[tokio::test]
async fn more_pushes_than_a_slice_may_have_in_hand_all_go_out() {
    let mut world = World::asleep().await;
    world.config.slices.in_hand = 10;
    let pushes = mixed(&world, 300);
    world.publish(&pushes).await;
    world.send();
    world.ends(&pushes).await;
    assert_eq!(world.sandbox.sent_count(), 300);
}

#[tokio::test]
async fn a_slice_with_its_hands_full_is_given_back_at_once() {
    let mut world = World::asleep().await;
    world.config.slices.in_hand = 1;
    world.config.slices.waits.in_memory = Duration::from_secs(3_600);
    let push = world.push(Provider::Fcm, "a-phone");
    world.fault(json!({ "provider": "fcm", "status": 503, "retry_after_s": 600 })).await;
    world.publish(std::slice::from_ref(&push)).await;
    world.send();
    world.faults_met().await;
    let began = Instant::now();
    world.shut_down().await;
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    world.send();
    assert_eq!(world.ends(&[push]).await[0].outcome, Outcome::Accepted);
}
