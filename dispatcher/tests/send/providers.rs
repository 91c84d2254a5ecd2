//! What the providers get, and what comes of their ordinary answers.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, Instant};

use geopush_dispatcher::send::Rate;
use geopush_model::{Outcome, Provider, Reason};
use serde_json::json;

use super::world::{APP, World, apns_token, changed, end};

#[tokio::test]
async fn a_push_reaches_either_provider_with_its_words_and_its_id() {
    let world = World::start().await;
    for (provider, token) in [(Provider::Fcm, "a-phone".to_owned()), (Provider::Apns, apns_token(1))] {
        let push = world.push(provider, &token);
        let delivery = world.outcome(&push).await;
        assert_eq!(end(&delivery), (Outcome::Accepted, None, 1));
        assert_eq!((delivery.push, delivery.provider), (push.id, Some(provider)));
        assert_eq!((delivery.origin, delivery.key()), (push.origin, push.key()));
        let name = delivery.provider_message_id.unwrap();
        match provider {
            Provider::Fcm => assert!(name.starts_with("projects/geopush-sandbox/messages/"), "{name}"),
            Provider::Apns => assert_eq!(name, push.id.to_string()),
        }
        let sent = world.sent(&push);
        assert_eq!(sent.len(), 1);
        assert_eq!((sent[0].token.as_str(), sent[0].title.as_str()), (token.as_str(), "Coffee"));
        assert_eq!(sent[0].body, "Two for one");
        let data = json!({ "shop": "7", "geopush_push_id": push.id.to_string() });
        assert_eq!(json!(sent[0].data), data);
    }
}

#[tokio::test]
async fn tokens_that_a_provider_calls_dead_are_named_in_the_delivery() {
    let world = World::start().await;
    let fcm = ["unregistered-1", "mismatch-1", "invalid-1"].map(|token| (Provider::Fcm, token.to_owned()));
    let apns = [format!("dead{:060}", 1), format!("bad0{:060}", 1), "not-hex".into(), "no/path".into()];
    for (provider, token) in fcm.into_iter().chain(apns.map(|token| (Provider::Apns, token))) {
        let delivery = world.outcome(&world.push(provider, &token)).await;
        assert_eq!(
            (delivery.outcome, delivery.reason),
            (Outcome::Failed, Some(Reason::DeadToken)),
            "{token}"
        );
        assert_eq!(delivery.dead_token.map(|dead| dead.token), Some(token));
    }
    assert_eq!(world.sandbox.sent_count(), 0);
}

#[tokio::test]
async fn a_token_registered_since_apns_called_it_dead_is_kept() {
    let world = World::start().await;
    let push = world.push(Provider::Apns, &apns_token(1));
    let before = push.token_at.0 - 1;
    world.fault(json!({ "provider": "apns", "status": 410, "timestamp": before })).await;
    let delivery = world.outcome(&push).await;
    assert_eq!(end(&delivery), (Outcome::Failed, Some(Reason::DeadToken), 1));
    assert_eq!(delivery.dead_token, None);
}

#[tokio::test]
async fn a_dead_token_is_told_with_since_when_it_was_dead() {
    let world = World::start().await;
    let push = world.push(Provider::Apns, &apns_token(1));
    let since = push.token_at.plus_ms(1_000);
    world.fault(json!({ "provider": "apns", "status": 410, "timestamp": since.0 })).await;
    assert_eq!(world.outcome(&push).await.dead_token.unwrap().at, since);
    // FCM does not say: what is registered after it was asked is another matter.
    let push = world.push(Provider::Fcm, "unregistered-1");
    let delivery = world.outcome(&push).await;
    let asked_at = delivery.dead_token.as_ref().unwrap().at;
    assert!(push.created_at <= asked_at && asked_at <= delivery.finished_at);
}

#[tokio::test]
async fn what_is_too_large_or_too_late_or_without_an_app_is_not_sent() {
    let world = World::start().await;
    for provider in [Provider::Fcm, Provider::Apns] {
        let mut large = world.push(provider, &apns_token(1));
        Arc::make_mut(&mut large.message).body = "x".repeat(5_000);
        assert_eq!(end(&world.outcome(&large).await), (Outcome::Failed, Some(Reason::TooLarge), 0));

        let mut late = world.push(provider, &apns_token(1));
        late.expires_at = late.created_at;
        assert_eq!(world.outcome(&late).await.outcome, Outcome::Expired);

        let mut homeless = world.push(provider, &apns_token(1));
        homeless.app = "closed".into();
        assert_eq!(end(&world.outcome(&homeless).await), (Outcome::Suppressed, Some(Reason::NoApp), 0));
    }
    assert_eq!(world.sandbox.sent_count(), 0);
}

#[tokio::test]
async fn an_app_aims_the_sender_only_where_the_operator_allows_it() {
    let mut world = World::asleep().await;
    world.config.lanes.allow_provider_urls = false;
    world.send();
    for provider in [Provider::Fcm, Provider::Apns] {
        let delivery = world.outcome(&world.push(provider, &apns_token(1))).await;
        assert_eq!(end(&delivery), (Outcome::Failed, Some(Reason::BadCredentials), 0));
    }
    assert_eq!(world.sandbox.sent_count(), 0);
}

#[tokio::test]
async fn plain_http_is_never_spoken() {
    let world = World::start().await;
    let url = world.sandbox.fcm_url().replace("https://", "http://");
    world.apps.put(APP, changed(world.sandbox.app_json(), "/fcm/base_url", json!(url)));
    let delivery = world.outcome(&world.push(Provider::Fcm, "a-phone")).await;
    assert_eq!(end(&delivery), (Outcome::Failed, Some(Reason::BadCredentials), 0));
}

#[tokio::test]
async fn new_credentials_are_used_from_the_next_push_on() {
    let world = World::start().await;
    let wrong = [
        (Provider::Apns, "/apns/team_id", json!("SOMEBODY01")),
        (Provider::Apns, "/apns/private_key", json!("no key")),
        (Provider::Fcm, "/fcm/service_account/client_email", json!("nobody@example.com")),
    ];
    for (provider, pointer, value) in wrong {
        world.apps.put(APP, changed(world.sandbox.app_json(), pointer, value));
        let refused = world.outcome(&world.push(provider, &apns_token(1))).await;
        assert_eq!(
            (refused.outcome, refused.reason),
            (Outcome::Failed, Some(Reason::BadCredentials)),
            "{pointer}"
        );
        world.apps.put(APP, world.sandbox.app_json());
        let accepted = world.outcome(&world.push(provider, &apns_token(1))).await;
        assert_eq!(accepted.outcome, Outcome::Accepted, "{pointer}");
    }
}

#[tokio::test]
async fn a_lane_keeps_to_its_rate() {
    let mut world = World::asleep().await;
    let per_minute = NonZeroU32::new(60 * 20).unwrap();
    world.config.lanes.fcm_rate = Rate { per_minute, burst: Duration::from_millis(50) };
    world.send();
    let pushes: Vec<_> = (0..21).map(|n| world.push(Provider::Fcm, &format!("phone-{n}"))).collect();
    let began = Instant::now();
    world.publish(&pushes).await;
    let ends = world.ends(&pushes).await;
    assert!(ends.iter().all(|delivery| delivery.outcome == Outcome::Accepted));
    // One at once, then twenty at twenty a second.
    assert!(began.elapsed() >= Duration::from_millis(990), "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_thousand_pushes_go_out_once_each_over_shared_connections() {
    let world = World::start().await;
    let push = |n: usize| match n % 2 {
        0 => world.push(Provider::Fcm, &format!("phone-{n}")),
        _ => world.push(Provider::Apns, &apns_token(n)),
    };
    let pushes: Vec<_> = (0..1_000).map(push).collect();
    world.publish(&pushes).await;
    let ends = world.ends(&pushes).await;
    assert!(ends.iter().all(|delivery| end(delivery) == (Outcome::Accepted, None, 1)));
    assert_eq!((world.sandbox.sent_count(), world.written().await.len()), (1_000, 1_000));
}
