//! Campaigns that go by the clock, by the real binary, on a wall clock that the test sets.

mod support;

use std::sync::Arc;

use serde_json::{Value, json};
use support::until;
use support::wall_clock::WallClock;
use support::world::{INSIDE, OUTSIDE, World, id};

/// A world in Madrid whose clock shows this time.
fn madrid(time: &str) -> (World, Arc<WallClock>) {
    let clock = Arc::new(WallClock::at(time));
    let world = World::start_by(Some(&clock));
    let settings = json!({"detect_crossings": false, "timezone": "Europe/Madrid"});
    world.api.expect(200, "PUT", "/v1/settings", Some(&settings));
    (world, clock)
}

/// An active campaign. Gives its id.
fn campaign(world: &World, title: &str, trigger: &Value, audience: &Value) -> String {
    let campaign = json!({
        "name": title, "app": "shop", "trigger": trigger, "audience": audience, "message": {"title": title},
    });
    let id = id(&world.api.expect(201, "POST", "/v1/campaigns", Some(&campaign)));
    world.api.expect(200, "POST", &format!("/v1/campaigns/{id}/activate"), None);
    id
}

/// The phones that were shown this, in order, once there are so many.
fn shown(world: &World, title: &str, count: usize) -> Vec<String> {
    until(&format!("{count} phones show {title}"), || {
        let sent = world.sandbox.sent();
        let phones = sent.iter().filter(|sent| sent["title"] == title);
        let phones: Vec<_> = phones.map(|sent| sent["token"].as_str().expect("a token").to_owned()).collect();
        (phones.len() >= count).then_some(phones)
    })
}

fn outcomes(world: &World, campaign: &str) -> Vec<(String, String)> {
    let rows = world.api.rows(&format!("/v1/deliveries?campaign_id={campaign}&order=asc"));
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    rows.iter().map(|row| (text(&row["device_id"]), text(&row["outcome"]))).collect()
}

#[test]
fn a_scheduled_campaign_goes_out_at_its_time_on_the_tenants_clocks_once() {
    // Winter time: half past nine is half past eight, UTC.
    let (mut world, clock) = madrid("2027-03-15T08:29:00Z");
    world.phone("anna");
    world.phone("bert");
    let plain = json!({"platform": "android", "app": "shop", "push_token": "token-carl"});
    world.api.expect(201, "PUT", "/v1/devices/carl", Some(&plain));
    let morning = json!({"type": "schedule", "cron": "30 9 * * *"});
    let good = campaign(&world, "Good morning", &morning, &json!({"tag": "vip"}));
    // What comes just before is to show that nothing came too early.
    let minute = json!({"type": "schedule", "cron": "29 9 * * *"});
    campaign(&world, "Nearly", &minute, &json!({"all": []}));
    clock.set("2027-03-16T08:29:30Z");
    // The day before is longer ago than an hour: a push at the wrong time can't be taken back.
    let nearly = shown(&world, "Nearly", 3);
    assert_eq!(nearly.len(), 3);
    assert_eq!(outcomes(&world, &good), []);

    clock.set("2027-03-16T08:30:01Z");
    let mut phones = shown(&world, "Good morning", 2);
    phones.sort();
    assert_eq!(phones, ["token-anna", "token-bert"]);

    // Killed, and up again before the hour is over: the run that was is no more.
    world.house.kill();
    world.house.start();
    // Clocks go forward between: half past nine comes an hour earlier.
    clock.set("2027-03-28T07:29:30Z");
    shown(&world, "Nearly", 6);
    assert_eq!(shown(&world, "Good morning", 2).len(), 2);
    clock.set("2027-03-28T07:30:01Z");
    assert_eq!(shown(&world, "Good morning", 4).len(), 4);
    let rows = until("four rows", || Some(outcomes(&world, &good)).filter(|rows| rows.len() == 4));
    assert!(rows.iter().all(|(phone, outcome)| phone != "carl" && outcome == "accepted"), "{rows:?}");
}

#[test]
fn who_has_not_come_for_days_is_told_once() {
    let (world, clock) = madrid("2027-05-03T06:00:00Z");
    for phone in ["anna", "bert", "carl"] {
        world.phone(phone);
    }
    let shop = world.circle(&json!({"tags": ["shops"]}));
    let visit = |phone: &str| {
        let now_ms = clock.now_ms();
        world.ping(phone, OUTSIDE, now_ms - 120_000);
        world.ping(phone, INSIDE, now_ms - 60_000);
        world.ping(phone, OUTSIDE, now_ms);
    };
    visit("anna");
    visit("bert");
    // Carl was never there, so he is not missed.
    for phone in ["anna", "bert"] {
        world.transitions(phone, 2);
    }
    let trigger = json!({"type": "absence", "days": 3, "zone_ids": [shop]});
    let missed = campaign(&world, "We miss you", &trigger, &json!({"all": []}));
    clock.set("2027-05-05T06:00:00Z");
    visit("bert");
    world.transitions("bert", 4);
    // Absences are looked for at ten, by the tenant's clock: three days and two hours after Anna, one after Bert.
    clock.set("2027-05-06T08:00:01Z");
    assert_eq!(shown(&world, "We miss you", 1), ["token-anna"]);
    clock.set("2027-05-07T08:00:01Z");
    clock.set("2027-05-08T08:00:01Z");
    assert_eq!(shown(&world, "We miss you", 2), ["token-anna", "token-bert"], "each once");
    let rows = until("two rows", || Some(outcomes(&world, &missed)).filter(|rows| rows.len() >= 2));
    let accepted = |phone: &str| (phone.to_owned(), "accepted".to_owned());
    assert_eq!(rows, [accepted("anna"), accepted("bert")]);
}
