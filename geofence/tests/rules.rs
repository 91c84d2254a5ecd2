//! The rules, one claim a test, each held against the engine and the reference alike.

mod fixtures;

use fixtures::claims::{check, shop, with};
use fixtures::events::{Event, Silence, at, change, fix_at, received, run, vague};
use fixtures::*;
use geopush_geofence::engine::{Device, ZoneChange};
use geopush_geometry::Shape;
use geopush_model::{DeviceState, UnixMillis, Wire};

const DAY_S: i64 = 86_400;

// Rule 1

#[test]
fn a_late_fix_never_moves_a_device_back() {
    check(
        &[shop()],
        &[at(10, 0.0), at(20, 500.0), at(15, 0.0), at(30, 600.0)],
        &["1 enter z1 @10 v1 initial", "2 exit z1 @20 v1 left after 10"],
    );
}

#[test]
fn of_fixes_of_the_same_time_the_first_wins() {
    check(&[shop()], &[at(10, 500.0), at(10, 0.0)], &[]);
}

#[test]
fn a_batch_received_twice_gives_its_transitions_once() {
    let batch = Event::Ping {
        received_s: 100,
        fixes: vec![fix_at(10, east(0.0)), fix_at(20, east(500.0)), fix_at(30, east(0.0))],
    };
    check(
        &[shop()],
        &[batch.clone(), batch],
        &["1 enter z1 @10 v1 initial", "2 exit z1 @20 v1 left after 10", "3 enter z1 @30 v1"],
    );
}

// Rule 2

#[test]
fn a_fix_less_accurate_than_200_m_gives_no_transition() {
    check(&[shop()], &[at(1, 900.0), vague(10, 0.0, 200.1), vague(20, 0.0, 200.0)], &["1 enter z1 @20 v1"]);
    check(
        &[shop()],
        &[at(10, 0.0), vague(20, 900.0, 201.0), vague(30, 900.0, 200.0)],
        &["1 enter z1 @10 v1 initial", "2 exit z1 @30 v1 left after 20"],
    );
}

#[test]
fn an_inaccurate_fix_does_not_dwell() {
    let shop = with(shop(), |z| z.dwell_s = Some(60));
    check(
        &[shop],
        &[at(0, 0.0), vague(70, 0.0, 500.0), at(80, 0.0)],
        &["1 enter z1 @0 v1 initial", "2 dwell z1 @80 v1 after 80"],
    );
}

#[test]
fn each_zone_asks_for_its_own_accuracy() {
    let strict = with(shop(), |z| z.max_accuracy_m = Some(10.0));
    let lenient = with(zone(2, circle(0.0, 100.0)), |z| z.max_accuracy_m = Some(5_000.0));
    check(&[strict, lenient], &[vague(10, 0.0, 50.0)], &["1 enter z2 @10 v1 initial"]);
}

#[test]
fn an_inaccurate_fix_is_the_last_fix_all_the_same() {
    check(&[shop()], &[at(0, 900.0), vague(20, 0.0, 500.0), at(10, 0.0)], &[]);
}

#[test]
fn an_inaccurate_first_fix_uses_up_the_initial_enter() {
    check(&[shop()], &[vague(10, 0.0, 500.0), at(20, 0.0)], &["1 enter z1 @20 v1"]);
}

// Rules 3 and 4

#[test]
fn the_border_of_a_circle_is_inside() {
    for (east_m, inside) in [(99.99, true), (100.01, false)] {
        let expected: &[&str] = if inside { &["1 enter z1 @10 v1 initial"] } else { &[] };
        check(&[shop()], &[at(10, east_m)], expected);
    }
    let edge = with(shop(), |z| z.shape = Shape::polygon(vec![square(0.0, 100.0)]).unwrap());
    check(&[edge], &[at(10, 100.0)], &["1 enter z1 @10 v1 initial"]);
}

#[test]
fn a_member_leaves_only_beyond_the_exit_buffer() {
    // The default of a circle is 20 m or a tenth of its radius, of a polygon 20 m.
    let buffers = [
        (shop(), 120.0),
        (with(shop(), |z| z.shape = circle(0.0, 1000.0)), 1100.0),
        (with(shop(), |z| z.shape = Shape::polygon(vec![square(0.0, 100.0)]).unwrap()), 120.0),
        (with(shop(), |z| z.exit_buffer_m = Some(50.0)), 150.0),
        (with(shop(), |z| z.exit_buffer_m = Some(0.0)), 100.0),
    ];
    for (zone, limit_m) in buffers {
        check(
            &[zone],
            &[at(10, 0.0), at(20, limit_m - 0.2), at(30, limit_m + 0.2)],
            &["1 enter z1 @10 v1 initial", "2 exit z1 @30 v1 left after 20"],
        );
    }
}

#[test]
fn a_device_in_the_buffer_that_was_never_in_does_not_enter() {
    check(&[shop()], &[at(10, 110.0), at(20, 119.0)], &[]);
}

#[test]
fn a_hole_is_outside() {
    let ring = Shape::polygon(vec![square(0.0, 500.0), square(0.0, 200.0)]).unwrap();
    check(
        &[with(shop(), |z| z.shape = ring)],
        &[at(10, 0.0), at(20, 300.0), at(30, 185.0), at(40, 0.0)],
        &["1 enter z1 @20 v1", "2 exit z1 @40 v1 left after 20"],
    );
}

#[test]
fn only_the_first_fix_is_initial() {
    check(
        &[shop(), zone(2, circle(500.0, 100.0))],
        &[at(10, 0.0), at(20, 500.0)],
        &["1 enter z1 @10 v1 initial", "2 exit z1 @20 v1 left after 10", "3 enter z2 @20 v1"],
    );
}

#[test]
fn an_inactive_zone_gives_nothing() {
    check(&[with(shop(), |z| z.active = false)], &[at(10, 0.0)], &[]);
}

// Rule 5

#[test]
fn a_stay_dwells_once_at_the_first_fix_that_is_late_enough() {
    let shop = with(shop(), |z| z.dwell_s = Some(60));
    check(
        &[shop],
        &[at(0, 0.0), at(59, 0.0), at(60, 0.0), at(200, 0.0), at(210, 500.0), at(220, 0.0), at(290, 0.0)],
        &[
            "1 enter z1 @0 v1 initial",
            "2 dwell z1 @60 v1 after 60",
            "3 exit z1 @210 v1 left after 210",
            "4 enter z1 @220 v1",
            "5 dwell z1 @290 v1 after 70",
        ],
    );
}

#[test]
fn a_fix_that_leaves_never_dwells() {
    let shop = with(shop(), |z| z.dwell_s = Some(60));
    check(
        &[shop],
        &[at(0, 0.0), at(100, 500.0)],
        &["1 enter z1 @0 v1 initial", "2 exit z1 @100 v1 left after 100"],
    );
}

#[test]
fn a_member_dwells_in_the_buffer_too() {
    let shop = with(shop(), |z| z.dwell_s = Some(60));
    check(
        &[shop],
        &[at(0, 0.0), at(100, 110.0)],
        &["1 enter z1 @0 v1 initial", "2 dwell z1 @100 v1 after 100"],
    );
}

#[test]
fn a_dwell_asked_for_during_a_stay_counts_from_the_enter() {
    let later = edited(&shop(), 50, |z| z.dwell_s = Some(60));
    check(
        &[shop()],
        &[at(0, 0.0), change(later), at(55, 0.0), at(61, 0.0)],
        &["1 enter z1 @0 v1 initial", "2 dwell z1 @61 v2 after 61"],
    );
}

// Rule 7

#[test]
fn a_fix_more_than_a_day_later_expires_the_stay_first() {
    check(
        &[shop()],
        &[at(0, 0.0), received(1, DAY_S + 1, 0.0)],
        &["1 enter z1 @0 v1 initial", "2 exit z1 @86400 v1 expired after 86400", "3 enter z1 @86401 v1"],
    );
}

#[test]
fn a_fix_a_day_later_to_the_millisecond_is_in_time() {
    check(&[shop()], &[at(0, 0.0), received(1, DAY_S, 0.0)], &["1 enter z1 @0 v1 initial"]);
}

#[test]
fn a_device_of_which_nothing_is_received_for_a_day_expires() {
    let silence =
        [at(0, 0.0), received(3600, 10, 0.0), Silence { now_s: DAY_S }, Silence { now_s: DAY_S + 3600 }];
    check(&[shop()], &silence, &["1 enter z1 @0 v1 initial", "2 exit z1 @86410 v1 expired after 86410"]);
}

#[test]
fn late_fixes_are_a_sign_of_life_too() {
    check(
        &[shop()],
        &[at(10, 0.0), received(DAY_S / 2, 5, 0.0), Silence { now_s: DAY_S + 20 }],
        &["1 enter z1 @10 v1 initial"],
    );
}

#[test]
fn a_silence_that_ends_before_the_timer_looked_expires_all_the_same() {
    check(
        &[shop()],
        &[at(0, 0.0), received(DAY_S + 5, 60, 0.0)],
        &["1 enter z1 @0 v1 initial", "2 exit z1 @86400 v1 expired after 86400", "3 enter z1 @60 v1"],
    );
}

#[test]
fn old_fixes_received_now_expire_nobody() {
    let now = 1_700_000_000;
    check(
        &[shop()],
        &[received(now, 0, 0.0), received(now + 1, 60, 0.0), Silence { now_s: now + 60 }],
        &["1 enter z1 @0 v1 initial"],
    );
}

#[test]
fn a_device_in_no_zone_is_forgotten_after_thirty_days() {
    for (silent_s, word) in [(30 * DAY_S - 1, ""), (30 * DAY_S, " initial")] {
        let enter = format!("1 enter z1 @{silent_s} v1{word}");
        check(&[shop()], &[at(0, 500.0), at(silent_s, 0.0)], &[&enter]);
    }
}

// Rule 8

#[test]
fn at_one_fix_exits_come_before_enters_before_dwells_each_by_zone() {
    let zones = [
        zone(6, circle(0.0, 100.0)),
        zone(5, circle(0.0, 100.0)),
        zone(4, circle(400.0, 100.0)),
        zone(3, circle(400.0, 100.0)),
        with(zone(2, circle(200.0, 5_000.0)), |z| z.dwell_s = Some(10)),
        with(zone(1, circle(200.0, 5_000.0)), |z| z.dwell_s = Some(10)),
    ];
    check(
        &zones,
        &[at(0, 0.0), at(10, 400.0)],
        &[
            "1 enter z1 @0 v1 initial",
            "2 enter z2 @0 v1 initial",
            "3 enter z5 @0 v1 initial",
            "4 enter z6 @0 v1 initial",
            "5 exit z5 @10 v1 left after 10",
            "6 exit z6 @10 v1 left after 10",
            "7 enter z3 @10 v1",
            "8 enter z4 @10 v1",
            "9 dwell z1 @10 v1 after 10",
            "10 dwell z2 @10 v1 after 10",
        ],
    );
}

#[test]
fn a_dwell_never_comes_with_its_enter() {
    let shop = with(shop(), |z| z.dwell_s = Some(0));
    check(&[shop], &[at(0, 0.0), at(1, 0.0)], &["1 enter z1 @0 v1 initial", "2 dwell z1 @1 v1 after 1"]);
}

#[test]
fn a_device_in_a_heap_of_zones_fits_into_a_record() {
    let heap =
        (0..4_000).map(|n| with(zone(n, circle(0.0, 100.0)), |z| z.external_id = Some("x".repeat(256))));
    let mut engine = Engine::default();
    let heap: Vec<_> = heap.map(|zone| ZoneChange::to(&zone)).collect();
    engine.index.apply(&heap);
    assert_eq!(run(&mut engine, &[at(10, 0.0)]).len(), Device::MOST_STAYS);
    let entry = engine.written_down()[0].to_entry();
    let state = DeviceState { devices: vec![entry], as_of: u64::MAX };
    assert!(state.encode().len() < 1_000_000 - 200, "with its key");
}

#[test]
fn another_tenants_zones_are_not_met() {
    let theirs = with(shop(), |z| z.tenant = geopush_model::TenantId(uuid::Uuid::from_u128(8)));
    let mut engine = Engine::default();
    assert_eq!(run(&mut engine, &[change(theirs), at(0, 0.0)]), [""; 0]);
}

#[test]
fn transitions_say_which_fix_and_ping_showed_them() {
    let mut engine = Engine::default();
    engine.zone_changed(shop());
    let entered = engine.ping(&ping("d", UnixMillis(77_000), vec![fix_at(10, east(0.0))]));
    let left = engine.ping(&ping("d", UnixMillis(78_000), vec![fix_at(20, east(500.0))]));
    assert_eq!((entered[0].fix.time, entered[0].received_at), (UnixMillis(10_000), Some(UnixMillis(77_000))));
    assert_eq!((left[0].fix.time, left[0].received_at), (UnixMillis(20_000), Some(UnixMillis(78_000))));
    assert_eq!([entered[0].incarnation, left[0].incarnation], [UnixMillis(77_000); 2]);
    engine.ping(&ping("d", UnixMillis(79_000), vec![fix_at(30, east(0.0))]));
    let removed = engine.zone_changed(edited(&shop(), 99, |z| z.deleted = true));
    assert_eq!((removed[0].fix.time, removed[0].received_at), (UnixMillis(30_000), None));
}
