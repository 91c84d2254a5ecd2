//! How an app shows who it is.

use geopush_model::{Outcome, Provider, Reason};
use geopush_registry::AppCredentials;
use serde_json::{Value, json};

use super::world::{APP, World, apns_token, changed, end};

#[tokio::test]
async fn a_certificate_does_instead_of_a_key() {
    let world = World::start().await;
    world.apps.put(APP, world.sandbox.certified_app_json());
    let pushes: Vec<_> = (0..50).map(|n| world.push(Provider::Apns, &apns_token(n))).collect();
    world.publish(&pushes).await;
    let ends = world.ends(&pushes).await;
    assert!(ends.iter().all(|delivery| end(delivery) == (Outcome::Accepted, None, 1)), "{ends:?}");
}

#[tokio::test]
async fn one_apps_certificate_is_never_shown_for_another() {
    let world = World::start().await;
    world.apps.put(APP, world.sandbox.certified_app_json());
    let accepted = world.outcome(&world.push(Provider::Apns, &apns_token(1))).await;
    assert_eq!(accepted.outcome, Outcome::Accepted);
    // Its tokens are worth nothing, and it has no certificate.
    let foreign = changed(world.sandbox.app_json(), "/apns/team_id", json!("SOMEBODY01"));
    world.apps.put("other", foreign);
    let mut push = world.push(Provider::Apns, &apns_token(2));
    push.app = "other".into();
    assert_eq!(end(&world.outcome(&push).await), (Outcome::Failed, Some(Reason::BadCredentials), 1));
}

#[tokio::test]
async fn a_certificate_that_cannot_be_shown_is_a_bad_credential() {
    let world = World::start().await;
    let app = world.sandbox.certified_app_json();
    let other_key = world.sandbox.apns_key_pem();
    for (pointer, value) in [
        ("/apns/certificate", json!("none")),
        ("/apns/private_key", json!("none")),
        ("/apns/private_key", json!(other_key)),
    ] {
        world.apps.put(APP, changed(app.clone(), pointer, value));
        let delivery = world.outcome(&world.push(Provider::Apns, &apns_token(1))).await;
        assert_eq!(end(&delivery), (Outcome::Failed, Some(Reason::BadCredentials), 0), "{pointer}");
    }
}

#[tokio::test]
async fn a_certificate_takes_the_place_of_a_key_without_a_restart_and_back() {
    let world = World::start().await;
    for app in [world.sandbox.app_json(), world.sandbox.certified_app_json(), world.sandbox.app_json()] {
        world.apps.put(APP, app);
        let delivery = world.outcome(&world.push(Provider::Apns, &apns_token(1))).await;
        assert_eq!(end(&delivery), (Outcome::Accepted, None, 1));
    }
}

#[tokio::test]
async fn credentials_are_not_told_by_debug() {
    let world = World::asleep().await;
    for app in [world.sandbox.app_json(), world.sandbox.certified_app_json()] {
        let credentials: AppCredentials = serde_json::from_value(app.clone()).unwrap();
        let told = format!("{credentials:?}");
        let secrets = ["/apns/private_key", "/fcm/service_account/private_key"];
        for secret in secrets.iter().filter_map(|pointer| app.pointer(pointer).and_then(Value::as_str)) {
            let line = secret.lines().nth(1).unwrap();
            assert!(!told.contains(line) && !told.contains("PRIVATE KEY"), "{told}");
        }
    }
}
