//! The index against asking every zone.
#![allow(clippy::unwrap_used, reason = "tests")]

mod along;
mod h3_cells;
mod moments;
mod world;

use geopush_geofence::engine::{Stamp, ZoneIndex};
use geopush_geometry::Position;
use geopush_model::TenantId;
use proptest::prelude::*;
use rand::RngExt;
use world::{Said, TENANTS, World};

fn config() -> ProptestConfig {
    // A failing seed is printed; to keep it, write a test of what it broke.
    ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() }
}

/// What was said before, and may still be relied on as long as its stamp is current.
struct Relied {
    tenant: TenantId,
    position: Position,
    stamp: Stamp,
    said: Said,
}

fn check_relied(world: &World, relied: &mut Vec<Relied>) {
    relied.retain(|before| world.index.is_current(before.stamp));
    for before in relied {
        let around = world.index.around(before.tenant, before.position, Some(before.stamp.tile));
        assert_eq!(around.stamp(), before.stamp);
        assert_eq!(Said::of(&around), before.said, "changed unsaid at {:?}", before.position);
        let anew = world.index.around(before.tenant, before.position, None);
        let zones = |said: Said| {
            let mut zones = [said.covering, said.touching].concat();
            zones.retain(|(id, _)| world.zones[&(before.tenant, *id)].contains(before.position));
            zones.sort_unstable();
            zones
        };
        assert_eq!(zones(Said::of(&anew)), zones(before.said.clone()));
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn what_is_listed_round_a_position_is_what_is_there(seed: u64) {
        let mut world = World::new(seed);
        let zones = [5, 60, 400][world.random.random_range(0..3)];
        let mut relied: Vec<Relied> = Vec::new();
        for _ in 0..20 {
            let batch = if world.one_in(3) { world.random.random_range(1..zones as usize) } else { 1 };
            let changes: Vec<_> = (0..batch).filter_map(|_| world.change(zones)).collect();
            world.apply(&changes);
            check_relied(&world, &mut relied);
            for _ in 0..5 {
                let tenant = TENANTS[usize::from(world.one_in(4))];
                let last = relied.last().map(|last| (last.stamp.tile, last.position));
                let bounds = last.map(|(tile, at)| world.index.around(tenant, at, Some(tile)).bounds());
                let position = world.position(bounds);
                world.check(tenant, position, None);
                world.check(tenant, position, last.map(|(tile, _)| tile));
                let around = world.index.around(tenant, position, None);
                let (stamp, said) = (around.stamp(), Said::of(&around));
                relied.push(Relied { tenant, position, stamp, said });
            }
        }
        assert_eq!(world.index.len(), world.zones.len());
    }

    #[test]
    fn zones_that_came_one_by_one_and_all_at_once_are_found_alike(seed: u64) {
        let mut world = World::new(seed);
        for _ in 0..150 {
            let changes: Vec<_> = world.change(100).into_iter().collect();
            world.apply(&changes);
        }
        let anew = ZoneIndex::default();
        let changes: Vec<_> = world.zones.values().map(|zone| geopush_geofence::engine::ZoneChange {
            tenant: zone.tenant,
            zone: zone.id,
            version: Some(zone.version),
            at: geopush_model::UnixMillis(0),
            now: Some(std::sync::Arc::clone(zone)),
            removal: None,
        }).collect();
        anew.apply(&changes);
        assert_eq!(anew.len(), world.index.len());
        for _ in 0..50 {
            let position = world.position(None);
            let zones = |index: &ZoneIndex| {
                let around = index.around(TENANTS[0], position, None);
                let listed = around.covering().chain(around.touching());
                let mut ids: Vec<_> = listed.filter(|z| z.contains(position)).map(|z| z.id).collect();
                ids.sort_unstable();
                ids
            };
            assert_eq!(zones(&anew), zones(&world.index));
        }
    }

    #[test]
    fn a_tenant_emptied_has_nothing_anywhere_and_can_be_filled_again(seed: u64) {
        let mut world = World::new(seed);
        for _ in 0..2 {
            let changes: Vec<_> = (0..200).filter_map(|_| world.change(100)).collect();
            world.apply(&changes);
            for _ in 0..20 {
                let position = world.position(None);
                world.check(TENANTS[0], position, None);
            }
            let gone: Vec<_> = changes.iter().cloned().map(|mut change| {
                change.now = None;
                change
            }).collect();
            world.apply(&gone);
            assert!(world.zones.is_empty() && world.index.is_empty());
            for _ in 0..20 {
                let position = world.position(None);
                let around = world.index.around(TENANTS[0], position, None);
                assert_eq!(around.covering().chain(around.touching()).count(), 0);
            }
        }
    }
}
