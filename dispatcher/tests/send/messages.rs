//! What a message can say, as it arrives: the stand-ins refuse whatever the providers would.

use std::sync::Arc;

use geopush_model::{Message, Outcome, Provider, Push};
use serde_json::{Map, Value, json};

use super::world::{World, apns_token, end};

fn everything() -> Message {
    serde_json::from_value(json!({
        "title": "Coffee", "body": "Two for one", "data": { "shop": "7" },
        "image": "https://cdn.example/a.png", "link": "https://shop.example/7", "analytics_label": "spring_1",
        "android": { "priority": "normal", "collapse_key": "offers", "channel_id": "Offers", "direct_boot_ok": true,
            "sound": "coin", "icon": "ic_bag", "color": "#a1B2c3" },
        "apns": { "badge": 3, "sound": "coin.caf", "thread_id": "offers", "category": "OFFER", "subtitle": "Today",
            "mutable_content": true, "interruption_level": "time-sensitive", "priority": 5, "collapse_id": "offers" },
        "webpush": { "urgency": "high", "icon": "https://cdn.example/i.png" },
    }))
    .unwrap()
}

/// Sends a message and gives what the phone was told besides its texts, and its data.
async fn told(world: &World, provider: Provider, message: Message) -> (Push, Value, Map<String, Value>) {
    let push = Push { message: message.into(), ..world.push(provider, &apns_token(1)) };
    let delivery = world.outcome(&push).await;
    assert_eq!(end(&delivery), (Outcome::Accepted, None, 1));
    let sent = world.sent(&push).remove(0);
    assert_eq!((&sent.title, &sent.body), (&push.message.title, &push.message.body));
    (push, Value::Object(sent.options), sent.data)
}

#[tokio::test]
async fn every_option_arrives_through_fcm() {
    let world = World::start().await;
    let (push, told, data) = told(&world, Provider::Fcm, everything()).await;
    let android = &told["android"];
    assert_eq!(android["notification"]["channel_id"], "Offers");
    assert_eq!((&android["collapse_key"], &android["direct_boot_ok"]), (&json!("offers"), &json!(true)));
    assert_eq!(told["image"], "https://cdn.example/a.png");
    assert_eq!(told["webpush"]["headers"]["Urgency"], "high");
    assert_eq!(told["webpush"]["fcm_options"]["link"], "https://shop.example/7");
    assert_eq!(told["apns"]["payload"]["aps"]["thread-id"], "offers");
    assert_eq!(told["fcm_options"]["analytics_label"], "spring_1");
    assert_eq!(
        Value::Object(data),
        json!({ "shop": "7", "geopush_link": "https://shop.example/7", "geopush_push_id": push.id.to_string() })
    );
}

#[tokio::test]
async fn every_option_arrives_through_apns() {
    let world = World::start().await;
    let (push, told, data) = told(&world, Provider::Apns, everything()).await;
    let expiration = (push.expires_at.0 / 1000).to_string();
    let expected = json!({
        "subtitle": "Today", "badge": 3, "sound": "coin.caf", "thread-id": "offers", "category": "OFFER",
        "interruption-level": "time-sensitive", "mutable-content": 1,
        "push-type": "alert", "priority": "5", "collapse-id": "offers", "expiration": expiration,
    });
    assert_eq!(told, expected);
    assert_eq!(data["geopush_image"], "https://cdn.example/a.png");
    assert_eq!(data["geopush_link"], "https://shop.example/7");
}

#[tokio::test]
async fn a_push_in_the_background_is_one_by_either_provider() {
    let world = World::start().await;
    let silent: Message = serde_json::from_value(json!({
        "data": { "sync": "1" }, "apns": { "push_type": "background" },
    }))
    .unwrap();
    let (_, by_apns, data) = told(&world, Provider::Apns, silent.clone()).await;
    assert_eq!((&by_apns["push-type"], &by_apns["priority"]), (&json!("background"), &json!("5")));
    assert_eq!((&by_apns["content-available"], &data["sync"]), (&json!(1), &json!("1")));
    let (_, by_fcm, _) = told(&world, Provider::Fcm, silent).await;
    assert_eq!(by_fcm["apns"]["payload"], json!({ "aps": { "content-available": 1 } }));
    assert_eq!(by_fcm["android"]["notification"], Value::Null);
}

#[tokio::test]
async fn the_longest_payload_that_is_sent_is_the_longest_that_is_taken() {
    let world = World::start().await;
    for provider in [Provider::Fcm, Provider::Apns] {
        let (mut least, mut most) = (1, 8_192);
        // The longest body that goes out.
        while most - least > 1 {
            let length = least + (most - least) / 2;
            let mut push = world.push(provider, &apns_token(1));
            Arc::make_mut(&mut push.message).body = "x".repeat(length);
            match world.outcome(&push).await.outcome {
                Outcome::Accepted => least = length,
                _ => most = length,
            }
        }
        let frame = match provider {
            Provider::Fcm => "titleCoffeebodyshop7geopush_push_id".len() + 36,
            Provider::Apns => {
                r#"{"aps":{"alert":{"title":"Coffee","body":""}},"geopush_push_id":"","shop":"7"}"#.len() + 36
            }
        };
        assert_eq!(least + frame, 4_096, "{provider:?}");
    }
}
