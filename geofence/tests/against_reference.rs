//! The engine with its index against the reference, over random zones, walks and edits.

mod fixtures;

use std::collections::BTreeMap;
use std::sync::Arc;

use fixtures::random_world::RandomWorld;
use fixtures::*;
use geopush_geofence::engine::{PreparedZone, Reference, Rules, TenantZones};
use geopush_model::{ExitReason, TransitionKind, Zone};
use proptest::prelude::*;
use rand::RngExt;

/// Cases times steps: together more than 100,000 fixes.
const CASES: u32 = 60;
const STEPS: usize = 1_500;

fn config() -> ProptestConfig {
    // A failing seed is printed; to keep it, write a test of the rule that it broke.
    ProptestConfig { cases: CASES, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn the_engine_says_what_the_reference_says(seed: u64) {
        let mut world = RandomWorld::new(seed);
        let (mut engine, mut reference) = (Engine::default(), Reference::new(TENANT, Rules::default()));
        for zone in world.zones.clone() {
            engine.zone_changed(zone.clone());
            reference.zone_changed(zone);
        }
        for step in 0..STEPS {
            let [is, must] = world.step([&mut engine, &mut reference]);
            prop_assert_eq!(&is, &must, "at step {} in {:?}", step, world.place);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4, ..config() })]

    #[test]
    fn an_index_that_changed_a_lot_finds_what_one_built_anew_finds(seed: u64) {
        let mut world = RandomWorld::new(seed);
        let mut engine = Engine::default();
        world.zones.clear();
        // More than are kept beside the base, so that they are built into it on the way, and changed after that.
        for change in 1..=1_500 {
            let (shape, number) = (world.shape(), world.random.random_range(0..700));
            let changed = Zone { version: change, deleted: world.one_in(4), ..zone(number, shape) };
            world.zones.retain(|known| known.id != changed.id);
            world.zones.push(changed.clone());
            engine.zone_changed(changed);
        }
        let zones = engine.index.tenant(TENANT);
        let live = world.zones.iter().filter_map(PreparedZone::of).map(Arc::new);
        let anew = TenantZones::of(live);
        prop_assert_eq!(zones.len(), anew.len());
        for _ in 0..50 {
            let spot = world.spot();
            let position = world.place.position(spot);
            let ids = |zones: &TenantZones| {
                zones.containing(position).iter().map(|z| (z.id, z.version)).collect::<Vec<_>>()
            };
            prop_assert_eq!(ids(&zones), ids(&anew));
        }
    }
}

#[test]
fn the_random_worlds_are_eventful() {
    let mut counts = BTreeMap::new();
    for seed in 0..12 {
        let mut world = RandomWorld::new(seed);
        let mut engine = Engine::default();
        for zone in world.zones.clone() {
            engine.zone_changed(zone);
        }
        for _ in 0..STEPS {
            let [transitions, _] = world.step([&mut engine, &mut Reference::new(TENANT, Rules::default())]);
            for t in transitions {
                *counts.entry((t.kind, t.initial)).or_insert(0) += 1;
            }
        }
    }
    let kinds =
        [ExitReason::Left, ExitReason::ZoneRemoved, ExitReason::ZoneChanged, ExitReason::DeviceRemoved];
    let kinds =
        kinds.into_iter().chain([ExitReason::Expired]).map(|reason| (TransitionKind::Exit(reason), false));
    let others =
        [(TransitionKind::Enter, true), (TransitionKind::Enter, false), (TransitionKind::Dwell, false)];
    for kind in kinds.chain(others) {
        assert!(counts.get(&kind).is_some_and(|count| *count >= 10), "{kind:?} in {counts:?}");
    }
}
