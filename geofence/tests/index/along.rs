//! The zones along lines, against asking every zone.

use std::sync::Arc;

use geopush_geofence::engine::{PreparedZone, ZoneChange, ZoneIndex};
use geopush_geometry::{Position, Prepared, Shape};
use geopush_model::{UnixMillis, ZoneId};
use proptest::prelude::*;
use rand::RngExt;
use uuid::Uuid;

use super::config;
use super::world::{TENANTS, World};

impl World {
    /// From some metres to some kilometres, over the antimeridian and the poles' surroundings where they are near.
    fn line(&mut self) -> (Position, Position) {
        let from = self.position(None);
        let length_m = self.random.random_range(1.0_f64.ln()..=9_000.0_f64.ln()).exp();
        let angle = self.random.random_range(0.0..std::f64::consts::TAU);
        let degrees = length_m / 111_000.0;
        let lat = (from.lat + degrees * angle.sin()).clamp(-90.0, 90.0);
        let east = degrees * angle.cos() / from.lat.to_radians().cos().max(0.001);
        let lon = from.lon + east.clamp(-179.0, 179.0);
        let turn = if lon.abs() > 180.0 { -360.0_f64.copysign(lon) } else { 0.0 };
        (from, Position::new(lon + turn, lat).unwrap())
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn every_zone_that_a_line_meets_is_found_along_it_once(seed: u64) {
        let mut world = World::new(seed);
        let zones = [5, 60, 400][world.random.random_range(0..3)];
        for _ in 0..2 {
            let changes: Vec<_> = (0..zones).filter_map(|_| world.change(zones)).collect();
            world.apply(&changes);
            for _ in 0..25 {
                let tenant = TENANTS[usize::from(world.one_in(4))];
                let (from, to) = world.line();
                let here = world.index.around(tenant, from, None).stamp().tile;
                let there = world.index.around(tenant, to, None).stamp().tile;
                for hint in [None, Some(here), Some(there)] {
                    let found = world.index.along(tenant, from, to, hint);
                    for zone in world.zones.values() {
                        let times = found.iter().filter(|other| Arc::ptr_eq(zone, other)).count();
                        prop_assert!(times <= usize::from(zone.tenant == tenant));
                        if zone.tenant == tenant && zone.shape.passes(from, to).is_some() {
                            prop_assert_eq!(times, 1, "{:?} from {:?} to {:?}", zone, from, to);
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn few_zones_are_found_along_a_short_line_among_many() {
    let mut world = World::new(1);
    let changes: Vec<_> = (0..4_000).filter_map(|_| world.change(2_000)).collect();
    world.apply(&changes);
    let mine = world.zones.values().filter(|zone| zone.tenant == TENANTS[0]).count();
    let (mut found, mut met) = (0, 0);
    for _ in 0..200 {
        let (from, to) = world.line();
        let along = world.index.along(TENANTS[0], from, to, None);
        found += along.len();
        met += along.iter().filter(|zone| zone.shape.passes(from, to).is_some()).count();
    }
    assert!(met > 200 && found < 200 * mine / 4, "{found} found, {met} met, of {mine} each time");
}

#[test]
fn a_huge_zone_beyond_the_antimeridian_is_found_from_this_side() {
    let at = |lon, lat| Position::new(lon, lat).unwrap();
    // Its rim is 400 m west of the antimeridian, and it is in no tile, as there is none.
    let radius_m = 100_000.0;
    let shape = Shape::circle(at(180.0 - (radius_m + 400.0) / 111_319.490_793, 0.0), radius_m).unwrap();
    let (tenant, id) = (TENANTS[0], ZoneId(Uuid::from_u128(1)));
    let zone = Arc::new(PreparedZone {
        tenant,
        id,
        external_id: None,
        version: 1,
        shape: Prepared::new(&shape),
        exit_buffer_m: 0.0,
        dwell_ms: None,
        max_accuracy_m: 200.0,
    });
    let index = ZoneIndex::default();
    index.apply([&ZoneChange {
        tenant,
        zone: id,
        version: Some(1),
        at: UnixMillis(0),
        now: Some(zone),
        removal: None,
    }]);
    for lon in [-179.999, -179.99, -179.98, -179.97, -179.96] {
        for lat in [-0.01, 0.0, 0.01] {
            let (this_side, beyond) = (at(lon, 0.0), at(179.99, lat));
            assert_eq!(index.along(tenant, this_side, beyond, None).len(), 1, "from {lon} to {lat}");
            assert_eq!(index.along(tenant, beyond, this_side, None).len(), 1, "from {lat} to {lon}");
        }
    }
}
