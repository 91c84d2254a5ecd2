//! How a lane's connections follow what its provider does, against a server made of frames.

use std::sync::atomic::Ordering::SeqCst;
use std::time::{Duration, Instant};

use geopush_model::{Outcome, Provider, Push};
use serde_json::{Value, json};

use super::peer::{Manners, Peer};
use super::world::{APP, World, changed, end};

/// A world whose FCM is a server with these manners.
async fn world(manners: Manners) -> (World, Peer) {
    let world = World::asleep().await;
    let peer = Peer::start(manners).await;
    world.trust(&peer.ca_pem);
    world.apps.put(APP, app(&world, &peer));
    (world, peer)
}

fn app(world: &World, peer: &Peer) -> Value {
    changed(world.sandbox.app_json(), "/fcm/base_url", json!(peer.url))
}

fn pushes(world: &World, count: usize) -> Vec<Push> {
    (0..count).map(|n| world.push(Provider::Fcm, &format!("phone-{n}"))).collect()
}

async fn all_accepted_at_once(world: &World, pushes: &[Push]) {
    let ends = world.ends(pushes).await;
    assert!(ends.iter().all(|delivery| end(delivery) == (Outcome::Accepted, None, 1)));
}

#[tokio::test]
async fn a_lane_keeps_to_the_streams_that_its_server_allows_and_opens_connections_for_the_rest() {
    let manners = Manners { streams: Some(7), delay: Duration::from_millis(50), ..Manners::default() };
    let (mut world, peer) = world(manners).await;
    world.config.lanes.connections = 4;
    let pushes = pushes(&world, 400);
    world.publish(&pushes).await;
    world.send();
    all_accepted_at_once(&world, &pushes).await;
    assert_eq!(peer.seen.most_streams.load(SeqCst), 7);
    assert_eq!(peer.seen.connections.load(SeqCst), 4);
    assert_eq!(peer.seen.requests.load(SeqCst), 400);
}

#[tokio::test]
async fn a_server_that_negotiates_no_protocol_is_spoken_to_in_http_2() {
    let (mut world, _peer) = world(Manners { untold: true, ..Manners::default() }).await;
    let pushes = pushes(&world, 3);
    world.publish(&pushes).await;
    world.send();
    all_accepted_at_once(&world, &pushes).await;
}

#[tokio::test]
async fn one_connection_does_when_it_has_room_for_everything() {
    let manners = Manners { streams: Some(1_000), delay: Duration::from_millis(300), ..Manners::default() };
    let (mut world, peer) = world(manners).await;
    let pushes = pushes(&world, 300);
    world.publish(&pushes).await;
    world.send();
    all_accepted_at_once(&world, &pushes).await;
    assert_eq!(peer.seen.connections.load(SeqCst), 1);
    assert!(peer.seen.most_streams.load(SeqCst) > 250);
}

#[tokio::test]
async fn connections_that_are_not_needed_any_more_are_closed() {
    let manners = Manners { streams: Some(5), delay: Duration::from_millis(50), ..Manners::default() };
    let (mut world, peer) = world(manners).await;
    world.config.lanes.idle = Duration::from_secs(4);
    let many = pushes(&world, 300);
    world.publish(&many).await;
    world.send();
    all_accepted_at_once(&world, &many).await;
    assert!(peer.seen.open.load(SeqCst) >= 4);
    let shrunk = async {
        while peer.seen.open.load(SeqCst) > 1 {
            all_accepted_at_once(&world, &{
                let one = pushes(&world, 1);
                world.publish(&one).await;
                one
            })
            .await;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(15), shrunk).await.unwrap();
}

#[tokio::test]
async fn what_a_goaway_left_out_is_sent_again_and_what_it_did_not_is_waited_for() {
    let manners = Manners {
        streams: Some(50),
        goaway: Some((20, 12)),
        delay: Duration::from_millis(200),
        ..Manners::default()
    };
    let (mut world, peer) = world(manners).await;
    // As many as whole connections take: twelve each of twenty, but for those who come again.
    let pushes = pushes(&world, 20 + 12 * 3);
    world.publish(&pushes).await;
    world.config.lanes.connections = 1;
    world.send();
    while peer.seen.answered.load(SeqCst) < 48 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    // Eight are left; the connection that has them waits for twelve more.
    let rest = self::pushes(&world, 12);
    world.publish(&rest).await;
    while peer.seen.answered.load(SeqCst) < 60 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(peer.seen.connections.load(SeqCst) >= 5);
    let written = world.written().await;
    assert!(written.iter().all(|delivery| end(delivery) == (Outcome::Accepted, None, 1)));
}

#[tokio::test]
async fn a_connection_that_went_silent_is_left_and_its_pushes_are_sent_again() {
    let (mut world, peer) = world(Manners { silent: 1, ..Manners::default() }).await;
    world.config.timeouts.ping = Duration::from_secs(1);
    world.config.timeouts.request = Duration::from_secs(50);
    world.send();
    let push = world.push(Provider::Fcm, "a-phone");
    let began = Instant::now();
    assert_eq!(end(&world.outcome(&push).await), (Outcome::Accepted, None, 2));
    assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
    assert_eq!((peer.seen.connections.load(SeqCst), peer.seen.pings.load(SeqCst)), (2, 1));
}

#[tokio::test]
async fn a_slow_answer_is_waited_for_while_pings_are_answered() {
    let (mut world, peer) =
        world(Manners { delay: Duration::from_millis(3_500), ..Manners::default() }).await;
    world.config.timeouts.ping = Duration::from_secs(1);
    world.send();
    let push = world.push(Provider::Fcm, "a-phone");
    assert_eq!(end(&world.outcome(&push).await), (Outcome::Accepted, None, 1));
    assert!(peer.seen.pings.load(SeqCst) >= 2);
}

#[tokio::test]
async fn a_cut_connection_is_one_failure_however_much_it_carried() {
    let (mut world, peer) = world(Manners { cut: 3, ..Manners::default() }).await;
    world.send();
    let pushes = pushes(&world, 200);
    world.publish(&pushes).await;
    let ends = world.ends(&pushes).await;
    assert!(ends.iter().all(|delivery| delivery.outcome == Outcome::Accepted));
    assert_eq!(peer.seen.answered.load(SeqCst), 200);
}

#[tokio::test]
async fn another_rate_takes_effect_in_the_lane_that_there_is() {
    let (mut world, peer) = world(Manners { streams: Some(100), ..Manners::default() }).await;
    world.send();
    let slow = |per_minute: u32| {
        let mut app = app(&world, &peer);
        app["fcm"]["per_minute"] = json!(per_minute);
        app
    };
    world.apps.put(APP, slow(60));
    let pushes = pushes(&world, 40);
    world.publish(&pushes).await;
    while peer.seen.answered.load(SeqCst) < 2 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    // The second waited for its second. Forty would have gone in another.
    assert!(peer.seen.answered.load(SeqCst) < 4);
    world.apps.put(APP, slow(60_000));
    // Somebody has to come by for the news.
    let next = world.push(Provider::Fcm, "next");
    world.publish(std::slice::from_ref(&next)).await;
    let began = Instant::now();
    all_accepted_at_once(&world, &pushes).await;
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    assert_eq!(peer.seen.connections.load(SeqCst), 1, "the lane stayed");
}
