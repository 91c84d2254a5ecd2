//! What waits for the end of quiet hours.

use geopush_dispatcher::plan::decide::{Cause, Decision, MOST_HELD, Verdict};
use geopush_model::{
    CampaignStatus, ExitReason, PlanState, QuietHours, QuietHoursThen, Reason, TransitionKind, UnixMillis,
    Wire as _,
};

use crate::house::{NOW, transition};
use crate::limits::window;
use crate::scene::{DAY, HOUR, Scene, cause, decided, reason, reasons, send_cause};

const ENTER: TransitionKind = TransitionKind::Enter;

/// It is midnight, and quiet until eight.
fn night() -> Scene {
    let mut scene = Scene::new();
    let window = window("22:00", "08:00");
    scene.settings.quiet_hours = Some(QuietHours { window, then: QuietHoursThen::Hold });
    scene.campaign().message.title = "{{ transition.kind }}".into();
    scene
}

fn enter(seq: u64) -> Cause {
    cause(&transition("d1", seq, ENTER, i64::try_from(seq).unwrap() - 1))
}

#[test]
fn what_happens_at_night_is_pushed_in_the_morning() {
    let mut scene = night();
    let mut state = PlanState::default();
    let morning = UnixMillis(NOW + 8 * HOUR);
    for cause in [enter(1), send_cause(9)] {
        assert_eq!(decided(scene.decide(&mut state, &cause)), [Decision::Held { until: morning }]);
        assert_eq!(scene.decide(&mut state, &cause), Verdict::Seen);
    }
    assert_eq!((state.held.len(), state.pushed_at.len(), state.cooldowns.len()), (2, 0, 0));
    state = PlanState::decode(&state.encode()).unwrap();
    scene.now = UnixMillis(morning.0 - 1);
    assert_eq!(scene.release(&mut state), []);
    // The phone was not late: the night does not make it stale.
    scene.now = morning;
    let released = scene.release(&mut state);
    let [Decision::Push(first), Decision::Push(second)] = &released[..] else { panic!("{released:?}") };
    assert_eq!(
        (first.created_at, first.received_at, first.expires_at.0),
        (morning, Some(UnixMillis(NOW)), morning.0 + 60_000)
    );
    assert_eq!((first.message.title.as_str(), second.message.title.as_str()), ("enter", "Hi"));
    assert_eq!((scene.release(&mut state), state.held.len()), (vec![], 0));
}

#[test]
fn in_the_morning_everything_is_checked_again() {
    let told = |change: &dyn Fn(&mut Scene)| {
        let mut scene = night();
        let mut state = PlanState::default();
        scene.decide(&mut state, &enter(1));
        scene.now = UnixMillis(NOW + 8 * HOUR);
        change(&mut scene);
        let released = scene.release(&mut state);
        assert_eq!(released.len(), 1);
        reason(&released[0])
    };
    assert_eq!(told(&|_| {}), None);
    assert_eq!(told(&|scene| scene.campaign().status = CampaignStatus::Paused), Some(Reason::Cancelled));
    assert_eq!(told(&|scene| scene.campaign().deleted = true), Some(Reason::Cancelled));
    assert_eq!(told(&|scene| scene.device = None), Some(Reason::NoDevice));
    assert_eq!(told(&|scene| scene.device().push_consent = false), Some(Reason::NoConsent));
    assert_eq!(told(&|scene| scene.campaign().ends_at = Some(UnixMillis(NOW))), Some(Reason::Hours));
    assert_eq!(told(&|scene| scene.settings.caps.per_day = Some(0)), Some(Reason::Capped));
    assert_eq!(told(&|scene| scene.settings.quiet_hours = None), None);
    let cancelled = |scene: &mut Scene| scene.is_cancelled = true;
    let mut scene = night();
    let mut state = PlanState::default();
    scene.decide(&mut state, &send_cause(9));
    scene.now = UnixMillis(NOW + 8 * HOUR);
    cancelled(&mut scene);
    assert_eq!(scene.release(&mut state).iter().map(reason).collect::<Vec<_>>(), [Some(Reason::Cancelled)]);
}

#[test]
fn a_phone_that_was_late_is_stale_whenever_it_is_quiet() {
    let scene = night();
    let late = cause(&transition("d1", 1, ENTER, -901));
    assert_eq!(reasons(scene.decide(&mut PlanState::default(), &late)), [Some(Reason::Stale)]);
}

#[test]
fn of_a_night_full_of_enters_the_cooldown_lets_one_through() {
    let mut scene = night();
    scene.campaign().cooldown_s = 3_600;
    let mut state = PlanState::default();
    for seq in 1..=3 {
        assert!(matches!(decided(scene.decide(&mut state, &enter(seq)))[..], [Decision::Held { .. }]));
    }
    scene.now = UnixMillis(NOW + 8 * HOUR);
    let told: Vec<_> = scene.release(&mut state).iter().map(reason).collect();
    assert_eq!(told, [None, Some(Reason::Cooldown), Some(Reason::Cooldown)]);
}

#[test]
fn who_travels_into_another_night_waits_again_but_not_for_ever() {
    let mut scene = night();
    let mut state = PlanState::default();
    scene.decide(&mut state, &enter(1));
    let held_at = state.held[0].held_at;
    for hours in [8, 23] {
        scene.now = UnixMillis(NOW + hours * HOUR);
        scene.device().timezone = Some(if hours == 8 { "Asia/Tokyo" } else { "UTC" }.to_owned());
        scene.settings.quiet_hours.as_mut().unwrap().window =
            if hours == 8 { window("17:00", "16:00") } else { window("22:00", "21:00") };
        assert!(matches!(scene.release(&mut state)[..], [Decision::Held { .. }]), "{hours}");
        assert_eq!(state.held[0].held_at, held_at);
        state.held[0].until = scene.now;
    }
    scene.now = UnixMillis(NOW + 2 * DAY);
    let told: Vec<_> = scene.release(&mut state).iter().map(reason).collect();
    assert_eq!(told, [Some(Reason::QuietHours)]);
}

#[test]
fn no_device_holds_more_than_its_share_and_no_hours_are_quiet_for_ever() {
    let mut scene = night();
    let mut state = PlanState::default();
    for seq in 1..=MOST_HELD as u64 {
        assert!(matches!(decided(scene.decide(&mut state, &enter(seq)))[..], [Decision::Held { .. }]));
    }
    assert_eq!(reasons(scene.decide(&mut state, &enter(1_000))), [Some(Reason::QuietHours)]);
    scene.settings.quiet_hours.as_mut().unwrap().window = window("12:00", "12:00");
    assert_eq!(reasons(scene.decide(&mut PlanState::default(), &enter(1))), [Some(Reason::QuietHours)]);
}

#[test]
fn what_is_held_for_a_device_that_is_removed_ends_with_it() {
    let scene = night();
    let mut state = PlanState::default();
    scene.decide(&mut state, &enter(1));
    scene.decide(&mut state, &send_cause(9));
    let removed = cause(&transition("d1", 2, TransitionKind::Exit(ExitReason::DeviceRemoved), 5));
    let told = reasons(scene.decide(&mut state, &removed));
    assert_eq!((told, state.held.len()), (vec![Some(Reason::NoDevice); 2], 0));
}
