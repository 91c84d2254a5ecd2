//! What holds whatever happens.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};

use geopush_campaign::{is_held_out, variant_of};
use geopush_dispatcher::plan::decide::{Decision, Verdict};
use geopush_model::{
    Caps, CauseId, PlanState, QuietHours, QuietHoursThen, Reason, TransitionKind, UnixMillis, Variant,
    Wire as _,
};
use proptest::prelude::*;
use uuid::Uuid;

use crate::house::{campaign, transition, zone_trigger};
use crate::scene::{DAY, HOUR, Scene, cause, decided, device_id, send_cause};

const ENTER: TransitionKind = TransitionKind::Enter;

/// What happens to one device: enters some seconds apart, and from where the log is read again after a crash.
fn histories() -> impl Strategy<Value = Vec<(i64, Option<usize>)>> {
    prop::collection::vec((1..100_i64, prop::option::weighted(0.3, 0..10_usize)), 1..40)
}

proptest! {
    /// However often and from wherever the log is read again, the decisions are those of reading it once.
    #[test]
    fn replays_decide_nothing_twice_and_cooldowns_hold(history in histories(), cooldown_s in 0..300_i64) {
        let campaigns: Vec<_> = [0, cooldown_s].into_iter().zip(1..).map(|(cooldown_s, n)| {
            let mut campaign = campaign(n);
            (campaign.cooldown_s, zone_trigger(&mut campaign).max_age_s) = (cooldown_s, None);
            campaign
        }).collect();
        let mut s = -10_000;
        let enters: Vec<_> = history.iter().zip(1..).map(|((apart, _), seq)| {
            s += apart;
            transition("d1", seq, ENTER, s)
        }).collect();
        let scene = Scene { campaigns, ..Scene::new() };
        let index = scene.index();
        let run = |state: &mut PlanState, enter| match scene.decide_by(&index, state, &cause(enter)) {
            Verdict::Seen | Verdict::Untriggered => Vec::new(),
            Verdict::Decided(decisions) => decisions,
        };
        let mut state = PlanState::default();
        let once: Vec<_> = enters.iter().flat_map(|enter| run(&mut state, enter)).collect();

        let mut state = PlanState::default();
        let mut with_replays = Vec::new();
        for (i, (_, back)) in history.iter().enumerate() {
            for enter in &enters[i.saturating_sub(back.unwrap_or(0))..=i] {
                with_replays.extend(run(&mut state, enter));
            }
            if back.is_some() {
                state = PlanState::decode(&state.encode()).unwrap();
            }
        }
        prop_assert_eq!(&with_replays, &once);

        let mut ids = BTreeSet::new();
        let mut pushed: BTreeMap<Uuid, UnixMillis> = BTreeMap::new();
        for decision in &once {
            let (push, origin, is_push) = match decision {
                Decision::Push(push) => (push.id, push.origin, true),
                Decision::Suppressed(delivery) => (delivery.push, delivery.origin, false),
                Decision::Held { .. } => unreachable!("there are no quiet hours"),
            };
            prop_assert!(ids.insert(push), "two decisions for one cause");
            if is_push && origin.source.id() == Uuid::from_u128(2) {
                let at = enters.iter().find(|enter| CauseId(enter.id.0) == origin.cause).unwrap().at;
                if let Some(last) = pushed.insert(origin.source.id(), at) {
                    prop_assert!(at.since_ms(last) >= cooldown_s * 1_000);
                }
            }
        }
    }

    /// Whatever happens when, no window of an hour, a day or a week has more pushes than its cap; and each that is
    /// suppressed would have been one too many.
    #[test]
    fn no_window_ever_has_more_pushes_than_its_cap(
        apart_min in prop::collection::vec(1..400_i64, 1..120),
        per_hour in prop::option::of(1..4_u32), per_day in prop::option::of(1..8_u32), per_week in prop::option::of(1..20_u32),
    ) {
        let mut scene = Scene::new();
        scene.settings.caps = Caps { per_hour, per_day, per_week };
        zone_trigger(scene.campaign()).max_age_s = None;
        let index = scene.index();
        let (mut state, mut pushes) = (PlanState::default(), Vec::new());
        let set = [(per_hour, HOUR), (per_day, DAY), (per_week, 7 * DAY)];
        for (apart, seq) in apart_min.into_iter().zip(1..) {
            scene.now = scene.now.plus_ms(apart * 60_000);
            let within = |ms| pushes.iter().filter(|at: &&UnixMillis| scene.now.since_ms(**at) < ms).count();
            let is_full = set.iter().any(|(cap, ms)| cap.is_some_and(|cap| within(*ms) >= cap as usize));
            let enter = transition("d1", seq, ENTER, 0);
            match &decided(scene.decide_by(&index, &mut state, &cause(&enter)))[..] {
                [Decision::Push(push)] => {
                    prop_assert!(!is_full);
                    pushes.push(push.created_at);
                }
                [Decision::Suppressed(delivery)] => prop_assert!(is_full && delivery.reason == Some(Reason::Capped)),
                other => prop_assert!(false, "{:?}", other),
            }
            if seq % 7 == 0 {
                state = PlanState::decode(&state.encode()).unwrap();
            }
            prop_assert!(state.pushed_at.len() <= 200);
        }
    }

    /// What is held is decided on once, at a time that is not quiet, be it by campaigns or by sends.
    #[test]
    fn what_is_held_ends_once_and_out_of_quiet_hours(
        from in 0u32..1440, length in 1u32..1439, steps in prop::collection::vec((1..300_i64, any::<bool>()), 1..60),
    ) {
        let time = |minutes| geopush_model::TimeOfDay::of_minutes(minutes % 1440).unwrap();
        let window = geopush_model::DailyWindow { from: time(from), to: time(from + length) };
        let mut scene = Scene::new();
        scene.settings.quiet_hours = Some(QuietHours { window, then: QuietHoursThen::Hold });
        scene.settings.timezone = Some("Europe/Madrid".to_owned());
        // The week in which clocks are put forward.
        scene.now = UnixMillis(1_774_569_600_000);
        zone_trigger(scene.campaign()).max_age_s = None;
        let index = scene.index();
        let zone = geopush_campaign::time_zone("Europe/Madrid").unwrap();
        let (mut state, mut ended, mut causes) = (PlanState::default(), BTreeSet::new(), 0);
        for (i, (apart_min, is_send)) in steps.into_iter().enumerate() {
            scene.now = scene.now.plus_ms(apart_min * 60_000);
            let cause = match is_send {
                true => send_cause(1_000 + i as u128),
                false => cause(&transition("d1", i as u64 + 1, ENTER, i as i64)),
            };
            causes += 1;
            let mut decisions = scene.release(&mut state);
            decisions.extend(decided(scene.decide_by(&index, &mut state, &cause)));
            prop_assert_eq!(scene.decide_by(&index, &mut state, &cause), Verdict::Seen);
            for decision in decisions {
                match decision {
                    Decision::Push(push) => {
                        prop_assert!(!geopush_campaign::is_within(window, scene.now, &zone));
                        prop_assert!(ended.insert(push.id));
                    }
                    Decision::Suppressed(delivery) => {
                        prop_assert_eq!(delivery.reason, Some(Reason::QuietHours));
                        prop_assert!(ended.insert(delivery.push));
                    }
                    Decision::Held { until } => prop_assert!(until > scene.now),
                }
            }
            state = PlanState::decode(&state.encode()).unwrap();
            prop_assert_eq!(ended.len() + state.held.len(), causes);
        }
    }

    #[test]
    fn a_quota_is_never_exceeded_and_is_taken_by_pushes_alone(quota in 0..20_u64, causes in 1..60_u64, consent in any::<u64>()) {
        let mut scene = Scene::new();
        scene.quota = Some(Cell::new(quota));
        let index = scene.index();
        let (mut pushes, mut refused) = (0, 0);
        for n in 0..causes {
            scene.device().push_consent = consent >> (n % 64) & 1 == 1;
            for decision in decided(scene.decide_by(&index, &mut PlanState::default(), &send_cause(n.into()))) {
                match decision {
                    Decision::Push(_) => pushes += 1,
                    Decision::Suppressed(delivery) => refused += u64::from(delivery.reason == Some(Reason::Quota)),
                    Decision::Held { .. } => unreachable!("there are no quiet hours"),
                }
            }
        }
        prop_assert!(pushes <= quota);
        prop_assert_eq!(scene.quota.unwrap().get(), quota - pushes);
        prop_assert!(refused == 0 || pushes == quota);
    }
}

#[test]
fn a_devices_lot_is_its_share_and_never_changes() {
    const DEVICES: usize = 20_000;
    let variant = |name: &str, weight| Variant { name: name.into(), weight, message: campaign(1).message };
    for n in [1, 2] {
        let mut campaign = campaign(n);
        campaign.holdout_percent = 10;
        let out: Vec<bool> = (0..DEVICES).map(|i| is_held_out(&campaign, &device_id(i))).collect();
        let share = out.iter().filter(|out| **out).count();
        assert!((DEVICES / 10).abs_diff(share) < DEVICES / 100, "{share}");
        campaign.variants = vec![variant("a", 1), variant("b", 3), variant("none", 0)];
        let mut counts = [0; 3];
        for i in 0..DEVICES {
            assert_eq!(is_held_out(&campaign, &device_id(i)), out[i]);
            counts[variant_of(&campaign, &device_id(i)).unwrap().0] += 1;
        }
        assert!(counts[2] == 0 && (DEVICES / 4).abs_diff(counts[0]) < DEVICES / 50, "{counts:?}");
        // More are held out, and nobody comes back in.
        campaign.holdout_percent = 20;
        assert!((0..DEVICES).all(|i| !out[i] || is_held_out(&campaign, &device_id(i))));
    }
    // One campaign's lots say nothing of another's.
    let [one, other] = [1, 2].map(|n| {
        let mut campaign = campaign(n);
        campaign.holdout_percent = 50;
        campaign
    });
    let both =
        (0..DEVICES).filter(|i| is_held_out(&one, &device_id(*i)) && is_held_out(&other, &device_id(*i)));
    assert!((DEVICES / 4).abs_diff(both.count()) < DEVICES / 50);
    // Lots are kept by people: these must never change.
    let out: String = (0..40).map(|i| if is_held_out(&one, &device_id(i)) { '1' } else { '0' }).collect();
    assert_eq!(out, "0011001100010110100111110100110101010011");
}
