//! One tenant with 1M zones in clusters, so that 12 lie over each ping.

use geopush_service::BoxError;

use super::{Run, ZONES, index_of};
use crate::geofence::traffic::Habits;
use crate::geofence::world::{City, Spread, World, ZoneMix};
use crate::goal::Goal;
use crate::progress;

const DEVICES: usize = 200_000;
const PINGS: usize = 1_000_000;
const ZONES_OVER_A_PING: f64 = 12.0;
const CLUSTERS: u32 = 300;
const LEAST_PINGS_A_SECOND: f64 = 4e5;

/// Devices that stand and move as in the realistic world.
pub fn run(run: &mut Run<'_>) -> Result<(), BoxError> {
    let zones = run.scaled(ZONES);
    let clusters = u32::try_from(run.scaled(CLUSTERS as usize))?;
    let mix = ZoneMix { polygons: 0.0, ..ZoneMix::REALISTIC };
    // Two places drawn from one bell are as near as one from a bell twice as wide: its peak is 1 / 4 pi deviation^2.
    let a_cluster = zones as f64 / f64::from(clusters);
    let deviation_m =
        (a_cluster * mix.mean_circle_m2() / (4.0 * std::f64::consts::PI * ZONES_OVER_A_PING)).sqrt();
    let cities = City::largest_of_the_globe(run.options.seed, clusters);
    let cities =
        cities.into_iter().map(|city| City { spread: Spread::Bell(deviation_m), weight: 1.0, ..city });
    let world = World::new(run.options.seed, cities.collect(), zones, 1, mix);
    let zones = index_of(&world, &progress::bar("zones: one tenant's 1M, 12 deep", world.zones() as u64)?)?;
    let size = (run.scaled(DEVICES), run.scaled(PINGS));
    let cost = run.measure("12 zones over each", &world, &zones, Habits::REALISTIC, size)?;
    cost.report("12 deep", &mut run.report);
    run.report.goals.push(Goal::at_least(
        "one tenant's 1M zones, 12 over each ping",
        "pings/s",
        cost.pings_a_second(),
        LEAST_PINGS_A_SECOND,
    ));
    Ok(())
}
