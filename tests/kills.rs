//! A send to thousands, by a process that is killed again and again, as by a power cut: what is asked for adds up at
//! every look, what the rows say in the end is what the providers took, and no push goes out twice but those that are
//! counted as maybe sent before.

mod support;

use rand::RngExt as _;
use support::crowd::Crowd;
use support::scene::random;
use support::world::World;
use support::{PATIENCE, seed, until};

const PHONES: usize = 4_000;
const KILLS: usize = 6;

/// How many pushes this process counts as maybe sent before it began.
fn uncertain(world: &World) -> u64 {
    let metrics = world.house.admin().get("/metrics");
    let lines = metrics.as_str().expect("text").lines();
    let counts = lines.filter(|line| line.starts_with("geopush_dispatcher_send_uncertain_total"));
    counts.map(|line| line.rsplit(' ').next().and_then(|n| n.parse::<u64>().ok()).expect("a count")).sum()
}

#[test]
fn a_send_to_thousands_adds_up_through_kills_and_repeats_only_what_it_counts() {
    let mut random = random(seed());
    let mut world = World::start();
    let mut crowd = Crowd::begin(&world.api, world.sandbox.app.clone(), PHONES);
    let mut counted = 0;
    for _ in 0..KILLS {
        let sent = world.sandbox.sent().len();
        let enough = sent + random.random_range(100..500);
        let mut uncertain_now = 0;
        until("more pushes are taken", || {
            crowd.look();
            // What may have been sent is counted before it is sent again, all of it at the start.
            let uncertain_before = std::mem::replace(&mut uncertain_now, uncertain(&world));
            let settled = uncertain_before == uncertain_now;
            (settled && world.sandbox.sent().len() >= enough.min(crowd.reachable())).then_some(())
        });
        counted += uncertain_now;
        world.house.kill();
        world.house.start();
    }
    let done = until(&format!("the send is done within {PATIENCE:?}"), || {
        crowd.look().filter(|send| send["status"] == "done")
    });
    counted += uncertain(&world);
    let taken =
        world.sandbox.sent().into_iter().map(|sent| sent["push_id"].as_str().expect("an id").to_owned());
    let again = crowd.judge(&done, taken);
    assert!(again <= counted, "{again} went out again, and {counted} may have, by the count");
    println!("{again} went out again, {counted} were counted as maybe sent");
}
