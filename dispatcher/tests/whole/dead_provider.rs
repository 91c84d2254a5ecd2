//! A dead provider delays nothing that goes by the other, not even of the same send.

use geopush_dispatcher::expand::ExpandConfig;
use geopush_model::Provider;
use serde_json::json;

use super::world::{Choices, World, apns_token, tenant};

const DEVICES: usize = 8_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_send_to_phones_of_a_dead_and_of_a_living_provider_reaches_all_of_the_living_ones() {
    // Everything as small as the send, so that what waits for the dead one is far more than there is room for.
    let mut choices = Choices { expand: ExpandConfig { page: 50, window: 1_000 }, ..Choices::default() };
    choices.send.slices.in_hand = 200;
    let world = World::start(choices).await;
    let merchant = tenant(1);
    let closed = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let mut app = world.sandbox.app_json();
    app["fcm"]["base_url"] = json!(format!("https://{closed}"));
    world.app(merchant, app).await;
    world
        .register_all(merchant, DEVICES, |n| match n % 2 {
            0 => (Provider::Fcm, format!("phone-{n}")),
            _ => (Provider::Apns, apns_token(n)),
        })
        .await;
    let send = world.send_to_all(merchant).await;
    let half = DEVICES as i64 / 2;
    world
        .eventually("every push by the living one", async || {
            let counts = world.counts(merchant, send).await;
            assert!(counts.ended() + counts.put_off <= counts.asked, "{counts:?}");
            assert_eq!(counts.ended(), counts.accepted, "{counts:?}");
            (counts.accepted == half).then_some(())
        })
        .await;
    let counts = world
        .eventually("all the others wait on the log", async || {
            let counts = world.counts(merchant, send).await;
            (counts.put_off > half * 9 / 10).then_some(counts)
        })
        .await;
    assert!(counts.asked == DEVICES as i64 && counts.put_off <= half, "{counts:?}");
    // What was put off is still to be sent, and is nobody's end.
    assert_eq!(world.sandbox.sent_count(), half.unsigned_abs());
    assert_eq!(world.rows(merchant, send).await.len() as i64, half);
}
