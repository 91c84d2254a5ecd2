//! What a merchant does with GeoPush, from the first zone to the row in the delivery log, by the real binary over HTTP.

mod support;

use serde_json::{Value, json};
use support::until;
use support::world::{INSIDE, OUTSIDE, World, id, now_ms, phone};

/// Kind, reason and time of transitions.
fn told(rows: &[Value]) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    rows.iter().map(|row| (text(&row["kind"]), text(&row["reason"]))).collect()
}

fn pair(kind: &str, reason: &str) -> (String, String) {
    (kind.to_owned(), reason.to_owned())
}

#[test]
fn a_phones_ping_becomes_a_push_and_all_of_it_can_be_looked_up_and_outlives_a_restart() {
    let mut world = World::start();
    let zone = world.circle(&json!({"external_id": "shop-1"}));
    let campaign = world.campaign("enter", &zone, &json!({}));
    world.phone("anna");
    let began = now_ms() - 60_000;
    world.ping("anna", OUTSIDE, began);
    world.ping("anna", INSIDE, began + 10_000);

    let sent = until("the push arrives", || world.sandbox.sent().first().cloned());
    assert_eq!(sent["provider"], "fcm");
    assert_eq!(sent["token"], "token-anna");
    assert_eq!(sent["title"], "Hello");
    assert_eq!(sent["body"], "A coffee is on us");
    assert_eq!(sent["data"]["offer"], "7");
    let push = sent["data"]["geopush_push_id"].as_str().expect("every push carries its id");
    assert_eq!(sent["push_id"], push);

    let enter = &world.transitions("anna", 1)[0];
    assert_eq!(told(std::slice::from_ref(enter)), [pair("enter", "-")]);
    assert_eq!(enter["device_id"], "anna");
    assert_eq!(enter["zone_id"], *zone);
    assert_eq!(enter["zone_external_id"], "shop-1");
    assert_eq!((&enter["initial"], &enter["zone_version"]), (&json!(false), &json!(1)));
    assert_eq!((&enter["fix"]["lat"], &enter["fix"]["lon"]), (&json!(INSIDE.0), &json!(INSIDE.1)));
    assert_eq!(enter["at"], enter["fix"]["time"]);

    let of_campaign = format!("/v1/deliveries?campaign_id={campaign}");
    let row = until("the delivery's row", || world.api.rows(&of_campaign).pop());
    assert_eq!(row["push_id"], push);
    assert_eq!(row["outcome"], "accepted");
    assert_eq!(row["campaign_id"], *campaign);
    assert_eq!(row["cause_id"], enter["id"]);
    assert_eq!((&row["device_id"], &row["provider"]), (&json!("anna"), &json!("fcm")));
    assert_eq!(world.api.rows("/v1/devices/anna/deliveries"), std::slice::from_ref(&row));
    until("presence", || (world.present_in("anna") == [zone.clone()]).then_some(()));

    assert!(world.house.terminate().success(), "it ends in order when it is asked to");
    world.house.start();
    assert_eq!(world.transitions("anna", 1)[0], *enter);
    assert_eq!(world.api.rows(&of_campaign), [row]);
    assert_eq!(world.present_in("anna"), [zone]);

    // The device's state came back with it: this exit is of the stay that began before.
    world.ping("anna", OUTSIDE, began + 30_000);
    let exit = &world.transitions("anna", 2)[1];
    assert_eq!(told(std::slice::from_ref(exit)), [pair("exit", "left")]);
    assert_eq!(exit["seq"].as_i64(), enter["seq"].as_i64().map(|seq| seq + 1));
    until("nobody is present", || world.present_in("anna").is_empty().then_some(()));
    assert_eq!(world.sandbox.sent().len(), 1, "one visit is one push, restarts or not");

    for secret in [&world.keys.secret, &world.keys.publishable, "token-anna", "41.3851"] {
        assert!(!world.house.log().contains(secret), "a secret, token or position is in the log");
    }
}

#[test]
fn a_zone_that_is_deleted_lets_everybody_out_without_a_ping() {
    let world = World::start();
    let zone = world.circle(&json!({}));
    let path = format!("/v1/zones/{zone}");
    let began = now_ms() - 60_000;
    for device in ["anna", "bert", "carl"] {
        world.ping(device, INSIDE, began);
        world.transitions(device, 1);
    }
    let etag = world.api.call("GET", &path, &[], None).expect("an answer").etag.expect("an ETag");
    let refused = world.api.call("DELETE", &path, &[], None).expect("an answer");
    assert_eq!(refused.status, 428, "nobody deletes what they have not seen");
    let deleted = world.api.call("DELETE", &path, &[("if-match", &etag)], None).expect("an answer");
    assert_eq!(deleted.status, 204, "{}", deleted.body);
    for device in ["anna", "bert", "carl"] {
        let rows = world.transitions(device, 2);
        assert_eq!(told(&rows), [pair("enter", "-"), pair("exit", "zone_removed")]);
        assert_eq!(rows[0]["initial"], true, "the first fix ever seen of it was inside");
    }
}

#[test]
fn a_zone_that_moves_away_lets_out_who_is_no_longer_near_and_lets_nobody_in() {
    let world = World::start();
    let zone = world.circle(&json!({}));
    let path = format!("/v1/zones/{zone}");
    let began = now_ms() - 60_000;
    world.ping("anna", INSIDE, began);
    world.ping("bert", OUTSIDE, began);
    world.transitions("anna", 1);
    let etag = world.api.call("GET", &path, &[], None).expect("an answer").etag.expect("an ETag");
    let moved = json!({"name": "shop", "shape": {"type": "circle", "center": [OUTSIDE.1, OUTSIDE.0], "radius_m": 150}});
    let answer = world.api.call("PUT", &path, &[("if-match", &etag)], Some(&moved)).expect("an answer");
    assert_eq!((answer.status, &answer.body["version"]), (200, &json!(2)));
    assert_eq!(told(&world.transitions("anna", 2)), [pair("enter", "-"), pair("exit", "zone_changed")]);
    assert_eq!(
        world.api.rows("/v1/devices/bert/transitions"),
        [] as [Value; 0],
        "an edit never makes an enter"
    );
    world.ping("bert", OUTSIDE, began + 1_000);
    let enter = &world.transitions("bert", 1)[0];
    assert_eq!((&enter["kind"], &enter["zone_version"]), (&json!("enter"), &json!(2)));
}

#[test]
fn a_stay_that_is_long_enough_dwells_once_and_pushes_once() {
    let world = World::start();
    let zone = world.circle(&json!({"dwell_s": 60}));
    world.campaign("dwell", &zone, &json!({}));
    world.phone("anna");
    let began = now_ms() - 300_000;
    for seconds in [0, 30, 59, 61, 90, 200] {
        world.ping("anna", INSIDE, began + seconds * 1000);
    }
    world.ping("anna", OUTSIDE, began + 250_000);
    let rows = world.transitions("anna", 3);
    assert_eq!(told(&rows), [pair("enter", "-"), pair("dwell", "-"), pair("exit", "left")]);
    assert!(rows[1]["dwell_s"].as_i64().is_some_and(|s| s >= 60), "{}", rows[1]);
    let sent = until("the push arrives", || world.sandbox.sent().first().cloned());
    assert_eq!(sent["token"], "token-anna");
    let rows = until("its row", || {
        Some(world.api.rows("/v1/devices/anna/deliveries")).filter(|rows| !rows.is_empty())
    });
    assert_eq!(rows.len(), 1, "{rows:#?}");
}

#[test]
fn a_device_that_is_deleted_leaves_its_zones_and_comes_back_as_new() {
    let world = World::start();
    let zone = world.circle(&json!({}));
    let began = now_ms() - 60_000;
    world.phone("anna");
    world.ping("anna", OUTSIDE, began);
    world.ping("anna", INSIDE, began + 1_000);
    world.transitions("anna", 1);
    let deleted = world.api.call("DELETE", "/v1/devices/anna", &[], None).expect("an answer");
    assert_eq!(deleted.status, 204, "{}", deleted.body);
    let of_zone = format!("/v1/transitions?zone_id={zone}&order=asc");
    let rows = until("the exit", || Some(world.api.rows(&of_zone)).filter(|rows| rows.len() == 2));
    assert_eq!(told(&rows), [pair("enter", "-"), pair("exit", "device_removed")]);
    // Forgotten whole: even an earlier fix is its first.
    world.ping("anna", INSIDE, began);
    let rows = until("it comes back", || Some(world.api.rows(&of_zone)).filter(|rows| rows.len() == 3));
    let again = rows.iter().find(|row| row["initial"] == true).expect("it is the first fix seen of it");
    assert_eq!(again["kind"], "enter");
}

#[test]
fn a_send_adds_up_at_every_look() {
    let world = World::start();
    let mut devices: Vec<String> = (0..200).map(|i| format!("phone-{i}")).collect();
    for device in &devices {
        world.phone(device);
    }
    let mut unwilling = phone("unwilling");
    unwilling["consents"]["push"] = json!(false);
    world.api.expect(201, "PUT", "/v1/devices/unwilling", Some(&unwilling));
    let gone = json!({"provider": "fcm", "token": "token-phone-7", "status": 404, "reason": "UNREGISTERED", "times": 1});
    world.sandbox.control.expect(201, "POST", "/faults", Some(&gone));
    devices.extend(["unwilling".to_owned(), "unheard-of".to_owned()]);
    let targeted = devices.len() as i64;

    let body = json!({"app": "shop", "device_ids": devices, "message": {"title": "Hello", "body": "all"}});
    let send = id(&world.api.expect(202, "POST", "/v1/sends", Some(&body)));
    let path = format!("/v1/sends/{send}");
    let done = until("the send is done", || {
        let now = world.api.get(&path);
        let count = |name: &str| now[name].as_i64().expect("a count");
        let sum: i64 =
            ["pending", "accepted", "failed", "suppressed", "expired"].into_iter().map(count).sum();
        assert_eq!((count("targeted"), sum), (targeted, targeted), "{now}");
        (count("pending") == 0).then_some(now)
    });
    assert_eq!(
        (&done["accepted"], &done["failed"], &done["suppressed"]),
        (&json!(199), &json!(1), &json!(2)),
        "{done}"
    );
    let rows = world.api.rows(&format!("/v1/deliveries?send_id={send}"));
    assert_eq!(rows.len() as i64, targeted);
    let reason = |device: &str| {
        let row = rows.iter().find(|row| row["device_id"] == device).expect("each device has its row");
        (row["outcome"].clone(), row["reason"].clone())
    };
    assert_eq!(reason("unwilling"), (json!("suppressed"), json!("no_consent")));
    assert_eq!(reason("unheard-of"), (json!("suppressed"), json!("no_device")));
    assert_eq!(reason("phone-7").0, "failed");
    assert_eq!(world.sandbox.sent().len(), 199);

    // The token is dead, so it is dropped: the next push is not even tried.
    let body =
        json!({"app": "shop", "device_ids": ["phone-7"], "message": {"title": "Hello", "body": "again"}});
    let again = until("the token is dropped", || {
        let send = id(&world.api.expect(202, "POST", "/v1/sends", Some(&body)));
        let path = format!("/v1/deliveries?send_id={send}");
        let row = until("its row", || world.api.rows(&path).pop());
        (row["reason"] == "no_token").then_some(row)
    });
    assert_eq!(again["outcome"], "suppressed");
}

#[test]
fn what_was_answered_is_seen_by_every_later_ping() {
    let world = World::start();
    let began = now_ms() - 600_000;
    world.phone("anna");
    world.ping("anna", OUTSIDE, began);
    let (mut expected, mut pushes) = (Vec::new(), 0);
    for round in 1..=15 {
        let at = began + round * 10_000;
        let zone = world.circle(&json!({}));
        let campaign = world.campaign("enter", &zone, &json!({}));
        world.ping("anna", INSIDE, at);
        pushes += 1;
        // What is under way may go either way.
        until("the push arrives", || (world.sandbox.sent().len() == pushes).then_some(()));
        expected.push((zone.clone(), "enter"));
        let path = format!("/v1/campaigns/{campaign}/pause");
        world.api.expect(200, "POST", &path, None);
        world.ping("anna", OUTSIDE, at + 1_000);
        expected.push((zone.clone(), "exit"));
        // The campaign is paused, so this visit is no push; then the zone is gone, so the next is none at all.
        world.ping("anna", INSIDE, at + 2_000);
        world.ping("anna", OUTSIDE, at + 3_000);
        expected.extend([(zone.clone(), "enter"), (zone.clone(), "exit")]);
        world.transitions("anna", expected.len());
        let path = format!("/v1/zones/{zone}");
        let etag = world.api.call("GET", &path, &[], None).expect("an answer").etag.expect("an ETag");
        let deleted = world.api.call("DELETE", &path, &[("if-match", &etag)], None).expect("an answer");
        assert_eq!(deleted.status, 204);
        world.ping("anna", INSIDE, at + 4_000);
        world.ping("anna", OUTSIDE, at + 5_000);
    }
    let rows = world.transitions("anna", expected.len());
    let told: Vec<(String, &str)> = rows
        .iter()
        .map(|row| {
            (row["zone_id"].as_str().expect("an id").to_owned(), row["kind"].as_str().expect("a kind"))
        })
        .collect();
    assert_eq!(told, expected);
    let rows = until("every visit's row", || {
        Some(world.api.rows("/v1/devices/anna/deliveries")).filter(|rows| rows.len() >= pushes)
    });
    assert_eq!(
        (rows.len(), world.sandbox.sent().len()),
        (pushes, pushes),
        "a paused campaign pushes nothing"
    );
}
