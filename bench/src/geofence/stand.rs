//! The engine and the floor side by side: what a ping costs the one, against what its device costs the other.

use std::time::Duration;

use geopush_geofence::engine::ZoneIndex;
use geopush_service::BoxError;
use indicatif::ProgressBar;

use super::block::Block;
use super::engine::{Engine, Exercised};
use super::floor::Floor;
use super::sample::Sample;
use super::traffic::Traffic;
use super::world::World;
use crate::report::{Check, Report};

/// Pings taken at once: as many as a slice may find waiting.
pub const BLOCK: usize = 2_048;
/// Every so many blocks the floor is the grouped one, which no ratio goes against.
const GROUPED_EVERY: usize = 4;

/// An engine and a floor of the same devices.
#[derive(Debug)]
pub struct Stand<'z> {
    zones: &'z ZoneIndex,
    engine: Engine,
    floor: Floor,
    sample: Sample,
    block: Block,
    turn: usize,
}

/// What the blocks of a measured stretch cost.
#[derive(Debug, Default)]
struct Blocks {
    engine_ns: Vec<f64>,
    floor_ns: Vec<f64>,
    grouped_ns: Vec<f64>,
    hash_ns: Vec<f64>,
    /// Engine over floor, of blocks with a plain floor.
    ratios: Vec<f64>,
}

/// What a ping costs: medians of blocks, in nanoseconds.
#[derive(Clone, Copy, Debug)]
pub struct Cost {
    /// The engine.
    pub engine_ns: f64,
    /// The engine, all blocks together: what a stall costs is in it.
    pub engine_mean_ns: f64,
    /// The floor.
    pub floor_ns: f64,
    /// The floor that asks for its memory early.
    pub grouped_ns: f64,
    /// Hashing the device's name, which is done before.
    pub hash_ns: f64,
    /// The engine over the floor of the same block.
    pub ratio: f64,
    /// What the engine did.
    pub exercised: Exercised,
    /// Zones that a device is in, in the end.
    pub stays: f64,
}

impl<'z> Stand<'z> {
    /// For so many devices.
    pub fn new(zones: &'z ZoneIndex, devices: usize) -> Self {
        Self {
            zones,
            engine: Engine::default(),
            floor: Floor::new(devices),
            sample: Sample::of(devices),
            block: Block::default(),
            turn: 0,
        }
    }

    /// Lets every device be heard of once and then twice more on average, and measures `pings` after that.
    pub fn run(&mut self, traffic: &mut Traffic<'_>, pings: usize, bar: &ProgressBar) -> Cost {
        let before = 3 * traffic.devices();
        bar.set_length((before + pings) as u64);
        bar.set_position(0);
        self.play(traffic, before, bar);
        self.engine.exercised();
        let blocks = self.play(traffic, pings, bar);
        let stays = self.engine.stays() as f64 / self.engine.devices().max(1) as f64;
        blocks.cost(self.engine.exercised(), stays)
    }

    fn play(&mut self, traffic: &mut Traffic<'_>, pings: usize, bar: &ProgressBar) -> Blocks {
        let mut blocks = Blocks::default();
        let mut left = pings;
        while left > 0 {
            let now = left.min(BLOCK);
            traffic.fill(&mut self.block, now);
            self.take(&mut blocks);
            bar.inc(now as u64);
            left -= now;
        }
        blocks
    }

    /// The engine and the floor take the block, each first every other time: what one leaves in the caches helps or
    /// hinders both alike.
    fn take(&mut self, blocks: &mut Blocks) {
        let Self { zones, engine, floor, sample, block, turn } = self;
        *turn += 1;
        let pings = block.len() as f64;
        let grouped = turn.is_multiple_of(GROUPED_EVERY);
        let mut on_floor = || match grouped {
            true => floor.grouped(block.devices()),
            false => floor.plain(block.devices()),
        };
        let (engine_took, floor_took) = if (*turn / GROUPED_EVERY).is_multiple_of(2) {
            let took = on_floor();
            (engine.take(zones, block), took)
        } else {
            (engine.take(zones, block), on_floor())
        };
        sample.keep(block, engine.transitions());
        let ns = |took: Duration| took.as_nanos() as f64 / pings;
        blocks.engine_ns.push(ns(engine_took));
        blocks.hash_ns.push(ns(engine.hashing()));
        if grouped {
            blocks.grouped_ns.push(ns(floor_took));
        } else {
            blocks.floor_ns.push(ns(floor_took));
            // On a busy machine a short floor may have waited, by the system's clock, for all the time that it took.
            blocks.ratios.push(engine_took.as_secs_f64() / floor_took.as_secs_f64().max(1e-9));
        }
    }

    /// Compares the transitions of some devices with the reference's.
    ///
    /// # Errors
    /// A zone that can't be made.
    pub fn check(&self, world: &World, check: &mut Check) -> Result<(), BoxError> {
        self.sample.check(world, check)
    }
}

impl Blocks {
    fn cost(mut self, exercised: Exercised, stays: f64) -> Cost {
        let engine_mean_ns = self.engine_ns.iter().sum::<f64>() / self.engine_ns.len() as f64;
        Cost {
            engine_ns: median(&mut self.engine_ns),
            engine_mean_ns,
            floor_ns: median(&mut self.floor_ns),
            grouped_ns: median(&mut self.grouped_ns),
            hash_ns: median(&mut self.hash_ns),
            ratio: median(&mut self.ratios),
            exercised,
            stays,
        }
    }
}

impl Cost {
    /// Pings a second.
    pub fn pings_a_second(&self) -> f64 {
        1e9 / self.engine_ns
    }

    /// Adds what a reader wants to know of a scenario.
    pub fn report(&self, scenario: &str, report: &mut Report) {
        let Exercised { fixes, safe_box, exact_tests, transitions } = self.exercised;
        let a_fix = |count: u64| count as f64 / fixes.max(1) as f64;
        let numbers = [
            ("engine, median", "ns/ping", self.engine_ns),
            ("engine, mean", "ns/ping", self.engine_mean_ns),
            ("floor", "ns/ping", self.floor_ns),
            ("floor, asked for early in groups", "ns/ping", self.grouped_ns),
            ("engine / floor", "", self.ratio),
            ("pings", "pings/s", self.pings_a_second()),
            ("hashing the device's name, before", "ns/ping", self.hash_ns),
            ("answered by the safe box", "of all fixes", a_fix(safe_box)),
            ("exact tests", "a fix", a_fix(exact_tests)),
            ("transitions", "a fix", a_fix(transitions)),
            ("zones that it is in", "a device", self.stays),
        ];
        // A short run has no block with the grouped floor.
        for (name, unit, value) in numbers.into_iter().filter(|(_, _, value)| value.is_finite()) {
            report.number(&format!("{scenario}: {name}"), unit, value);
        }
    }
}

/// The middle one; NaN of none.
pub fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
