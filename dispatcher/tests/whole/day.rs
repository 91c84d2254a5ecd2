//! A bad day at both providers, from the send to the rows: every push has the one outcome that is right for it, and
//! what is counted is what is there.

use std::collections::BTreeMap;
use std::time::Duration;

use geopush_dispatcher::send::Waits;
use geopush_model::Provider;
use serde_json::{Value, json};

use super::world::{Choices, World, apns_token, id, tenant};

const DEVICES: usize = 4_000;
const MERCHANT: u128 = 1;

fn phone(n: usize) -> (Provider, String) {
    match n % 2 {
        0 => (Provider::Fcm, format!("phone-{n}")),
        _ => (Provider::Apns, apns_token(n)),
    }
}

/// What is wrong with a phone's pushes, and whether they are taken in the end.
fn trouble(n: usize) -> Option<(Value, bool)> {
    let (provider, _) = phone(n);
    // As often as it is tried, since an answer may be cut off with its connection.
    let refusal = |status: u16, reason: &str| json!({ "status": status, "reason": reason, "times": 100 });
    let once = |status: u16, reason: &str| json!({ "status": status, "reason": reason });
    Some(match (n % 200, provider) {
        (20, _) => (refusal(404, "UNREGISTERED"), false),
        (21, _) => (refusal(410, "Unregistered"), false),
        (40, _) => (refusal(400, "INVALID_ARGUMENT"), false),
        (41, _) => (refusal(400, "PayloadEmpty"), false),
        (60, _) => (once(401, "UNAUTHENTICATED"), true),
        (61, _) => (once(403, "ExpiredProviderToken"), true),
        (80 | 81, _) => (json!({ "status": 429, "retry_after_s": 2 }), true),
        (100 | 101, _) => (json!({ "status": 503, "retry_after_s": 1, "times": 2 }), true),
        (120 | 121, _) => (json!({ "delay_ms": 400 }), true),
        // Of a provider's 2,000 pushes every thousandth, or nearly so.
        (140 | 141, _) if n % 2_000 < 200 => (json!({ "action": "goaway" }), true),
        // The connection is cut, for a push that was taken and for one that was not.
        (160 | 161, _) if n % 2_000 < 200 => (json!({ "action": "drop", "status": 200 }), true),
        (180 | 181, _) if n % 2_000 < 200 => (json!({ "action": "drop" }), true),
        _ => return None,
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_bad_day_the_rows_and_the_counts_say_what_became_of_every_push() {
    let mut choices = Choices::default();
    let seconds = Duration::from_secs;
    choices.send.slices.waits =
        Waits { in_memory: Duration::from_millis(500), topics: [seconds(1), seconds(2), seconds(4)] };
    let world = World::start(choices).await;
    let merchant = tenant(MERCHANT);
    world.app(merchant, world.sandbox.app_json()).await;
    world.register_all(merchant, DEVICES, phone).await;
    let mut refused = BTreeMap::new();
    for n in 0..DEVICES {
        let Some((mut fault, is_taken)) = trouble(n) else { continue };
        let (provider, token) = phone(n);
        (fault["provider"], fault["token"]) = (json!(provider.as_str()), json!(token));
        if !is_taken {
            refused.insert(format!("device-{n}"), fault["status"].as_u64().unwrap());
        }
        world.fault(fault).await;
    }
    // And a storm, enough to take both lanes out, and not for many probes: FCM is asked much at once, APNs one by one.
    for (provider, times) in [("fcm", 30), ("apns", 12)] {
        let storm = json!({ "provider": provider, "status": 503, "retry_after_s": 1, "times": times });
        world.fault(storm).await;
    }
    let send = world.send_to_all(merchant).await;
    let counts = world
        .eventually("the end of all", async || {
            let counts = world.counts(merchant, send).await;
            assert!(counts.ended() <= counts.asked && counts.put_off <= counts.asked - counts.ended());
            (counts.ended() == DEVICES as i64).then_some(counts)
        })
        .await;
    assert_eq!((counts.asked, counts.put_off), (DEVICES as i64, 0));
    assert_eq!((counts.failed, counts.suppressed, counts.expired), (refused.len() as i64, 0, 0));
    let rows = world.rows(merchant, send).await;
    let of_device: BTreeMap<_, _> = rows.iter().map(|row| (row.device.as_str(), row)).collect();
    assert_eq!((rows.len(), of_device.len()), (DEVICES, DEVICES), "one row each");
    let mut sent: BTreeMap<String, usize> = BTreeMap::new();
    for taken in world.sandbox.sent_after(0, usize::MAX) {
        *sent.entry(taken.token).or_default() += 1;
    }
    for n in 0..DEVICES {
        let (device, token) = (format!("device-{n}"), phone(n).1);
        let row = of_device[device.as_str()];
        let (outcome, reason) = (row.outcome.as_str(), row.reason.as_deref());
        let is_dead = match refused.get(&device) {
            None => {
                assert_eq!((outcome, reason), ("accepted", None), "{device}");
                // Sent twice only where an answer was cut off.
                let cut = matches!(trouble(n), Some((fault, _)) if fault["action"] == "drop");
                let times = sent.get(&token).copied().unwrap_or_default();
                assert!(times == 1 || times > 1 && (cut || row.attempts > 1), "{device}: {times} times");
                false
            }
            Some(400) => {
                assert_eq!((outcome, reason), ("failed", Some("bad_message")), "{device}");
                false
            }
            Some(_) => {
                assert_eq!((outcome, reason), ("failed", Some("dead_token")), "{device}");
                true
            }
        };
        assert_eq!(sent.contains_key(&token), !refused.contains_key(&device), "{device}");
        if n % 20 == 0 || is_dead {
            let known = world.devices.get(merchant, &id(&device)).await.unwrap().unwrap();
            assert_eq!(known.push_token.is_none(), is_dead, "{device}");
        }
    }
}
