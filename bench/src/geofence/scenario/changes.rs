//! What zones cost when they come and go, and what that does to the pings meanwhile.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use geopush_geofence::engine::{ZoneChange, ZoneIndex};
use geopush_model::Zone;
use geopush_service::BoxError;
use rand::RngExt as _;

use super::Run;
use crate::geofence::block::Block;
use crate::geofence::engine::Engine;
use crate::geofence::traffic::{Habits, Traffic};
use crate::geofence::world::{Kind, World};
use crate::goal::Goal;
use crate::latency::Latencies;
use crate::progress;
use crate::report::Report;
use crate::usage::busy;

/// Devices that ping while zones change.
const DEVICES: usize = 100_000;
/// Zones that change, go and come back, one by one.
const ZONES: usize = 20_000;
/// Pings taken at once meanwhile: so few that what they cost is no pause.
const FEW: usize = 64;
/// Zones imported at once meanwhile.
const IMPORTED: usize = 10_000;
const MOST_COLD_S: f64 = 20.0;
const MOST_CHANGE_US: f64 = 50.0;
const MOST_PAUSE_MS: f64 = 1.0;

/// Builds the index of all zones of a world as a process that starts does: from the zones as they were decoded, their
/// shapes prepared here, on one core.
pub fn build_from_cold(run: &mut Run<'_>, world: &World) -> Result<ZoneIndex, BoxError> {
    let bar = progress::bar("zones: from cold", world.zones() as u64)?;
    let zones: Result<Vec<Zone>, BoxError> =
        (0..world.zones()).map(|number| world.zone(number, 1).inspect(|_| bar.inc(1))).collect();
    let zones = zones?;
    let index = ZoneIndex::default();
    let (changes, prepared) = busy(|| zones.iter().map(ZoneChange::to).collect::<Vec<_>>());
    let ((), applied) = busy(|| index.apply(&changes));
    let took = prepared + applied;
    bar.finish();
    run.report.number("1M zones from cold", "s", took.as_secs_f64());
    run.report.number("1M zones from cold: preparing their shapes", "s", prepared.as_secs_f64());
    run.report.goals.push(Goal::at_most("1M zones from cold", "s", took.as_secs_f64(), MOST_COLD_S));
    Ok(index)
}

/// Changes zones one by one while another thread takes pings, and for comparison lets that thread alone as long.
pub fn run(run: &mut Run<'_>, world: &World, zones: &ZoneIndex) -> Result<(), BoxError> {
    let count = run.scaled(ZONES);
    let devices = u32::try_from(run.scaled(DEVICES))?;
    let imported: Vec<_> = import(world, run.scaled(IMPORTED))?;
    let bar = progress::bar("zones changed, removed, added", 3 * count as u64)?;
    let (live, pauses) =
        beside_pings(world, zones, devices, || one_by_one(world, zones, count, || bar.inc(1)))?;
    bar.finish();
    let [changed, removed, added] = live?;
    let alone = pauses.lasted;
    let (_, quiet) = beside_pings(world, zones, devices, || thread::sleep(alone))?;
    let (import_took, at_import) = beside_pings(world, zones, devices, || {
        let began = Instant::now();
        zones.apply(&imported);
        began.elapsed()
    })?;
    let report = &mut run.report;
    report.number("10,000 zones imported at once", "ms", import_took.as_secs_f64() * 1e3);
    for (what, took) in [("a zone changed", changed), ("a zone removed", removed), ("a zone added", added)] {
        took.report(what, report);
    }
    for (what, pauses) in [
        ("64 pings, no changes", &quiet),
        ("64 pings while zones change", &pauses),
        ("64 pings while 10,000 are imported", &at_import),
    ] {
        let told = pauses.latencies.summary(what);
        if what != "64 pings, no changes" {
            let name = format!("longest pause: {what}");
            report.goals.push(Goal::at_most(&name, "ms", told.max_us as f64 / 1e3, MOST_PAUSE_MS));
        }
        report.latencies.push(told);
    }
    Ok(())
}

/// What it takes to change zones.
#[derive(Default)]
pub struct Took {
    /// All of it.
    all: Latencies,
    /// Publishing, which is what pings wait for in the stage.
    published: Latencies,
}

impl Took {
    /// Applies a change in the steps in which the stage does.
    pub fn apply(&mut self, change: &ZoneChange, zones: &ZoneIndex) {
        let mut published = Duration::ZERO;
        let ((), all) = busy(|| {
            let update = zones.prepare([change]);
            let began = Instant::now();
            let replaced = update.publish();
            published = began.elapsed();
            drop(replaced);
        });
        self.all.record(all);
        // Whatever it waited for a processor is not in the one.
        self.published.record(published.min(all));
    }

    /// `what`: "a zone changed".
    pub fn report(&self, what: &str, report: &mut Report) {
        let all = self.all.summary(what);
        let published = self.published.summary(&format!("{what}: what pings wait for"));
        let (median, most) = (all.p50_us as f64, all.p99_us as f64);
        report.goals.extend([
            Goal::at_most(&format!("{what} live, median"), "us", median, MOST_CHANGE_US),
            Goal::at_most(&format!("{what} live, p99"), "us", most, MOST_CHANGE_US),
            Goal::at_most(&published.stage, "ms", published.max_us as f64 / 1e3, MOST_PAUSE_MS),
        ]);
        report.latencies.extend([all, published]);
    }
}

/// What a thread saw that took pings while something else happened.
pub struct Pauses {
    pub latencies: Latencies,
    pub lasted: Duration,
}

/// Takes pings on a thread of their own, a few at a time, for as long as `other` runs here.
pub fn beside_pings<T>(
    world: &World,
    zones: &ZoneIndex,
    devices: u32,
    other: impl FnOnce() -> T,
) -> Result<(T, Pauses), BoxError> {
    let mut traffic = Traffic::new(world, Habits::REALISTIC, 0..devices);
    let mut engine = Engine::default();
    let mut block = Block::default();
    for _ in 0..3 * devices as usize / FEW {
        traffic.fill(&mut block, FEW);
        engine.take(zones, &block);
    }
    let ended = AtomicBool::new(false);
    thread::scope(|threads| {
        let pinging = threads.spawn(|| {
            let mut latencies = Latencies::default();
            while !ended.load(Ordering::Relaxed) {
                traffic.fill(&mut block, FEW);
                latencies.record(engine.take(zones, &block));
            }
            latencies
        });
        let began = Instant::now();
        let done = other();
        let lasted = began.elapsed();
        ended.store(true, Ordering::Relaxed);
        let latencies = pinging.join().map_err(|_| "the thread that took pings panicked")?;
        Ok((done, Pauses { latencies, lasted }))
    })
}

/// Random zones, each moved within its city, then removed, then put back: what each of the three took.
fn one_by_one(
    world: &World,
    zones: &ZoneIndex,
    count: usize,
    mut done: impl FnMut(),
) -> Result<[Took; 3], BoxError> {
    let mut random = world.random(Kind::Places, 1);
    let mut took = [Took::default(), Took::default(), Took::default()];
    for _ in 0..count {
        let number = random.random_range(0..world.zones());
        let moved = world.zone(number, 2)?;
        let removed = Zone { version: 3, deleted: true, ..moved.clone() };
        let added = world.zone(number, 4)?;
        for (zone, took) in [moved, removed, added].iter().zip(&mut took) {
            took.apply(&ZoneChange::to(zone), zones);
            done();
        }
    }
    Ok(took)
}

/// New versions of some zones that lie evenly among all.
fn import(world: &World, count: usize) -> Result<Vec<ZoneChange>, BoxError> {
    let step = (world.zones() / count.max(1)).max(1);
    (0..world.zones()).step_by(step).map(|number| Ok(ZoneChange::to(&world.zone(number, 5)?))).collect()
}
