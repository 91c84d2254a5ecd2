//! The engine with its index against the reference, over random zones, walks and edits.

mod fixtures;

use std::collections::BTreeMap;

use fixtures::*;
use geopush_geofence::engine::{Reference, Rules, TenantZones};
use geopush_geometry::{Position, Shape};
use geopush_model::{ExitReason, Fix, Ping, PingKind, Transition, TransitionKind, UnixMillis, Zone};
use proptest::prelude::*;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

/// Cases times steps: together more than 100,000 fixes.
const CASES: u32 = 60;
const STEPS: usize = 1_500;
const DEVICES: usize = 3;
/// The walks stay within this far of the middle.
const SIDE_M: f64 = 1_000.0;

fn config() -> ProptestConfig {
    // A failing seed is printed; to keep it, write a test of the rule that it broke.
    ProptestConfig { cases: CASES, failure_persistence: None, ..ProptestConfig::default() }
}

/// A part of the world: everything is placed in metres round its middle.
#[derive(Clone, Copy, Debug)]
struct Place {
    lon: f64,
    lat: f64,
}

impl Place {
    const ALL: [Self; 4] = [
        Self { lon: 2.17, lat: 41.39 },
        Self { lon: 180.0, lat: -17.0 },
        Self { lon: -0.001, lat: 0.001 },
        Self { lon: 25.8, lat: 71.1 },
    ];

    fn position(self, (east_m, north_m): (f64, f64)) -> Position {
        let lon = self.lon + east_m / (DEGREE_M * self.lat.to_radians().cos());
        let lon = if lon > 180.0 { lon - 360.0 } else { lon };
        Position::new(lon, self.lat + north_m / 111_000.0).unwrap()
    }
}

struct RandomWorld {
    random: StdRng,
    place: Place,
    zones: Vec<Zone>,
    walks: [(f64, f64); DEVICES],
    times_ms: [i64; DEVICES],
    now_ms: i64,
}

impl RandomWorld {
    fn new(seed: u64) -> Self {
        let mut random = StdRng::seed_from_u64(seed);
        let place = Place::ALL[random.random_range(0..Place::ALL.len())];
        let start = 1_700_000_000_000;
        let mut world = Self {
            random,
            place,
            zones: Vec::new(),
            walks: [(0.0, 0.0); DEVICES],
            times_ms: [start; DEVICES],
            now_ms: start,
        };
        for number in 0..world.random.random_range(1..10) {
            let shape = world.shape();
            let zone = zone(number + 1, shape);
            let zone = world.edit(zone);
            world.zones.push(Zone { version: 1, ..zone });
        }
        world
    }

    fn one_in(&mut self, n: u32) -> bool {
        self.random.random_ratio(1, n)
    }

    fn spot(&mut self) -> (f64, f64) {
        (self.random.random_range(-SIDE_M..SIDE_M), self.random.random_range(-SIDE_M..SIDE_M))
    }

    fn ring(&mut self, (east_m, north_m): (f64, f64), radius_m: f64, wobble: f64) -> Vec<Position> {
        let corners = self.random.random_range(3..9);
        let mut ring: Vec<_> = (0..corners)
            .map(|i| {
                let angle = std::f64::consts::TAU * f64::from(i) / f64::from(corners);
                let r = radius_m * (1.0 - wobble * self.random.random::<f64>());
                self.place.position((east_m + r * angle.cos(), north_m + r * angle.sin()))
            })
            .collect();
        ring.push(ring[0]);
        ring
    }

    fn shape(&mut self) -> Shape {
        let (middle, radius_m) = (self.spot(), self.random.random_range(50.0..900.0));
        match self.random.random_range(0..4) {
            0 | 1 => Shape::circle(self.place.position(middle), radius_m).unwrap(),
            2 => {
                // A triangle's inner radius is half its outer one, and the hole keeps clear of it.
                let outer = self.ring(middle, radius_m, 0.1);
                let hole = self.ring(middle, radius_m * 0.3, 0.3);
                Shape::polygon(vec![outer, hole]).unwrap()
            }
            _ => {
                let other = self.spot();
                let parts =
                    vec![vec![self.ring(middle, radius_m, 0.4)], vec![self.ring(other, radius_m, 0.4)]];
                Shape::multi_polygon(parts).unwrap()
            }
        }
    }

    fn edit(&mut self, mut zone: Zone) -> Zone {
        zone.version += 1;
        zone.updated_at = UnixMillis(self.now_ms);
        if !zone.is_live() {
            (zone.active, zone.deleted) = (true, false);
            return zone;
        }
        match self.random.random_range(0..7) {
            0 => zone.shape = self.shape(),
            1 => zone.exit_buffer_m = [None, Some(0.0), Some(200.0)][self.random.random_range(0..3)],
            2 => zone.dwell_s = [None, Some(1), Some(300)][self.random.random_range(0..3)],
            3 => zone.max_accuracy_m = [None, Some(20.0), Some(1_000.0)][self.random.random_range(0..3)],
            4 => zone.active = !zone.active,
            5 => zone.deleted = !zone.deleted,
            _ => zone.name.push('x'),
        }
        zone
    }

    fn fix(&mut self, device: usize) -> Fix {
        let step_m = if self.one_in(50) { 2_000.0 } else { 120.0 };
        let (dx, dy) = (self.random.random_range(-step_m..step_m), self.random.random_range(-step_m..step_m));
        let walk = &mut self.walks[device];
        *walk = ((walk.0 + dx).clamp(-SIDE_M, SIDE_M), (walk.1 + dy).clamp(-SIDE_M, SIDE_M));
        let position = self.place.position(*walk);
        self.times_ms[device] += match self.random.random_range(0..300) {
            0 => Rules::default().expire_after_ms + 1,
            1 => Rules::default().expire_after_ms,
            2..=9 => 0,
            10..=20 => -90_000,
            _ => self.random.random_range(1..60_000),
        };
        let accuracy_m =
            [None, Some(5.0), Some(20.0), Some(200.0), Some(250.0)][self.random.random_range(0..5)];
        Fix { accuracy_m, ..Fix::at(position, UnixMillis(self.times_ms[device])) }
    }

    fn ping(&mut self) -> Ping {
        let device = self.random.random_range(0..DEVICES);
        let name = format!("d{device}");
        if self.one_in(200) {
            return Ping { kind: PingKind::Forget, ..ping(&name, UnixMillis(self.now_ms), Vec::new()) };
        }
        let fixes = if self.one_in(10) { 5 } else { 1 };
        let mut fixes: Vec<_> = (0..fixes).map(|_| self.fix(device)).collect();
        fixes.sort_by_key(|fix| fix.time);
        ping(&name, UnixMillis(self.now_ms), fixes)
    }

    /// Lets the same thing happen to both worlds, and answers what each says.
    fn step(&mut self, both: [&mut dyn World; 2]) -> [Vec<Transition>; 2] {
        self.now_ms += match self.random.random_range(0..2_000) {
            0 => Rules::default().expire_after_ms,
            1 => Rules::default().forget_after_ms,
            _ => self.random.random_range(0..30_000),
        };
        if self.one_in(40) {
            let number = self.random.random_range(0..self.zones.len());
            let edited = self.edit(self.zones[number].clone());
            self.zones[number] = edited.clone();
            return both.map(|world| world.zone_changed(edited.clone()));
        }
        if self.one_in(100) {
            return both.map(|world| world.silence(UnixMillis(self.now_ms)));
        }
        let ping = self.ping();
        both.map(|world| world.ping(&ping))
    }
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

    #[test]
    fn an_index_that_changed_a_lot_finds_what_one_built_anew_finds(seed: u64) {
        let mut world = RandomWorld::new(seed);
        let mut engine = Engine::default();
        // More than are kept beside the base, so that they are built into it on the way.
        for round in 0..20 {
            for number in 0..60 {
                let shape = world.shape();
                let made = zone(number % 45 + u128::from(round % 3 == 0), shape);
                let changed = Zone { version: 1 + round, deleted: world.one_in(4), ..made };
                if let Some(known) = world.zones.iter_mut().find(|known| known.id == changed.id) {
                    if known.version < changed.version {
                        *known = changed.clone();
                    }
                } else {
                    world.zones.push(changed.clone());
                }
                engine.zone_changed(changed);
            }
        }
        let live = world.zones.iter().filter(|zone| engine.index.tenant(TENANT).get(zone.id).is_some());
        prop_assert_eq!(live.count(), engine.index.tenant(TENANT).len());
        let zones = engine.index.tenant(TENANT);
        let all = world.zones.iter().filter_map(|zone| zones.get(zone.id).cloned());
        let anew = TenantZones::of(all);
        for _ in 0..50 {
            let spot = world.spot();
            let position = world.place.position(spot);
            let ids = |zones: &TenantZones| zones.containing(position).iter().map(|z| z.id).collect::<Vec<_>>();
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
