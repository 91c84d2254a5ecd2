//! What stands between a cause and a push, in its order: a row a reason.

use std::cell::Cell;

use geopush_dispatcher::plan::decide::{Decision, Verdict};
use geopush_model::{
    Caps, DailyWindow, Hours, Message, PlanState, QuietHours, QuietHoursThen, Reason, Text, TransitionKind,
    UnixMillis, Variant, Weekday,
};
use geopush_registry::Device;
use serde_json::json;

use crate::house::{NOW, campaign, transition, zone_trigger};
use crate::scene::{DAY, HOUR, MINUTE, Scene, cause, decided, push, reason, reasons, send_cause};

const ENTER: TransitionKind = TransitionKind::Enter;

pub fn window(from: &str, to: &str) -> DailyWindow {
    DailyWindow { from: from.parse().unwrap(), to: to.parse().unwrap() }
}

/// A step that puts one thing in order.
type Mend = fn(&mut Scene, &mut PlanState);

/// Everything is wrong at first; each row is the reason that is told, and what mends it.
#[test]
fn the_first_of_all_reasons_is_told() {
    let rows: [(Reason, Mend); 14] = [
        (Reason::Stale, |scene, _| zone_trigger(scene.campaign()).max_age_s = None),
        (Reason::NoDevice, |scene, _| {
            let device = Scene::new().device.unwrap();
            scene.device = Some(Device { push_consent: false, push_token: None, ..device });
        }),
        (Reason::Hours, |scene, _| scene.campaign().starts_at = None),
        (Reason::Hours, |scene, _| scene.campaign().ends_at = None),
        (Reason::Hours, |scene, _| scene.campaign().hours = None),
        (Reason::Audience, |scene, _| scene.device().tags.push("vip".to_owned())),
        (Reason::NoConsent, |scene, _| scene.device().push_consent = true),
        (Reason::NoToken, |scene, _| scene.device().push_token = Some("secret".to_owned())),
        (Reason::NoApp, |scene, _| scene.providers = Scene::new().providers),
        (Reason::Cooldown, |_, state| state.cooldowns.clear()),
        (Reason::Holdout, |scene, state| {
            scene.campaign().holdout_percent = 0;
            state.cooldowns.clear();
        }),
        (Reason::Capped, |_, state| state.pushed_at.clear()),
        (Reason::QuietHours, |scene, _| scene.settings.quiet_hours = None),
        (Reason::Quota, |scene, _| scene.quota = Some(Cell::new(1))),
    ];
    let enter = cause(&transition("d1", 1, ENTER, -901));
    let mut scene = Scene { device: None, providers: None, quota: Some(Cell::new(0)), ..Scene::new() };
    scene.settings.caps.per_hour = Some(1);
    let whole_day = window("00:00", "00:00");
    scene.settings.quiet_hours = Some(QuietHours { window: whole_day, then: QuietHoursThen::Drop });
    let campaign = scene.campaign();
    campaign.starts_at = Some(UnixMillis(NOW + 1));
    campaign.ends_at = Some(UnixMillis(NOW));
    campaign.hours = Some(Hours { window: window("01:00", "02:00"), weekdays: vec![] });
    campaign.audience = Some(json!({"tag": "vip"}));
    campaign.cooldown_s = 60;
    campaign.holdout_percent = 100;
    campaign.message.title = "{{ device.attributes.name }}".to_owned();
    let mut state = PlanState::default();
    state.cooldowns.insert(campaign.id, UnixMillis(NOW - 901_000));
    state.pushed_at.push(UnixMillis(NOW));
    for (i, (expected, mend)) in rows.into_iter().enumerate() {
        assert_eq!(reasons(scene.decide(&mut state.clone(), &enter)), [Some(expected)], "row {i}");
        mend(&mut scene, &mut state);
    }
    assert_eq!(reasons(scene.decide(&mut state.clone(), &enter)), [Some(Reason::Template)]);
    assert_eq!(scene.quota.as_ref().unwrap().get(), 1, "what fails takes none of the quota");
    scene.device().attributes.insert("name".to_owned(), "Zoë".into());
    let pushed = push(scene.decide(&mut state, &enter));
    assert_eq!((pushed.message.title.as_str(), scene.quota.unwrap().get()), ("Zoë", 0));
}

#[test]
fn what_stands_between_a_send_and_a_push_has_its_order_too() {
    let rows: [(Reason, Mend); 7] = [
        (Reason::Cancelled, |scene, _| scene.is_cancelled = false),
        (Reason::NoDevice, |scene, _| {
            let device = Scene::new().device.unwrap();
            scene.device = Some(Device { push_consent: false, push_token: None, ..device });
        }),
        (Reason::NoConsent, |scene, _| scene.device().push_consent = true),
        (Reason::NoToken, |scene, _| scene.device().push_token = Some("secret".to_owned())),
        (Reason::NoApp, |scene, _| scene.providers = Scene::new().providers),
        (Reason::QuietHours, |scene, _| scene.settings.quiet_hours = None),
        (Reason::Quota, |scene, _| scene.quota = None),
    ];
    let quota = Some(Cell::new(0));
    let mut scene = Scene { is_cancelled: true, device: None, providers: None, quota, ..Scene::new() };
    let window = window("00:00", "00:00");
    scene.settings.quiet_hours = Some(QuietHours { window, then: QuietHoursThen::Drop });
    scene.settings.caps.per_hour = Some(0);
    let mut state = PlanState::default();
    for (expected, mend) in rows {
        assert_eq!(reasons(scene.decide(&mut state.clone(), &send_cause(5))), [Some(expected)]);
        mend(&mut scene, &mut state);
    }
    push(scene.decide(&mut state, &send_cause(5)));
    assert_eq!((state.pushed_at.len(), state.cooldowns.len()), (0, 0), "a send counts for no campaign");
}

#[test]
fn hours_go_by_the_devices_clock_or_else_the_tenants() {
    // It is 2026-01-01T00:00Z, a Thursday: 01:00 in Madrid, and 19:00 on Wednesday in New York.
    let pushes = |device: Option<&str>, tenant: Option<&str>, window, weekdays: &[Weekday]| {
        let mut scene = Scene::new();
        scene.device().timezone = device.map(str::to_owned);
        scene.settings.timezone = tenant.map(str::to_owned);
        scene.campaign().hours = Some(Hours { window, weekdays: weekdays.to_vec() });
        reasons(scene.decide(&mut PlanState::default(), &cause(&transition("d1", 1, ENTER, 0)))) == [None]
    };
    let (madrid, york) = (Some("Europe/Madrid"), Some("America/New_York"));
    assert!(pushes(madrid, york, window("01:00", "01:01"), &[]));
    assert!(pushes(None, madrid, window("01:00", "01:01"), &[Weekday::Thu]));
    assert!(!pushes(None, madrid, window("01:00", "01:01"), &[Weekday::Wed]));
    assert!(pushes(york, None, window("19:00", "20:00"), &[Weekday::Wed]));
    assert!(pushes(None, None, window("00:00", "00:01"), &[]));
    assert!(pushes(Some("Nowhere/Land"), madrid, window("01:00", "01:01"), &[]), "as if it had not said");
}

#[test]
fn a_campaign_pushes_from_its_begin_to_its_end() {
    let told = |starts: i64, ends: i64| {
        let mut scene = Scene::new();
        scene.campaign().starts_at = Some(UnixMillis(NOW + starts));
        scene.campaign().ends_at = Some(UnixMillis(NOW + ends));
        reasons(scene.decide(&mut PlanState::default(), &cause(&transition("d1", 1, ENTER, 0))))[0]
    };
    assert_eq!(told(0, 1), None);
    assert_eq!(told(1, 2), Some(Reason::Hours));
    assert_eq!(told(-1, 0), Some(Reason::Hours));
}

#[test]
fn caps_count_all_campaigns_and_some_ignore_them() {
    let mut scene = Scene::new();
    scene.settings.caps = Caps { per_hour: Some(2), ..Caps::default() };
    scene.campaigns = (1..=3).map(campaign).collect();
    scene.campaigns[2].ignores_caps = true;
    scene.campaigns.iter_mut().for_each(|campaign| zone_trigger(campaign).max_age_s = None);
    let mut state = PlanState::default();
    let mut told = |seq, after| {
        scene.now = UnixMillis(NOW + after);
        reasons(scene.decide(&mut state, &cause(&transition("d1", seq, ENTER, 0))))
    };
    let capped = Some(Reason::Capped);
    assert_eq!(told(1, 0), [None, None, None]);
    assert_eq!(told(2, HOUR - 1), [capped, capped, None]);
    assert_eq!(told(3, HOUR), [None, capped, None], "what ignores the caps counts all the same");
}

#[test]
fn who_is_held_out_is_asked_as_often_as_the_others() {
    let mut scene = Scene::new();
    scene.campaign().holdout_percent = 100;
    scene.campaign().cooldown_s = 60;
    scene.campaign().variants = vec![Variant { name: "a".into(), weight: 1, message: campaign(1).message }];
    let mut state = PlanState::default();
    let first = decided(scene.decide(&mut state, &cause(&transition("d1", 1, ENTER, 0))));
    let [Decision::Suppressed(delivery)] = &first[..] else { panic!("{first:?}") };
    assert_eq!((delivery.reason, &delivery.variant), (Some(Reason::Holdout), &None));
    assert_eq!(
        reasons(scene.decide(&mut state, &cause(&transition("d1", 2, ENTER, 59)))),
        [Some(Reason::Cooldown)]
    );
    assert_eq!(state.pushed_at, [], "no push, nothing that caps count");
}

#[test]
fn a_push_says_what_its_variant_says_in_the_devices_language() {
    let mut scene = Scene::new();
    let message = Message {
        title: "{{ zone.name }}".into(),
        body: "Hi {{ device.attributes.name | default('you') }}".into(),
        data: [("kind".into(), "{{ transition.kind }} {{ zone.external_id }} {{ transition.at }}".into())]
            .into(),
        translations: [("es".into(), Text { title: "Hola".into(), body: "{{ zone.tags | join }}".into() })]
            .into(),
        ttl_s: Some(7),
        ..Message::default()
    };
    scene.campaign().variants = vec![Variant { name: "b".into(), weight: 1, message }];
    scene.zone_tags = vec!["food".to_owned()];
    let pushed = push(scene.decide(&mut PlanState::default(), &cause(&transition("d1", 1, ENTER, 0))));
    assert_eq!((pushed.variant.as_deref(), pushed.expires_at.0), (Some("b"), NOW + 7_000));
    assert_eq!((pushed.message.title.as_str(), pushed.message.body.as_str()), ("The shop", "Hi you"));
    assert_eq!(pushed.message.data["kind"], "enter shop-1 2026-01-01T00:00:00.000Z");
    scene.device().locale = Some("es-MX".to_owned());
    let pushed = push(scene.decide(&mut PlanState::default(), &cause(&transition("d1", 1, ENTER, 0))));
    assert_eq!((pushed.message.title.as_str(), pushed.message.body.as_str()), ("Hola", "food"));
    assert!(pushed.message.translations.is_empty());
}

#[test]
fn a_template_that_fails_stops_that_push_alone() {
    let mut scene = Scene::new();
    scene.campaigns = (1..=3).map(campaign).collect();
    scene.campaigns[0].message.title = "{{ device.attributes.missing }}".into();
    scene.campaigns[1].message.title = "{{ broken".into();
    scene.campaigns[0].cooldown_s = 60;
    scene.settings.caps.per_day = Some(9);
    let mut state = PlanState::default();
    let told = reasons(scene.decide(&mut state, &cause(&transition("d1", 1, ENTER, 0))));
    assert_eq!(told, [Some(Reason::Template), Some(Reason::Template), None]);
    assert_eq!(
        (state.cooldowns.len(), state.pushed_at.len()),
        (0, 1),
        "only a push begins a cooldown and counts"
    );
}

#[test]
fn what_triggers_nothing_leaves_no_trace() {
    let mut scene = Scene::new();
    scene.campaigns.clear();
    let mut state = PlanState::default();
    let verdict = scene.decide(&mut state, &cause(&transition("d1", 1, ENTER, 0)));
    assert_eq!((verdict, state), (Verdict::Untriggered, PlanState::default()));
}

#[test]
fn quiet_hours_go_by_the_devices_clock_and_some_ignore_them() {
    let mut scene = Scene::new();
    let then = QuietHoursThen::Drop;
    scene.settings.quiet_hours = Some(QuietHours { window: window("22:00", "08:00"), then });
    scene.campaigns.push(campaign(2));
    scene.campaigns[1].ignores_quiet_hours = true;
    let told = |scene: &Scene| {
        reasons(scene.decide(&mut PlanState::default(), &cause(&transition("d1", 1, ENTER, 0))))
    };
    assert_eq!(told(&scene), [Some(Reason::QuietHours), None]);
    scene.device().timezone = Some("America/New_York".to_owned());
    assert_eq!(told(&scene), [None, None]);
    scene.now = UnixMillis(NOW + 3 * HOUR - MINUTE);
    scene.campaigns.iter_mut().for_each(|campaign| zone_trigger(campaign).max_age_s = Some(DAY));
    assert_eq!(told(&scene), [None, None]);
    scene.now = UnixMillis(NOW + 3 * HOUR);
    let decisions = decided(scene.decide(&mut PlanState::default(), &cause(&transition("d1", 1, ENTER, 0))));
    assert_eq!(reason(&decisions[0]), Some(Reason::QuietHours));
}
