//! Rule 6, one claim a test: what a change of its zones, or its own deletion, means for a device.

mod fixtures;

use fixtures::claims::{check, shop, with};
use fixtures::events::{Forget, at, change, run, vague};
use fixtures::*;
use geopush_geofence::engine::ZoneChange;
use geopush_model::Removal;

#[test]
fn a_removed_zone_is_left_at_the_later_of_removal_and_last_fix() {
    for (removed_s, at_s) in [(50, 50), (5, 10)] {
        let deleted = edited(&shop(), removed_s, |z| z.deleted = true);
        let inactive = edited(&shop(), removed_s, |z| z.active = false);
        for removed in [deleted, inactive] {
            let exit = format!("2 exit z1 @{at_s} v2 zone_removed after {}", at_s - 10);
            check(
                &[shop()],
                &[at(10, 0.0), change(removed), at(60, 0.0)],
                &["1 enter z1 @10 v1 initial", &exit],
            );
        }
    }
}

#[test]
fn a_zone_that_moves_away_by_more_than_its_buffer_is_left() {
    let near = edited(&shop(), 50, |z| z.shape = circle(119.0, 100.0));
    let far = edited(&near, 60, |z| z.shape = circle(121.0, 100.0));
    check(
        &[shop()],
        &[at(10, 0.0), change(near), change(far), at(70, 0.0)],
        &["1 enter z1 @10 v1 initial", "2 exit z1 @60 v3 zone_changed after 50"],
    );
}

#[test]
fn a_smaller_buffer_is_a_change_like_any_other() {
    let bare = edited(&shop(), 50, |z| z.exit_buffer_m = Some(0.0));
    check(
        &[shop()],
        &[at(10, 0.0), at(20, 110.0), change(bare)],
        &["1 enter z1 @10 v1 initial", "2 exit z1 @50 v2 zone_changed after 40"],
    );
}

#[test]
fn at_a_change_the_last_fixs_accuracy_does_not_matter() {
    let moved = edited(&shop(), 50, |z| z.dwell_s = Some(1));
    check(
        &[shop()],
        &[at(10, 0.0), vague(20, 900.0, 9_000.0), change(moved)],
        &["1 enter z1 @10 v1 initial", "2 exit z1 @50 v2 zone_changed after 40"],
    );
}

#[test]
fn an_edit_never_makes_an_enter_but_the_next_fix_does() {
    let here = edited(&shop(), 50, |z| z.shape = circle(900.0, 100.0));
    check(&[shop()], &[at(10, 900.0), change(here), at(60, 900.0)], &["1 enter z1 @60 v2"]);
}

#[test]
fn an_older_version_that_comes_late_changes_nothing() {
    let newer = edited(&shop(), 50, |z| z.name = "new".into());
    check(
        &[shop()],
        &[change(newer), at(60, 0.0), change(with(shop(), |z| z.active = false))],
        &["1 enter z1 @60 v2 initial"],
    );
}

/// Compaction keeps a zone's latest version alone, which tells of the removal before it.
#[test]
fn a_zone_that_was_removed_and_is_back_was_left_at_its_removal() {
    let removed = edited(&shop(), 50, |z| z.deleted = true);
    let removal = Some(Removal { version: removed.version, at: removed.updated_at });
    let back = edited(&removed, 60, |z| (z.deleted, z.removal) = (false, removal));
    let renamed = edited(&back, 65, |z| z.name = "new".into());
    let mut engine = Engine::default();
    assert_eq!(
        run(&mut engine, &[change(shop()), at(10, 0.0), change(renamed), at(70, 0.0)]),
        ["1 enter z1 @10 v1 initial", "2 exit z1 @50 v2 zone_removed after 40", "3 enter z1 @70 v4"],
    );
}

/// The index may be ahead of the changes that are still to be applied to members.
#[test]
fn a_change_older_than_the_version_that_was_entered_changes_nothing() {
    let removed = edited(&shop(), 50, |z| z.deleted = true);
    let moved = edited(&shop(), 50, |z| z.shape = circle(900.0, 100.0));
    for older in [removed, moved] {
        let newer = edited(&older, 60, |z| (z.deleted, z.shape) = (false, circle(0.0, 100.0)));
        let mut engine = Engine::default();
        assert_eq!(run(&mut engine, &[change(newer), at(70, 0.0)]), ["1 enter z1 @70 v3 initial"]);
        assert_eq!(engine.tell_members(&ZoneChange::to(&older)), []);
    }
}

/// So may a restart's: it applies again what no commit has said to be applied.
#[test]
fn the_version_that_was_entered_is_no_change() {
    let mut engine = Engine::default();
    run(&mut engine, &[change(shop()), at(70, 0.0), vague(80, 900.0, 500.0)]);
    assert_eq!(engine.tell_members(&ZoneChange::to(&shop())), []);
}

/// Compaction's last word on a deleted zone has no version.
#[test]
fn a_zone_that_vanished_is_left_at_the_last_fix() {
    let mut engine = Engine::default();
    run(&mut engine, &[change(shop()), at(70, 0.0)]);
    let out = engine.tell_members(&ZoneChange::vanished(TENANT, shop().id));
    assert_eq!(out.iter().map(line).collect::<Vec<_>>(), ["2 exit z1 @70 v1 zone_removed after 0"]);
}

#[test]
fn a_deleted_device_leaves_every_zone_and_begins_anew() {
    let both = [shop(), zone(2, circle(50.0, 100.0))];
    check(
        &both,
        &[at(10, 0.0), Forget { received_s: 20 }, Forget { received_s: 25 }, at(5, 0.0)],
        &[
            "1 enter z1 @10 v1 initial",
            "2 enter z2 @10 v1 initial",
            "3 exit z1 @20 v1 device_removed after 10",
            "4 exit z2 @20 v1 device_removed after 10",
            "1 enter z1 @5 v1 initial",
            "2 enter z2 @5 v1 initial",
        ],
    );
}
