//! What comes of providers that misbehave.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use geopush_model::{Outcome, Provider, Reason};
use geopush_service::telemetry::{LogFormat, init};
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};

use super::world::{APP, TENANT, World, apns_token, changed, end};

fn name(provider: Provider) -> &'static str {
    provider.as_str()
}

#[tokio::test]
async fn each_refusal_has_its_outcome() {
    use Reason::{BadCredentials, BadMessage, DeadToken, ProviderError, TooLarge};
    let world = World::start().await;
    let rows = [
        (Provider::Fcm, 400, "INVALID_ARGUMENT", BadMessage),
        (Provider::Fcm, 403, "SENDER_ID_MISMATCH", DeadToken),
        (Provider::Fcm, 403, "PERMISSION_DENIED", BadCredentials),
        (Provider::Fcm, 404, "UNREGISTERED", DeadToken),
        (Provider::Fcm, 404, "NOT_FOUND", BadCredentials),
        (Provider::Fcm, 418, "TEAPOT", ProviderError),
        (Provider::Apns, 400, "PayloadEmpty", BadMessage),
        (Provider::Apns, 400, "DeviceTokenNotForTopic", DeadToken),
        (Provider::Apns, 400, "TopicDisallowed", BadCredentials),
        (Provider::Apns, 403, "InvalidProviderToken", BadCredentials),
        (Provider::Apns, 405, "MethodNotAllowed", ProviderError),
        (Provider::Apns, 410, "ExpiredToken", DeadToken),
        (Provider::Apns, 413, "PayloadTooLarge", TooLarge),
    ];
    for (provider, status, reason, expected) in rows {
        world.fault(json!({ "provider": name(provider), "status": status, "reason": reason })).await;
        let delivery = world.outcome(&world.push(provider, &apns_token(1))).await;
        assert_eq!(end(&delivery), (Outcome::Failed, Some(expected), 1), "{status} {reason}");
        assert_eq!(delivery.dead_token.is_some(), expected == DeadToken, "{status} {reason}");
    }
    assert_eq!(world.sandbox.sent_count(), 0);
}

#[tokio::test]
async fn retry_after_is_honoured() {
    let world = World::start().await;
    let rows = [(Provider::Fcm, 429), (Provider::Fcm, 503), (Provider::Apns, 429), (Provider::Apns, 503)];
    for (provider, status) in rows {
        let fault = json!({ "provider": name(provider), "status": status, "retry_after_s": 1 });
        world.fault(fault).await;
        let push = world.push(provider, &apns_token(1));
        let began = Instant::now();
        let delivery = world.outcome(&push).await;
        let waited = began.elapsed();
        assert_eq!(end(&delivery), (Outcome::Accepted, None, 2), "{provider:?} {status}");
        assert!(waited >= Duration::from_secs(1) && waited < Duration::from_secs(4), "{status}: {waited:?}");
        assert_eq!(world.sent(&push).len(), 1);
    }
}

#[tokio::test]
async fn a_push_that_would_have_to_wait_past_its_time_has_expired() {
    let world = World::start().await;
    world.fault(json!({ "provider": "fcm", "status": 503, "retry_after_s": 7200 })).await;
    let delivery = world.outcome(&world.push(Provider::Fcm, "a-phone")).await;
    assert_eq!(end(&delivery), (Outcome::Expired, Some(Reason::ProviderUnavailable), 1));
}

#[tokio::test]
async fn a_refused_credential_is_renewed_once() {
    let world = World::start().await;
    let refusals = [(Provider::Fcm, 401, "UNAUTHENTICATED"), (Provider::Apns, 403, "ExpiredProviderToken")];
    for (provider, status, reason) in refusals {
        for (times, expected) in
            [(1, (Outcome::Accepted, None, 2)), (2, (Outcome::Failed, Some(Reason::BadCredentials), 2))]
        {
            let fault =
                json!({ "provider": name(provider), "status": status, "reason": reason, "times": times });
            world.fault(fault).await;
            let delivery = world.outcome(&world.push(provider, &apns_token(1))).await;
            assert_eq!(end(&delivery), expected, "{reason} {times} times");
        }
    }
}

#[tokio::test]
async fn a_goaway_loses_and_repeats_nothing() {
    let world = World::start().await;
    for provider in [Provider::Fcm, Provider::Apns] {
        let pushes: Vec<_> = (0..400).map(|n| world.push(provider, &apns_token(n))).collect();
        for n in [3, 50, 51, 200] {
            let fault = json!({ "provider": name(provider), "token": apns_token(n), "action": "goaway" });
            world.fault(fault).await;
        }
        world.publish(&pushes).await;
        let ends = world.ends(&pushes).await;
        assert!(ends.iter().all(|delivery| end(delivery) == (Outcome::Accepted, None, 1)), "{provider:?}");
        for push in &pushes {
            assert_eq!(world.sent(push).len(), 1);
        }
    }
    assert_eq!(world.faults_left().await, 0);
}

#[tokio::test]
async fn a_push_whose_answer_was_cut_off_is_sent_again_with_the_same_id() {
    let world = World::start().await;
    for provider in [Provider::Fcm, Provider::Apns] {
        // The provider takes it, and dies before it can say so.
        world.fault(json!({ "provider": name(provider), "action": "drop", "status": 200 })).await;
        let push = world.push(provider, &apns_token(1));
        let delivery = world.outcome(&push).await;
        assert_eq!(end(&delivery), (Outcome::Accepted, None, 2), "{provider:?}");
        assert_eq!(world.sent(&push).len(), 2, "{provider:?}");
        if provider == Provider::Apns {
            assert_eq!(delivery.provider_message_id, Some(push.id.to_string()));
        }
    }
}

#[tokio::test]
async fn a_provider_that_does_not_answer_is_asked_again_on_another_connection() {
    let mut world = World::asleep().await;
    world.config.timeouts.request = Duration::from_secs(1);
    world.send();
    world.fault(json!({ "provider": "fcm", "delay_ms": 20_000 })).await;
    let push = world.push(Provider::Fcm, "a-phone");
    assert_eq!(end(&world.outcome(&push).await), (Outcome::Accepted, None, 2));
    assert_eq!(world.sent(&push).len(), 1);
}

#[tokio::test]
async fn a_slow_provider_does_not_delay_the_other() {
    let world = World::start().await;
    world.fault(json!({ "provider": "fcm", "delay_ms": 4_000, "times": 300 })).await;
    let slow: Vec<_> = (0..300).map(|n| world.push(Provider::Fcm, &format!("phone-{n}"))).collect();
    world.publish(&slow).await;
    let fast: Vec<_> = (0..100).map(|n| world.push(Provider::Apns, &apns_token(n))).collect();
    let began = Instant::now();
    world.publish(&fast).await;
    let ends = world.ends(&fast).await;
    let waited = began.elapsed();
    assert!(ends.iter().all(|delivery| delivery.outcome == Outcome::Accepted));
    assert!(waited < Duration::from_secs(3), "{waited:?}");
}

#[tokio::test]
async fn a_paused_lane_holds_its_own_pushes_and_no_others() {
    let world = World::start().await;
    world.apps.put("other", world.sandbox.app_json());
    let fault = json!({ "provider": "fcm", "reason": "THIRD_PARTY_AUTH_ERROR", "retry_after_s": 2 });
    world.fault(fault).await;
    let began = Instant::now();
    let first = world.push(Provider::Fcm, "phone-1");
    world.publish(std::slice::from_ref(&first)).await;
    world.faults_met().await;
    // The answer that pauses the lane is on its way: what follows comes after it, on the same connection.
    let second = world.push(Provider::Fcm, "phone-2");
    let mut elsewhere = world.push(Provider::Fcm, "phone-3");
    elsewhere.app = "other".into();
    assert_eq!(end(&world.outcome(&elsewhere).await), (Outcome::Accepted, None, 1));
    assert!(began.elapsed() < Duration::from_secs(2));
    assert_eq!(end(&world.outcome(&second).await), (Outcome::Accepted, None, 1));
    assert_eq!(end(&world.ends(&[first]).await[0]), (Outcome::Accepted, None, 2));
    assert!(began.elapsed() >= Duration::from_secs(2));
}

#[tokio::test]
async fn new_credentials_end_a_lanes_pause() {
    let mut world = World::asleep().await;
    world.config.slices.waits.in_memory = Duration::from_secs(3_600);
    world.send();
    let fault = json!({ "provider": "fcm", "reason": "THIRD_PARTY_AUTH_ERROR", "retry_after_s": 1_800 });
    world.fault(fault).await;
    let paused = world.push(Provider::Fcm, "phone-1");
    world.publish(std::slice::from_ref(&paused)).await;
    world.faults_met().await;
    world.apps.put(APP, world.sandbox.app_json());
    assert_eq!(world.outcome(&world.push(Provider::Fcm, "phone-2")).await.outcome, Outcome::Accepted);
    assert_eq!(end(&world.ends(&[paused]).await[0]), (Outcome::Accepted, None, 2));
}

#[tokio::test]
async fn a_provider_that_fails_at_everything_is_left_alone_until_it_is_well() {
    let mut world = World::asleep().await;
    let lanes = &mut world.config.lanes;
    (lanes.connections, lanes.fcm_streams) = (1, 1);
    world.send();
    world.fault(json!({ "provider": "fcm", "status": 503, "retry_after_s": 1, "times": 12 })).await;
    let pushes: Vec<_> = (0..60).map(|n| world.push(Provider::Fcm, &format!("phone-{n}"))).collect();
    let began = Instant::now();
    world.publish(&pushes).await;
    // Ten in a row were enough, and then one a time asked, after a second and after two more.
    let ends = world.ends(&pushes).await;
    assert!(began.elapsed() >= Duration::from_secs(1 + 2 + 4), "{:?}", began.elapsed());
    assert!(ends.iter().all(|delivery| delivery.outcome == Outcome::Accepted));
    assert_eq!(ends.iter().map(|delivery| delivery.attempts).sum::<u32>(), 60 + 12);
    for push in &pushes {
        assert_eq!(world.sent(push).len(), 1);
    }
}

#[tokio::test]
async fn many_pushes_to_one_phone_go_out_as_fast_as_fcm_allows_and_hold_up_no_other() {
    let world = World::start().await;
    let many: Vec<_> = (0..250).map(|_| world.push(Provider::Fcm, "one-phone")).collect();
    let others: Vec<_> = (0..20).map(|n| world.push(Provider::Fcm, &format!("phone-{n}"))).collect();
    let began = Instant::now();
    world.publish(&many).await;
    world.publish(&others).await;
    let ends = world.ends(&others).await;
    assert!(ends.iter().all(|delivery| end(delivery) == (Outcome::Accepted, None, 1)));
    let others_took = began.elapsed();
    let ends = world.ends(&many).await;
    assert!(ends.iter().all(|delivery| end(delivery) == (Outcome::Accepted, None, 1)));
    // 240 at once, then four a second.
    let took = began.elapsed();
    assert!(took >= Duration::from_millis(2_000), "{took:?}, the others {others_took:?}");
}

/// An address that hangs up on the first callers, and then leads to another.
async fn away_at_first(hang_ups: usize, to: String) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        for caller in 0.. {
            let (mut here, _) = listener.accept().await.unwrap();
            if caller >= hang_ups {
                let mut there = TcpStream::connect(&to).await.unwrap();
                tokio::spawn(async move { tokio::io::copy_bidirectional(&mut here, &mut there).await });
            }
        }
    });
    address
}

#[tokio::test]
async fn a_provider_that_was_away_gets_each_push_once_when_it_is_back() {
    let world = World::start().await;
    let address = world.sandbox.apns_url().strip_prefix("https://").unwrap().to_owned();
    let url = format!("https://{}", away_at_first(2, address).await);
    world.apps.put(APP, changed(world.sandbox.app_json(), "/apns/base_url", json!(url)));
    let pushes: Vec<_> = (0..50).map(|n| world.push(Provider::Apns, &apns_token(n))).collect();
    world.publish(&pushes).await;
    let ends = world.ends(&pushes).await;
    assert!(ends.iter().all(|delivery| end(delivery) == (Outcome::Accepted, None, 1)));
    assert_eq!(world.sandbox.sent_count(), 50);
}

#[tokio::test]
async fn apns_gets_one_request_on_a_connection_until_it_has_accepted_one() {
    let world = World::start().await;
    world.fault(json!({ "provider": "apns", "delay_ms": 700 })).await;
    let pushes: Vec<_> = (0..20).map(|n| world.push(Provider::Apns, &apns_token(n))).collect();
    world.publish(&pushes).await;
    for (push, delivery) in pushes.iter().zip(world.ends(&pushes).await) {
        let took_ms = delivery.finished_at.since_ms(push.created_at);
        assert!(took_ms >= 700, "accepted after {took_ms} ms, beside the first request");
    }
}

#[tokio::test]
async fn what_happens_is_counted_and_no_label_names_a_tenant_or_a_token() {
    let metrics = init(LogFormat::Text, "warn").unwrap();
    let world = World::start().await;
    let token = apns_token(0xfeed);
    world.fault(json!({ "provider": "apns", "token": token, "action": "drop" })).await;
    assert_eq!(end(&world.outcome(&world.push(Provider::Apns, &token)).await).2, 2);
    let text = metrics.render();
    for line in [
        r#"geopush_dispatcher_send_requests_total{provider="apns",outcome="accepted"}"#,
        r#"geopush_dispatcher_send_unanswered_total{provider="apns"}"#,
        r#"geopush_dispatcher_send_retries_total{provider="apns"}"#,
        r#"geopush_dispatcher_send_pushes_total{provider="apns",outcome="accepted",reason=""}"#,
        r#"geopush_dispatcher_send_seconds_bucket{provider="apns""#,
        r#"geopush_dispatcher_send_in_flight_requests{provider="apns"}"#,
        r#"geopush_dispatcher_send_lanes{provider="apns"}"#,
        "geopush_dispatcher_fix_to_accepted_seconds_bucket",
    ] {
        assert!(text.contains(line), "{line} in\n{text}");
    }
    assert!(!text.contains(&token) && !text.contains(&TENANT.to_string()));
}
