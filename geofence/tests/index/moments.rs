//! What readers see while a zone changes.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use geopush_geofence::engine::{ZoneChange, ZoneIndex};
use geopush_geometry::{Position, Shape};

use crate::world::{TENANTS, zone};

/// A position that is in every version of a zone is in the zone at any moment, and in one version of it.
#[test]
fn a_zone_that_grows_and_shrinks_is_never_gone_and_never_there_twice() {
    let index = ZoneIndex::default();
    let here = Position::new(2.17, 41.39).unwrap();
    // One tile, a few, and so many that the zone is huge.
    let versions = [300.0, 5_000.0, 90_000.0]
        .map(|radius_m| ZoneChange::to(&zone(TENANTS[0], 1, Shape::circle(here, radius_m).unwrap())));
    index.apply([&versions[0]]);
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let mut hint = None;
                while !done.load(Ordering::Relaxed) {
                    for hint in [hint, None] {
                        let around = index.around(TENANTS[0], here, hint);
                        let listed = around.covering().chain(around.touching());
                        assert_eq!(listed.filter(|zone| zone.contains(here)).count(), 1);
                    }
                    hint = Some(index.around(TENANTS[0], here, None).stamp().tile);
                }
            });
        }
        for round in 0..300 {
            index.apply([&versions[round * 2 % 3]]);
        }
        done.store(true, Ordering::Relaxed);
    });
}

/// From where there was no tile: a zone that was huge becomes small, and its tile is found before it is gone elsewhere.
#[test]
fn a_huge_zone_that_becomes_small_is_never_gone() {
    let here = Position::new(2.17, 41.39).unwrap();
    let [huge, small] = [90_000.0, 300.0]
        .map(|radius_m| ZoneChange::to(&zone(TENANTS[0], 1, Shape::circle(here, radius_m).unwrap())));
    for _ in 0..50 {
        let index = ZoneIndex::default();
        index.apply([&huge]);
        let done = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    let around = index.around(TENANTS[0], here, None);
                    assert!(around.covering().chain(around.touching()).any(|zone| zone.contains(here)));
                }
            });
            index.apply([&small]);
            done.store(true, Ordering::Relaxed);
        });
    }
}
