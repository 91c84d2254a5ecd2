//! What merchants let campaigns wait for and hold back by, from the API to the phone, by the real binary over HTTP.

mod support;

use serde_json::{Value, json};
use support::until;
use support::world::{INSIDE, OUTSIDE, World, id, now_ms};

/// An active campaign that says these members. Gives its id.
fn campaign(world: &World, members: &Value) -> String {
    let mut campaign = json!({"name": "journey", "app": "shop", "message": {"title": "Hello"}});
    campaign.as_object_mut().expect("an object").extend(members.as_object().expect("members").clone());
    let id = id(&world.api.expect(201, "POST", "/v1/campaigns", Some(&campaign)));
    world.api.expect(200, "POST", &format!("/v1/campaigns/{id}/activate"), None);
    id
}

fn on_event(name: &str) -> Value {
    json!({"type": "event", "name": name})
}

/// Tells an event of a device. Gives its id.
fn tell(world: &World, device: &str, name: &str) -> String {
    let event = json!({"device_id": device, "name": name, "properties": {"order": "A-17"}});
    let answer = world.api.expect(202, "POST", "/v1/events", Some(&event));
    assert_eq!(answer["accepted"], 1);
    answer["ids"][0].as_str().expect("an id").to_owned()
}

/// What became of a cause for a device, by campaign, once there are so many.
fn outcomes(world: &World, device: &str, cause: &str, count: usize) -> Vec<(String, String, Value)> {
    let path = format!("/v1/devices/{device}/deliveries");
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    let mut rows = until(&format!("{count} outcomes of {device}"), || {
        let mut rows = world.api.rows(&path);
        rows.retain(|row| row["cause_id"] == cause);
        (rows.len() >= count).then_some(rows)
    });
    rows.sort_by_key(|row| text(&row["campaign_id"]));
    let outcome = |row: &Value| (text(&row["campaign_id"]), text(&row["outcome"]), row["reason"].clone());
    rows.iter().map(outcome).collect()
}

/// As [`outcomes`] gives them.
fn wanted<const N: usize>(rows: [(&String, &str, Value); N]) -> Vec<(String, String, Value)> {
    let mut rows = rows.map(|(id, outcome, reason)| (id.clone(), outcome.to_owned(), reason)).to_vec();
    rows.sort_by(|a, b| a.0.cmp(&b.0));
    rows
}

#[test]
fn an_event_becomes_one_push_in_the_phones_language() {
    let world = World::start();
    world.phone("anna");
    let waits = campaign(
        &world,
        &json!({"trigger": on_event("order_shipped"), "message": {
            "title": "Order {{ event.properties.order }} is on its way",
            "translations": {"ca": {
                "title": "{{ event.properties.order }} ja és en camí",
                "body": "Per al teu pla {{ device.attributes.plan | upper }}"
            }},
            "data": {"order": "{{ event.properties.order }}"}
        }}),
    );
    campaign(&world, &json!({"trigger": on_event("order_lost")}));
    let shown = json!({"device_id": "anna", "properties": {"order": "A-17"}});
    let path = format!("/v1/campaigns/{waits}/preview");
    let preview = world.api.expect(200, "POST", &path, Some(&shown));
    assert_eq!(preview["reasons"], json!([]), "{preview}");

    let event = json!({"device_id": "anna", "name": "order_shipped", "properties": {"order": "A-17"}});
    let told = || {
        let key = [("idempotency-key", "shipped-A-17")];
        world.api.call("POST", "/v1/events", &key, Some(&event)).expect("an answer").body
    };
    let first = told();
    let sent = until("the push arrives", || world.sandbox.sent().first().cloned());
    assert_eq!(sent["title"], "A-17 ja és en camí");
    assert_eq!(sent["body"], "Per al teu pla GOLD");
    assert_eq!(sent["data"]["order"], "A-17");
    assert_eq!((&preview["message"]["title"], &preview["message"]["body"]), (&sent["title"], &sent["body"]));
    assert_eq!(told(), first, "what is told twice is answered again");
    let cause = first["ids"][0].as_str().expect("an id");
    assert_eq!(outcomes(&world, "anna", cause, 1), wanted([(&waits, "accepted", Value::Null)]));

    // Something later of the same device, so that nothing of before is still under way.
    let later = tell(&world, "anna", "order_shipped");
    outcomes(&world, "anna", &later, 1);
    assert_eq!(world.sandbox.sent().len(), 2, "one event is one push, however often it is told");
}

#[test]
fn what_holds_a_push_back_is_its_one_reason() {
    let world = World::start();
    world.phone("anna");
    let settings = json!({"detect_crossings": false, "timezone": "Europe/Madrid", "caps": {"per_hour": 2},
        "quiet_hours": {"from": "00:00", "to": "00:00", "then": "drop"}});
    world.api.expect(200, "PUT", "/v1/settings", Some(&settings));
    let trigger = on_event("visited");
    let more = |members: Value| {
        let mut all = json!({"trigger": trigger});
        all.as_object_mut().expect("an object").extend(members.as_object().expect("members").clone());
        campaign(&world, &all)
    };
    let quiet = more(json!({}));
    let held_out = more(json!({"holdout_percent": 100, "ignores_quiet_hours": true}));
    let ended = more(json!({"ends_at": "2026-01-01T00:00:00Z"}));
    let others = more(json!({"audience": {"not": {"tag": "vip"}}}));
    let broken = more(json!({"ignores_quiet_hours": true, "ignores_caps": true,
        "message": {"title": "{{ event.properties.missing }}"}}));
    let urgent = more(json!({"ignores_quiet_hours": true, "ignores_caps": true,
        "variants": [{"name": "only", "weight": 1, "message": {"title": "Now"}}]}));
    let suppressed = |id, reason: &'static str| (id, "suppressed", json!(reason));
    let cause = tell(&world, "anna", "visited");
    assert_eq!(
        outcomes(&world, "anna", &cause, 6),
        wanted([
            suppressed(&quiet, "quiet_hours"),
            suppressed(&held_out, "holdout"),
            suppressed(&ended, "hours"),
            suppressed(&others, "audience"),
            suppressed(&broken, "template"),
            (&urgent, "accepted", Value::Null),
        ])
    );
    let sent = world.sandbox.sent();
    assert_eq!((sent.len(), &sent[0]["title"]), (1, &json!("Now")));

    let rows = world.api.rows(&format!("/v1/deliveries?campaign_id={urgent}"));
    assert_eq!(rows[0]["variant"], "only");

    // Awake again; the push before counts towards a cap that is lower now.
    let awake = json!({"detect_crossings": false, "caps": {"per_hour": 1}});
    world.api.expect(200, "PUT", "/v1/settings", Some(&awake));
    let cause = tell(&world, "anna", "visited");
    let told = outcomes(&world, "anna", &cause, 6);
    let of = |id: &String| told.iter().find(|row| row.0 == *id).map(|row| (row.1.as_str(), row.2.clone()));
    assert_eq!(of(&quiet), Some(("suppressed", json!("capped"))));
    assert_eq!(of(&urgent), Some(("accepted", Value::Null)), "it ignores caps");
}

#[test]
fn a_visit_is_told_with_the_zones_own_words() {
    let world = World::start();
    world.phone("anna");
    let zone = world.circle(&json!({"metadata": {"offer": "coffee"}, "tags": ["shops"]}));
    let trigger = json!({"type": "zone", "on": "enter", "zone_tags": ["shops"]});
    let words = "{{ zone.metadata.offer }} at {{ zone.name }} {{ zone.id }}";
    let message = json!({"title": "{{ transition.kind }}", "body": words});
    campaign(&world, &json!({"trigger": trigger, "message": message}));
    let began = now_ms() - 60_000;
    world.ping("anna", OUTSIDE, began);
    world.ping("anna", INSIDE, began + 10_000);
    let sent = until("the push arrives", || world.sandbox.sent().first().cloned());
    assert_eq!((&sent["title"], &sent["body"]), (&json!("enter"), &json!(format!("coffee at shop {zone}"))));
}

/// A send to these phones, once it is done.
fn sent(world: &World, phones: &[String], meanwhile: impl FnOnce(&str)) -> Value {
    let body = json!({"app": "shop", "device_ids": phones, "message": {"title": "Hello"}});
    let path = format!("/v1/sends/{}", id(&world.api.expect(202, "POST", "/v1/sends", Some(&body))));
    meanwhile(&path);
    until("the send is done", || Some(world.api.get(&path)).filter(|send| send["status"] == "done"))
}

#[test]
fn an_apps_rate_and_a_tenants_quota_are_others_from_the_next_push_on() {
    let world = World::start();
    let rate = |per_minute: u32| {
        let mut app = world.sandbox.app.clone();
        app["fcm"]["per_minute"] = json!(per_minute);
        world.api.expect(200, "PUT", "/v1/apps/shop", Some(&app));
    };
    let quota = |per_day: u32| {
        let settings = json!({"detect_crossings": false, "quota_per_day": per_day});
        world.api.expect(200, "PUT", "/v1/settings", Some(&settings));
    };
    let phones: Vec<String> = (0..200).map(|n| format!("phone-{n}")).collect();
    phones.iter().for_each(|phone| world.phone(phone));
    // One a second: it would take longer than anything is waited for.
    rate(60);
    let done = sent(&world, &phones, |path| {
        until("some are taken", || (world.sandbox.sent().len() >= 3).then_some(()));
        assert_ne!(world.api.get(path)["pending"], 0);
        rate(600_000);
    });
    assert_eq!(done["accepted"], 200, "{done}");

    quota(2);
    let done = sent(&world, &phones[..8], |_| ());
    let accepted = done["accepted"].as_i64().expect("a count");
    assert!(accepted <= 2 && done["suppressed"] == 8 - accepted, "{done}");
    quota(1_000_000);
    let done = sent(&world, &phones[8..16], |_| ());
    assert_eq!(done["accepted"], 8, "{done}");
}
