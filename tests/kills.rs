//! A send to thousands, by a process that is killed again and again, as by a power cut: what is asked for adds up at
//! every look, what the rows say in the end is what the providers took, and no push goes out twice but those that are
//! counted as maybe sent before.

mod support;

use std::collections::BTreeMap;

use rand::RngExt as _;
use serde_json::{Value, json};
use support::scene::random;
use support::world::{World, id};
use support::{PATIENCE, seed, until};

const PHONES: usize = 4_000;
const KILLS: usize = 6;
/// Slow enough to die in the middle of it.
const PER_MINUTE: u32 = 60 * 250;
/// One phone of so many has a dead token.
const DEAD_EVERY: usize = 50;

fn phone(n: usize) -> Value {
    let (platform, token) = match (n % 2, n.is_multiple_of(DEAD_EVERY)) {
        (0, true) => ("android", format!("unregistered-{n}")),
        (0, false) => ("android", format!("token-{n}")),
        (_, _) => ("ios", format!("a0{n:062x}")),
    };
    json!({"platform": platform, "app": "shop", "push_token": token})
}

/// The send as the API tells of it, whose counts must add up and only grow.
struct Looks<'a> {
    world: &'a World,
    path: String,
    before: BTreeMap<&'static str, i64>,
}

impl Looks<'_> {
    fn look(&mut self) -> Option<Value> {
        // It may be down.
        let answer = self.world.api.call("GET", &self.path, &[], None).ok().filter(|a| a.status == 200)?;
        let send = answer.body;
        let count = |name: &str| send[name].as_i64().expect("a count");
        let ends = ["accepted", "failed", "suppressed", "expired"];
        let sum = ends.iter().map(|name| count(name)).sum::<i64>() + count("pending");
        assert_eq!(count("targeted"), sum, "{send}");
        for name in ["targeted", "accepted", "failed", "suppressed", "expired"] {
            let before = self.before.insert(name, count(name)).unwrap_or(0);
            assert!(before <= count(name), "{name} was {before}: {send}");
        }
        Some(send)
    }
}

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
    let mut app = world.sandbox.app.clone();
    for provider in ["fcm", "apns"] {
        app[provider]["per_minute"] = json!(PER_MINUTE);
    }
    world.api.expect(200, "PUT", "/v1/apps/shop", Some(&app));
    std::thread::scope(|threads| {
        for thread in 0..4 {
            let api = world.api.clone();
            threads.spawn(move || {
                for n in (thread..PHONES).step_by(4) {
                    api.insist(201, "PUT", &format!("/v1/devices/phone-{n}"), Some(&phone(n)));
                }
            });
        }
    });
    let body = json!({"app": "shop", "audience": {"all": []}, "message": {"title": "Hello"}});
    let send = id(&world.api.expect(202, "POST", "/v1/sends", Some(&body)));
    let path = format!("/v1/sends/{send}");
    let (mut counted, mut before) = (0, BTreeMap::new());
    for _ in 0..KILLS {
        let sent = world.sandbox.sent().len();
        let enough = sent + random.random_range(100..500);
        let mut looks = Looks { world: &world, path: path.clone(), before };
        let mut uncertain_now = 0;
        until("more pushes are taken", || {
            looks.look();
            // What may have been sent is counted before it is sent again, all of it at the start.
            let uncertain_before = std::mem::replace(&mut uncertain_now, uncertain(&world));
            let settled = uncertain_before == uncertain_now;
            (settled && world.sandbox.sent().len() >= enough.min(PHONES - PHONES / DEAD_EVERY)).then_some(())
        });
        before = looks.before;
        counted += uncertain_now;
        world.house.kill();
        world.house.start();
    }
    let mut looks = Looks { world: &world, path, before };
    let done = until(&format!("the send is done within {PATIENCE:?}"), || {
        looks.look().filter(|send| send["status"] == "done")
    });
    counted += uncertain(&world);
    let dead = (0..PHONES).filter(|n| n.is_multiple_of(DEAD_EVERY)).count();
    for (name, count) in [
        ("targeted", PHONES),
        ("accepted", PHONES - dead),
        ("failed", dead),
        ("suppressed", 0),
        ("expired", 0),
        ("pending", 0),
    ] {
        assert_eq!(done[name], json!(count), "{name}: {done}");
    }

    let rows = world.api.rows(&format!("/v1/deliveries?send_id={send}"));
    let of = |outcome: &str| rows.iter().filter(|row| row["outcome"] == outcome).count();
    assert_eq!((rows.len(), of("accepted"), of("failed")), (PHONES, PHONES - dead, dead), "one row each");
    let mut taken: BTreeMap<String, u64> = BTreeMap::new();
    for sent in world.sandbox.sent() {
        *taken.entry(sent["push_id"].as_str().expect("an id").to_owned()).or_default() += 1;
    }
    assert_eq!(taken.len(), PHONES - dead, "the providers took what the rows say");
    for row in &rows {
        let is_taken = taken.contains_key(row["push_id"].as_str().expect("an id"));
        assert_eq!(is_taken, row["outcome"] == "accepted", "{row}");
    }
    let again: u64 = taken.values().map(|times| times - 1).sum();
    assert!(again <= counted, "{again} went out again, and {counted} may have, by the count");
    println!("{again} went out again, {counted} were counted as maybe sent");
}
