//! Two slices on two cores share the zones: together they must be as much faster than one as two floors are.

use std::sync::Barrier;
use std::thread;
use std::time::Duration;

use geopush_geofence::engine::ZoneIndex;
use geopush_service::BoxError;

use super::Run;
use crate::geofence::block::Block;
use crate::geofence::engine::Engine;
use crate::geofence::floor::Floor;
use crate::geofence::stand::{BLOCK, median};
use crate::geofence::traffic::{Habits, Traffic};
use crate::geofence::world::World;
use crate::goal::Goal;
use crate::progress;

/// Of both slices together.
const DEVICES: usize = 1_000_000;
/// Blocks that a slice takes at a time.
const BLOCKS: usize = 48;
const ROUNDS: usize = 24;
const LEAST: f64 = 0.95;

/// A slice, its floor, and the pings that it is to take next.
struct Slice<'w> {
    traffic: Traffic<'w>,
    engine: Engine,
    floor: Floor,
    blocks: Vec<Block>,
}

/// How long each slice took, in seconds: alone, and while the other did the same.
#[derive(Debug, Default)]
struct Round {
    alone: [f64; 2],
    together: [f64; 2],
}

/// In turns: one slice alone, the other alone, both at once; the engines and the floors of the same pings.
pub fn run(run: &mut Run<'_>, world: &World, zones: &ZoneIndex) -> Result<(), BoxError> {
    if thread::available_parallelism()?.get() < 2 {
        run.report.number("two cores: not run, there is one", "", 0.0);
        run.report.goals.push(Goal::at_least("two cores: scaling over the floor's", "", f64::NAN, LEAST));
        return Ok(());
    }
    let devices = u32::try_from(run.scaled(DEVICES) / 2)?.max(1);
    let blocks = run.scaled(BLOCKS);
    let rounds = ROUNDS;
    let bar = progress::bar("rounds: two cores", rounds as u64)?;
    let mut slices = [Slice::new(world, 0..devices), Slice::new(world, devices..2 * devices)];
    both(&mut slices, |slice| slice.warm_up(zones, 3 * devices as usize));
    let (mut engine_scaling, mut floor_scaling, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..rounds {
        let engine = round(&mut slices, blocks, |slice| slice.take(zones));
        let floor = round(&mut slices, blocks, Slice::take_on_floor);
        engine_scaling.push(engine.scaling());
        floor_scaling.push(floor.scaling());
        ratios.push(engine.scaling() / floor.scaling());
        bar.inc(1);
    }
    bar.finish();
    let scaling = median(&mut ratios);
    run.report.number("two cores: engine, times one core", "", median(&mut engine_scaling));
    run.report.number("two cores: floor, times one core", "", median(&mut floor_scaling));
    run.report.goals.push(Goal::at_least("two cores: scaling over the floor's", "", scaling, LEAST));
    Ok(())
}

impl<'w> Slice<'w> {
    fn new(world: &'w World, numbers: std::ops::Range<u32>) -> Self {
        let devices = numbers.len();
        Self {
            traffic: Traffic::new(world, Habits::REALISTIC, numbers),
            engine: Engine::default(),
            floor: Floor::new(devices),
            blocks: Vec::new(),
        }
    }

    fn warm_up(&mut self, zones: &ZoneIndex, pings: usize) {
        let mut block = Block::default();
        for _ in 0..pings.div_ceil(BLOCK) {
            self.traffic.fill(&mut block, BLOCK);
            self.engine.take(zones, &block);
        }
    }

    fn make(&mut self, blocks: usize) {
        self.blocks.resize_with(blocks, Block::default);
        for block in &mut self.blocks {
            self.traffic.fill(block, BLOCK);
        }
    }

    fn take(&mut self, zones: &ZoneIndex) -> Duration {
        self.blocks.iter().map(|block| self.engine.take(zones, block)).sum()
    }

    fn take_on_floor(&mut self) -> Duration {
        self.blocks.iter().map(|block| self.floor.plain(block.devices())).sum()
    }
}

/// Each slice alone, then both at once, each time with new pings.
fn round<'w>(
    slices: &mut [Slice<'w>; 2],
    blocks: usize,
    work: impl Fn(&mut Slice<'w>) -> Duration + Sync,
) -> Round {
    let mut round = Round::default();
    for (slice, alone) in slices.iter_mut().zip(&mut round.alone) {
        slice.make(blocks);
        *alone = work(slice).as_secs_f64();
    }
    both(slices, |slice| slice.make(blocks));
    let start = Barrier::new(2);
    round.together = both(slices, |slice| {
        start.wait();
        work(slice).as_secs_f64()
    });
    round
}

/// Does something with each slice on a thread of its own.
fn both<'w, T: Send>(slices: &mut [Slice<'w>; 2], work: impl Fn(&mut Slice<'w>) -> T + Sync) -> [T; 2] {
    let [one, other] = slices;
    thread::scope(|threads| {
        let on_thread = threads.spawn(|| work(one));
        let here = work(other);
        [on_thread.join().expect("the bench's own threads do not panic"), here]
    })
}

impl Round {
    /// How much more the two did in a second together than one alone.
    fn scaling(&self) -> f64 {
        let rate = |seconds: [f64; 2]| 1.0 / seconds[0] + 1.0 / seconds[1];
        rate(self.together) / (rate(self.alone) / 2.0)
    }
}
