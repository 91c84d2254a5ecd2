//! What makes a campaign push other than a transition: events, schedules and absences.

use geopush_dispatcher::plan::decide::Verdict;
use geopush_model::{CampaignStatus, PlanState, PushId, Reason, Trigger, UnixMillis, Wire as _, ZoneChoice};
use serde_json::json;
use uuid::Uuid;

use crate::house::{NOW, TENANT, ZONE, campaign, id};
use crate::scene::{DAY, HOUR, Scene, event_cause, push, reasons, run_cause};

fn on_event(name: &str) -> Scene {
    let mut scene = Scene::new();
    scene.campaign().trigger = Trigger::Event { name: name.to_owned(), max_age_s: Some(60) };
    scene
}

#[test]
fn an_event_triggers_the_campaigns_of_its_name_once() {
    let mut scene = on_event("order_ready");
    scene.campaign().message.title = "{{ event.name }} {{ event.properties.table }}".into();
    let mut state = PlanState::default();
    let event = event_cause(5, "order_ready", UnixMillis(NOW), json!({"table": 7}));
    let pushed = push(scene.decide(&mut state, &event));
    assert_eq!(pushed.message.title, "order_ready 7");
    assert_eq!(pushed.origin.cause.0, Uuid::from_u128(5));
    assert_eq!(scene.decide(&mut state, &event), Verdict::Seen);
    let other = event_cause(6, "order_lost", UnixMillis(NOW), json!({}));
    assert_eq!(scene.decide(&mut state, &other), Verdict::Untriggered);
    let late = event_cause(7, "order_ready", UnixMillis(NOW - 60_001), json!({}));
    assert_eq!(reasons(scene.decide(&mut state, &late)), [Some(Reason::Stale)]);
    scene.device = None;
    let strange = event_cause(8, "order_ready", UnixMillis(NOW), json!({}));
    assert_eq!(reasons(scene.decide(&mut state, &strange)), [Some(Reason::NoDevice)]);
    scene.campaign().status = CampaignStatus::Paused;
    let paused = event_cause(9, "order_ready", UnixMillis(NOW), json!({}));
    assert_eq!(scene.decide(&mut state, &paused), Verdict::Untriggered);
}

#[test]
fn an_edited_event_is_found_by_its_new_name_alone() {
    let mut index = on_event("old").index();
    let mut edited = on_event("new").campaigns.remove(0);
    edited.version = 2;
    index.put(edited);
    assert_eq!(index.triggered_by_event(TENANT, "old").len(), 0);
    assert_eq!(index.triggered_by_event(TENANT, "new").len(), 1);
}

#[test]
fn a_run_is_for_its_audience_and_for_nobody_else() {
    let mut scene = Scene::new();
    scene.campaign().trigger = Trigger::Schedule { cron: "0 10 * * *".to_owned() };
    scene.campaign().audience = Some(json!({"tag": "vip"}));
    let mut state = PlanState::default();
    let run = run_cause(1, UnixMillis(NOW));
    assert_eq!(scene.decide(&mut state, &run), Verdict::Untriggered);
    assert_eq!(state, PlanState::default());
    scene.device().tags.push("vip".to_owned());
    let pushed = push(scene.decide(&mut state, &run));
    assert_eq!(pushed.id, PushId::of(TENANT, Uuid::from_u128(1), &id("d1"), pushed.origin.cause));
    assert_eq!(scene.decide(&mut state, &run), Verdict::Seen);
    let again = state.clone();
    push(scene.decide(&mut state, &run_cause(1, UnixMillis(NOW + DAY))));
    scene.campaign().status = CampaignStatus::Paused;
    assert_eq!(scene.decide(&mut again.clone(), &run_cause(1, UnixMillis(NOW + DAY))), Verdict::Untriggered);
    // A campaign on zones has no runs.
    scene.campaigns = vec![campaign(1)];
    assert_eq!(scene.decide(&mut PlanState::default(), &run), Verdict::Untriggered);
}

#[test]
fn an_absence_is_told_of_once_until_there_is_another() {
    let mut scene = Scene::new();
    let zones = ZoneChoice { zone_ids: vec![ZONE], zone_tags: vec![] };
    scene.campaign().trigger = Trigger::Absence { days: 30, zones };
    let mut state = PlanState::default();
    let mut look = |scene: &Scene, day: i64| {
        state = PlanState::decode(&state.encode()).unwrap();
        match scene.decide(&mut state, &run_cause(1, UnixMillis(NOW + day * DAY))) {
            Verdict::Decided(decisions) => decisions.len(),
            Verdict::Untriggered => 0,
            Verdict::Seen => panic!("it was seen"),
        }
    };
    assert_eq!(look(&scene, 0), 0, "who never came is not absent");
    scene.past.zones.insert(ZONE, UnixMillis(NOW + HOUR));
    assert_eq!([look(&scene, 29), look(&scene, 30)], [0, 0], "an hour is missing");
    assert_eq!([look(&scene, 31), look(&scene, 32), look(&scene, 90)], [1, 0, 0]);
    scene.past.zones.insert(ZONE, UnixMillis(NOW + 91 * DAY));
    assert_eq!([look(&scene, 92), look(&scene, 121), look(&scene, 122)], [0, 1, 0]);

    scene.campaign().trigger = Trigger::Absence { days: 1, zones: ZoneChoice::default() };
    let mut state = PlanState::default();
    assert_eq!(scene.decide(&mut state, &run_cause(1, UnixMillis(NOW))), Verdict::Untriggered);
    scene.past.anywhere = Some(UnixMillis(NOW - DAY));
    push(scene.decide(&mut state, &run_cause(1, UnixMillis(NOW))));
}
