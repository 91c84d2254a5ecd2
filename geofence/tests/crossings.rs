//! Zones passed between two fixes, one claim a test, each held against the engine and the reference alike.

mod fixtures;

use fixtures::claims::{check_with, shop, with};
use fixtures::events::{Event, at, change, fix_at, received, run, vague};
use fixtures::site::{START, Site};
use fixtures::*;
use geopush_geofence::engine::{Reference, Rules};
use geopush_geometry::{Position, Shape};
use geopush_log::{Record, Topic};
use geopush_model::{
    Config, ConfigItem, ExitReason, Fix, TenantSettings, TransitionKind, UnixMillis, Wire, Zone,
};

const DAY_S: i64 = 86_400;

/// Events give these transitions to a tenant that asks for crossings.
#[track_caller]
fn check(zones: &[Zone], events: &[Event], expected: &[&str]) {
    check_with(Rules::default(), true, zones, events, expected);
}

fn at_position(time_s: i64, position: Position) -> Event {
    Event::Ping { received_s: time_s, fixes: vec![fix_at(time_s, position)] }
}

/// Past the shop in 105 s at 19 m/s.
fn drive() -> [Event; 2] {
    [at(0, -1_010.0), at(105, 990.0)]
}

const PASSED: [&str; 2] = ["1 enter z1 @47 v1", "2 exit z1 @58 v1 left after 10"];

#[test]
fn a_zone_passed_between_two_fixes_is_entered_and_left() {
    check(&[shop()], &drive(), &PASSED);
    let back = [at(0, 1_010.0), at(105, -990.0)];
    check(&[shop()], &back, &PASSED);
}

#[test]
fn a_tenant_that_does_not_ask_has_no_crossings() {
    check_with(Rules::default(), false, &[shop()], &drive(), &[]);
}

#[test]
fn each_line_of_a_batch_counts() {
    let fixes = [(0, -1_010.0), (105, 990.0), (210, -1_010.0), (315, -1_011.0)];
    let fixes = fixes.into_iter().map(|(time_s, east_m)| fix_at(time_s, east(east_m))).collect();
    check(
        &[shop()],
        &[Event::Ping { received_s: 400, fixes }],
        &[PASSED[0], PASSED[1], "3 enter z1 @151 v1", "4 exit z1 @162 v1 left after 10"],
    );
}

#[test]
fn a_line_faster_than_70_metres_a_second_is_not_believed() {
    let far = |time_s| [at(0, -1_000.0), at(time_s, 1_000.0)];
    check(&[shop()], &far(28), &[]);
    check(&[shop()], &far(29), &["1 enter z1 @13 v1", "2 exit z1 @15 v1 left after 2"]);
}

#[test]
fn a_line_of_more_than_two_minutes_is_not_believed() {
    check(&[shop()], &[at(0, -1_010.0), at(121, 990.0)], &[]);
    check(
        &[shop()],
        &[at(0, -1_010.0), at(120, 990.0)],
        &["1 enter z1 @54 v1", "2 exit z1 @66 v1 left after 12"],
    );
    let just = |more_ms: i64| {
        let later = Fix::at(east(990.0), UnixMillis(120_000 + more_ms));
        [at(0, -1_010.0), Event::Ping { received_s: 121, fixes: vec![later] }]
    };
    check(&[shop()], &just(1), &[]);
    check(&[shop()], &just(0), &["1 enter z1 @54 v1", "2 exit z1 @66 v1 left after 12"]);
}

#[test]
fn the_later_fix_must_be_as_accurate_as_the_zone_asks() {
    check(&[shop()], &[at(0, -1_010.0), vague(105, 990.0, 201.0)], &[]);
    check(&[shop()], &[at(0, -1_010.0), vague(105, 990.0, 200.0)], &PASSED);
    check(&[shop()], &[vague(0, -1_010.0, 5_000.0), at(105, 990.0)], &PASSED);
    let lenient = with(shop(), |z| z.max_accuracy_m = Some(5_000.0));
    check(&[lenient], &[at(0, -1_010.0), vague(105, 990.0, 201.0)], &PASSED);
}

#[test]
fn a_member_passes_nothing_of_its_zone() {
    // In the exit buffer on both sides.
    check(&[shop()], &[at(0, 0.0), at(10, 110.0), at(20, -110.0)], &["1 enter z1 @0 v1 initial"]);
}

#[test]
fn a_line_from_or_to_a_place_inside_passes_nothing() {
    check(&[shop()], &[at(0, -300.0), at(10, 0.0)], &["1 enter z1 @10 v1"]);
    // Inside without being a member: it was not accurate enough.
    check(&[shop()], &[at(0, -300.0), vague(10, 0.0, 500.0), at(20, 300.0)], &[]);
    check(
        &[shop()],
        &[at(0, 0.0), at(10, 300.0)],
        &["1 enter z1 @0 v1 initial", "2 exit z1 @10 v1 left after 10"],
    );
}

#[test]
fn whoever_has_left_may_pass() {
    check(
        &[shop()],
        &[at(0, 0.0), at(10, 300.0), at(31, -310.0)],
        &[
            "1 enter z1 @0 v1 initial",
            "2 exit z1 @10 v1 left after 10",
            "3 enter z1 @16 v1",
            "4 exit z1 @23 v1 left after 6",
        ],
    );
}

#[test]
fn to_touch_a_border_is_to_pass() {
    let square = [with(shop(), |z| z.shape = Shape::polygon(vec![square(0.0, 100.0)]).unwrap())];
    let along =
        |north_m| [at_position(0, position(-303.0, north_m)), at_position(61, position(303.0, north_m))];
    check(&square, &along(100.0), &["1 enter z1 @20 v1", "2 exit z1 @40 v1 left after 20"]);
    check(&square, &along(100.001), &[]);
    // At one corner, in and out at once.
    let corner = [at_position(0, position(0.0, 200.0)), at_position(11, position(200.0, 0.0))];
    check(&square, &corner, &["1 enter z1 @5 v1", "2 exit z1 @5 v1 left after 0"]);
}

#[test]
fn out_of_a_hole_is_through_the_zone() {
    let ring = Shape::polygon(vec![square(0.0, 500.0), square(0.0, 200.0)]).unwrap();
    check(
        &[with(shop(), |z| z.shape = ring)],
        &[at(0, 0.0), at(61, 605.0)],
        &["1 enter z1 @20 v1", "2 exit z1 @50 v1 left after 30"],
    );
}

#[test]
fn a_line_goes_the_short_way_over_the_antimeridian() {
    let at_lon = |lon| Position::new(lon, 0.0).unwrap();
    let there = with(shop(), |z| z.shape = Shape::circle(at_lon(180.0), 100.0).unwrap());
    let on_the_long_way = with(zone(2, circle(0.0, 100.0)), |z| z.max_accuracy_m = Some(5_000.0));
    for (from, to) in [(179.99, -179.99), (-179.99, 179.99)] {
        check(
            &[there.clone(), on_the_long_way.clone()],
            &[at_position(0, at_lon(from)), at_position(101, at_lon(to))],
            &["1 enter z1 @45 v1", "2 exit z1 @55 v1 left after 9"],
        );
    }
}

#[test]
fn zones_are_passed_in_the_order_of_time_then_of_ids() {
    let row = [zone(1, circle(500.0, 100.0)), zone(2, circle(0.0, 100.0)), zone(3, circle(0.0, 100.0))];
    check(
        &row,
        &[at(0, -1_010.0), at(105, 990.0)],
        &[
            "1 enter z2 @47 v1",
            "2 enter z3 @47 v1",
            "3 exit z2 @58 v1 left after 10",
            "4 exit z3 @58 v1 left after 10",
            "5 enter z1 @74 v1",
            "6 exit z1 @84 v1 left after 10",
        ],
    );
}

#[test]
fn what_was_passed_comes_before_the_fixs_own_transitions() {
    check(
        &[zone(1, circle(1_000.0, 100.0)), zone(2, circle(0.0, 100.0)), zone(3, circle(-600.0, 100.0))],
        &[at(0, -600.0), at(105, 1_000.0)],
        &[
            "1 enter z3 @0 v1 initial",
            "2 enter z2 @32 v1",
            "3 exit z2 @45 v1 left after 13",
            "4 exit z3 @105 v1 left after 105",
            "5 enter z1 @105 v1",
        ],
    );
}

#[test]
fn what_was_passed_never_dwells() {
    let shop = with(shop(), |z| z.dwell_s = Some(1));
    check(&[shop], &drive(), &PASSED);
}

#[test]
fn late_fixes_and_first_ones_pass_nothing() {
    let [from, to] = drive();
    check(&[shop()], &[to.clone(), from], &[]);
    check(&[shop()], &[to], &[]);
    let deleted = Event::Forget { received_s: 50 };
    let [from, to] = drive();
    check(&[shop()], &[from, deleted, to], &[]);
    // Forgotten by its silence.
    let now_s = 31 * DAY_S;
    check(&[shop()], &[at(0, -1_010.0), received(now_s, 105, 990.0)], &[]);
}

#[test]
fn stays_that_expired_come_before_what_was_passed() {
    check_with(
        Rules { expire_after_ms: 1_000, ..Rules::default() },
        true,
        &[shop(), zone(2, circle(600.0, 100.0))],
        &[at(0, 0.0), at(105, 1_480.0)],
        &[
            "1 enter z1 @0 v1 initial",
            "2 exit z1 @1 v1 expired after 1",
            "3 enter z2 @35 v1",
            "4 exit z2 @49 v1 left after 14",
        ],
    );
}

#[test]
fn a_zone_is_passed_as_it_is_now() {
    let [from, to] = drive();
    let edited = |edit: fn(&mut Zone)| change(edited(&shop(), 50, edit));
    check(&[shop()], &[from.clone(), edited(|z| z.active = false), to.clone()], &[]);
    check(
        &[shop()],
        &[from, edited(|z| z.name.push('x')), to],
        &["1 enter z1 @47 v2", "2 exit z1 @58 v2 left after 10"],
    );
}

#[test]
fn crossings_say_which_fix_showed_them_and_when_to_the_millisecond() {
    let mut engine = Engine::new(Rules::default(), true);
    engine.zone_changed(shop());
    let fix = |time_ms, east_m| Fix {
        id: Some(format!("{time_ms}")),
        ..Fix::at(east(east_m), UnixMillis(time_ms))
    };
    let fixes = vec![fix(1_003, -1_000.0), fix(101_003, 1_000.5)];
    let passed = engine.ping(&ping("d", UnixMillis(150_000), fixes));
    let times: Vec<_> = passed.iter().map(|t| (t.kind, t.at.0, t.dwell_s)).collect();
    // At 900 m and at 1100 m of 2000.5, in 100 s.
    let left = TransitionKind::Exit(ExitReason::Left);
    assert_eq!(times, [(TransitionKind::Enter, 1_003 + 44_988, None), (left, 1_003 + 54_986, Some(9))]);
    for transition in &passed {
        assert_eq!(transition.fix, fix(101_003, 1_000.5));
        assert_eq!((transition.received_at, transition.initial), (Some(UnixMillis(150_000)), false));
        assert_eq!(transition.zone_external_id.as_deref(), Some("zone-1"));
    }
    assert!(engine.written_down()[0].stays.is_empty());
    assert_eq!(engine.devices.stays(), 0);
    assert!(engine.devices.members_of(shop().id).is_empty());
}

/// It was where nothing is near, so it has a box in which no zone is looked for; the line leads out of it.
#[test]
fn a_line_out_of_a_quiet_place_is_looked_at() {
    let mut events = vec![at(0, -1_000.0), at(10, -990.0), at(20, -1_000.0)];
    events.push(at(120, 1_010.0));
    check(&[shop()], &events, &["1 enter z1 @64 v1", "2 exit z1 @74 v1 left after 9"]);
    let mut engine = Engine::new(Rules::default(), true);
    run(&mut engine, &[change(shop()), events[0].clone(), events[1].clone()]);
    assert_eq!(engine.counts.safe_box_hits, 1);
}

#[tokio::test]
async fn a_tenants_choice_holds_for_its_devices_over_a_crash_between_two_fixes() {
    let mut site = Site::new().await;
    site.reference = Reference::new(TENANT, Rules::default()).detecting_crossings(true);
    let settings = TenantSettings { detect_crossings: true, ..TenantSettings::default() };
    let item = ConfigItem::Tenant(settings);
    let choice = Config { tenant: TENANT, version: 1, item };
    site.log.append(vec![Record::new(Topic::Config, choice.key(), choice.encode())]).await.unwrap();
    site.zone(shop()).await;
    let fix = |time_s: i64, east_m| vec![Fix::at(east(east_m), START.plus_ms(time_s * 1000))];

    let running = site.run();
    site.pings(&[ping("d", START, fix(0, -1_010.0))]).await;
    site.pass_markers().await;
    running.crash().await;
    let running = site.run();
    site.pings(&[ping("d", START, fix(105, 990.0))]).await;
    site.settle().await;
    assert_eq!(site.seen.iter().filter(|t| t.device.as_str() == "d").count(), 2);
    running.stop().await;
}
