//! Each ping somewhere else: neither a safe box nor a cache helps.

use geopush_geofence::engine::ZoneIndex;
use geopush_service::BoxError;

use super::{Run, ZONES, index_of};
use crate::geofence::traffic::Habits;
use crate::geofence::world::{World, ZoneMix};
use crate::goal::Goal;
use crate::progress;

const DEVICES: usize = 1_000_000;
const PINGS: usize = 2_000_000;
/// A country's worth of shops: 1M zones on 1,000 x 1,000 km, of which every sixth place is in one.
pub const ZONES_A_KM2: f64 = 1.0;
const LEAST_PINGS_A_SECOND: f64 = 1e6;

/// Places drawn as people live, in the realistic world.
pub fn run_in_cities(run: &mut Run<'_>, world: &World, zones: &ZoneIndex) -> Result<(), BoxError> {
    measure(run, "random places in 300 cities", world, zones)
}

/// Places anywhere among the zones of one tenant that has 1M evenly over a square.
pub fn run_in_square(run: &mut Run<'_>) -> Result<(), BoxError> {
    let world = World::square(run.options.seed, run.scaled(ZONES), ZONES_A_KM2, ZoneMix::REALISTIC);
    let zones = index_of(&world, &progress::bar("zones: one tenant's 1M", world.zones() as u64)?)?;
    measure(run, "random places in a country", &world, &zones)
}

fn measure(run: &mut Run<'_>, what: &str, world: &World, zones: &ZoneIndex) -> Result<(), BoxError> {
    let size = (run.scaled(DEVICES), run.scaled(PINGS));
    let cost = run.measure(what, world, zones, Habits::JUMPING, size)?;
    cost.report(what, &mut run.report);
    run.report.goals.push(Goal::at_least(what, "pings/s", cost.pings_a_second(), LEAST_PINGS_A_SECOND));
    Ok(())
}
