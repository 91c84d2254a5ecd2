//! The zones along lines, against asking every zone.

use std::sync::Arc;

use geopush_geometry::Position;
use proptest::prelude::*;
use rand::RngExt;

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
