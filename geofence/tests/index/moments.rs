//! What readers see while a zone changes.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::thread;

use geopush_geofence::engine::{Stamp, ZoneChange, ZoneIndex};
use geopush_geometry::{Position, Shape};
use geopush_model::{TenantId, Zone};
use uuid::Uuid;

use crate::world::{Said, TENANTS, zone};

/// One tile, a few, and so many that the zone is huge.
const RADII_M: [f64; 3] = [300.0, 5_000.0, 90_000.0];

fn here() -> Position {
    Position::new(2.17, 41.39).unwrap()
}

/// A change of a tenant's zone, to this size.
fn sized(tenant: TenantId, version: i64, radius_m: f64) -> ZoneChange {
    let shape = Shape::circle(here(), radius_m).unwrap();
    ZoneChange::to(&Zone { version, ..zone(tenant, 1, shape) })
}

/// A position that is in every version of a zone is in the zone at any moment, and in one version of it.
#[test]
fn a_zone_that_grows_and_shrinks_is_never_gone_and_never_there_twice() {
    let (index, here) = (ZoneIndex::default(), here());
    let versions = RADII_M.map(|radius_m| sized(TENANTS[0], 1, radius_m));
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
    let here = here();
    let [small, _, huge] = RADII_M.map(|radius_m| sized(TENANTS[0], 1, radius_m));
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

/// Also of a tenant's first zone, and of one that comes to where there was no tile.
#[test]
fn what_was_said_before_a_change_is_not_current_after_it() {
    const CHANGES: i64 = 4_000;
    let index = ZoneIndex::default();
    let tenant = |version: i64| TenantId(Uuid::from_u128(version as u128 / 5));
    let published = AtomicI64::new(0);
    thread::scope(|scope| {
        scope.spawn(|| {
            for next in 1..=CHANGES {
                let mut before = Stamp::NONE;
                while published.load(Ordering::Acquire) < next {
                    let around = index.around(tenant(next), here(), None);
                    let Said { covering, touching } = Said::of(&around);
                    if covering.iter().chain(&touching).all(|(_, version)| *version < next) {
                        before = around.stamp();
                    }
                }
                assert!(!index.is_current(before), "change {next} went unnoticed");
            }
        });
        for version in 1..=CHANGES {
            let radius_m = RADII_M[version as usize * 2 % RADII_M.len()];
            index.apply([&sized(tenant(version), version, radius_m)]);
            published.store(version, Ordering::Release);
        }
    });
}

#[test]
fn a_change_is_seen_once_it_is_published_and_not_before() {
    for [before, after] in [[0, 1], [1, 2], [2, 0], [2, 2]] {
        let index = ZoneIndex::default();
        let [before, after] = [(1, before), (2, after)].map(|(v, size)| sized(TENANTS[0], v, RADII_M[size]));
        index.apply([&before]);
        let (stamp, said) = {
            let around = index.around(TENANTS[0], here(), None);
            (around.stamp(), Said::of(&around))
        };
        let update = index.prepare([&after]);
        let now = || Said::of(&index.around(TENANTS[0], here(), None));
        assert!(index.is_current(stamp) && now() == said);
        drop(update);
        assert!(index.is_current(stamp) && now() == said);
        drop(index.prepare([&after]).publish());
        assert!(!index.is_current(stamp));
        let Said { covering, touching } = now();
        assert_eq!([covering, touching].concat(), [(after.zone, 2)]);
    }
}
