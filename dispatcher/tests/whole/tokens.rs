//! A token that a provider calls dead is dropped, unless its phone has registered it anew since.

use geopush_model::Provider;
use geopush_store::tables::DeliveryBySourceRow;
use serde_json::{Value, json};
use uuid::Uuid;

use super::world::{Choices, World, apns_token, id, now, tenant};

const MERCHANT: u128 = 1;

async fn world() -> World {
    let world = World::start(Choices::default()).await;
    world.app(tenant(MERCHANT), world.sandbox.app_json()).await;
    world
}

async fn token(world: &World, device: &str) -> Option<String> {
    world.devices.get(tenant(MERCHANT), &id(device)).await.unwrap().unwrap().push_token
}

/// The row of a send to one device, once there is one. The token is dropped, if it is, before its count is written.
async fn end(world: &World, send: Uuid) -> DeliveryBySourceRow {
    world
        .eventually("the end of a push", async || {
            let counts = world.counts(tenant(MERCHANT), send).await;
            (counts.ended() == 1).then_some(())
        })
        .await;
    world.rows(tenant(MERCHANT), send).await.remove(0)
}

fn phones() -> [(Provider, &'static str, String); 2] {
    [(Provider::Fcm, "android", "a-phone".to_owned()), (Provider::Apns, "iphone", apns_token(1))]
}

/// What a provider says of a token that is dead, after a while.
fn dead(provider: Provider, delay_ms: u32) -> Value {
    let (status, reason) = match provider {
        Provider::Fcm => (404, "UNREGISTERED"),
        Provider::Apns => (400, "DeviceTokenNotForTopic"),
    };
    json!({ "provider": provider.as_str(), "status": status, "reason": reason, "delay_ms": delay_ms })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_token_is_dropped() {
    let world = world().await;
    for (provider, device, phone) in phones() {
        world.register(tenant(MERCHANT), device, provider, &phone).await;
        world.fault(dead(provider, 0)).await;
        let send = world.send_to(tenant(MERCHANT), device).await;
        assert_eq!(end(&world, send).await.reason.as_deref(), Some("dead_token"));
        assert_eq!(token(&world, device).await, None, "{provider:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_that_was_registered_anew_while_its_provider_called_it_dead_stays() {
    let world = world().await;
    for (provider, device, phone) in phones() {
        world.register(tenant(MERCHANT), device, provider, &phone).await;
        // The answer takes long enough for the phone to be there again.
        world.fault(dead(provider, 1_500)).await;

        let send = world.send_to(tenant(MERCHANT), device).await;
        world
            .eventually("the provider is asked", async || (world.faults_left().await == 0).then_some(()))
            .await;
        let anew = now();
        world.register(tenant(MERCHANT), device, provider, &phone).await;
        let row = end(&world, send).await;
        assert_eq!(row.reason.as_deref(), Some("dead_token"), "this push was not taken");
        assert!(row.finished_at.0 > anew.0, "the phone was there before the answer");
        assert_eq!(token(&world, device).await, Some(phone), "{provider:?}");
        let again = world.send_to(tenant(MERCHANT), device).await;
        assert_eq!(end(&world, again).await.outcome, "accepted");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_token_of_the_device_stays_too() {
    let world = world().await;
    world.register(tenant(MERCHANT), "phone", Provider::Fcm, "before").await;
    world.fault(dead(Provider::Fcm, 1_500)).await;
    let send = world.send_to(tenant(MERCHANT), "phone").await;
    world.eventually("the provider is asked", async || (world.faults_left().await == 0).then_some(())).await;
    world.register(tenant(MERCHANT), "phone", Provider::Fcm, "after").await;
    assert_eq!(end(&world, send).await.reason.as_deref(), Some("dead_token"));
    assert_eq!(token(&world, "phone").await.as_deref(), Some("after"));
}
