//! What is measured.

mod changes;
mod cores;
mod crowded;
mod deep;
mod growth;
mod huge;
mod memory;
mod polygons;
mod random;
mod realistic;

use geopush_geofence::engine::{ZoneChange, ZoneIndex};
use geopush_service::BoxError;
use indicatif::ProgressBar;

use super::stand::{Cost, Stand};
use super::traffic::{Habits, Traffic};
use super::world::{World, ZoneMix};
use super::{Options, Scenario};
use crate::progress;
use crate::report::{Check, Report};

/// A run of the bench.
pub struct Run<'o> {
    /// What was asked for.
    pub options: &'o Options,
    /// What was found out so far.
    pub report: Report,
    /// Transitions, compared with the reference's.
    pub right: Check,
}

/// The realistic world's zones.
const ZONES: usize = 1_000_000;
/// And tenants.
const TENANTS: usize = 10_000;
/// Zones are made and applied so many at a time where nothing is measured of that.
const CHUNK: usize = 100_000;

/// Runs all scenarios that were asked for: first what must see the process's memory untouched.
pub fn run(run: &mut Run<'_>) -> Result<(), BoxError> {
    let options = run.options;
    let has = |part| options.has(part);
    let (changes, cores, random) = (has(Scenario::Changes), has(Scenario::Cores), has(Scenario::Random));
    let (realistic, tenfold) = (has(Scenario::Realistic), has(Scenario::Realistic10m));
    if has(Scenario::Memory) {
        memory::run(run)?;
    }
    // Those in one world share its index, which takes its time to build; the one that changes zones comes last.
    if changes || cores || random || realistic || tenfold {
        let world = run.realistic_world(ZoneMix::REALISTIC);
        let zones = changes::build_from_cold(run, &world)?;
        if realistic {
            realistic::run(run, &world, &zones)?;
        }
        if tenfold {
            realistic::run_tenfold(run, &world, &zones)?;
        }
        if random {
            random::run_in_cities(run, &world, &zones)?;
        }
        if cores {
            cores::run(run, &world, &zones)?;
        }
        if changes {
            changes::run(run, &world, &zones)?;
        }
    }
    if random {
        random::run_in_square(run)?;
    }
    if has(Scenario::Huge) {
        huge::run(run)?;
    }
    if has(Scenario::Deep) {
        deep::run(run)?;
    }
    if has(Scenario::Growth) {
        growth::run(run)?;
    }
    if has(Scenario::Crowded) {
        crowded::run(run)?;
    }
    if has(Scenario::Polygons) {
        polygons::run(run)?;
    }
    Ok(())
}

impl Run<'_> {
    /// So many at full scale.
    pub fn scaled(&self, full: usize) -> usize {
        (full as f64 * self.options.scale).ceil() as usize
    }

    /// The cities of the globe, with such zones.
    pub fn realistic_world(&self, mix: ZoneMix) -> World {
        World::realistic(self.options.seed, self.scaled(ZONES), self.scaled(TENANTS), mix)
    }

    /// Measures devices on their way through a world, and compares some of their transitions.
    pub fn measure(
        &mut self,
        what: &str,
        world: &World,
        zones: &ZoneIndex,
        habits: Habits,
        (devices, pings): (usize, usize),
    ) -> Result<Cost, BoxError> {
        let bar = progress::bar(&format!("pings: {what}"), 0)?;
        let mut traffic = Traffic::new(world, habits, 0..u32::try_from(devices)?);
        let mut stand = Stand::new(zones, devices);
        let cost = stand.run(&mut traffic, pings, &bar);
        bar.finish();
        drop(traffic);
        stand.check(world, &mut self.right)?;
        Ok(cost)
    }
}

/// An index of all zones of a world.
fn index_of(world: &World, bar: &ProgressBar) -> Result<ZoneIndex, BoxError> {
    let zones = ZoneIndex::default();
    let mut changes = Vec::with_capacity(world.zones());
    for number in 0..world.zones() {
        changes.push(ZoneChange::to(&world.zone(number, 1)?));
        bar.inc(1);
    }
    zones.apply(&changes);
    bar.finish();
    Ok(zones)
}
