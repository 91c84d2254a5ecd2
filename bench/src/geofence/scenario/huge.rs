//! Zones as large as a town's surroundings, a region and a country, changed among the 1M small ones of their tenant.

use geopush_geofence::engine::{ZoneChange, ZoneIndex};
use geopush_geometry::{Position, Shape};
use geopush_model::{UnixMillis, Zone, ZoneId};
use geopush_service::BoxError;

use super::changes::{Took, beside_pings};
use super::random::ZONES_A_KM2;
use super::{Run, ZONES, index_of};
use crate::geofence::traffic::Habits;
use crate::geofence::world::{Kind, World, ZoneMix};
use crate::goal::Goal;
use crate::progress;

const DEVICES: usize = 100_000;
const PINGS: usize = 1_000_000;
/// How often a zone of each size comes, changes and goes.
const ROUNDS: usize = 300;
const CORNERS: usize = 200;
const RADII: [(&str, f64); 3] = [("20 km", 20_000.0), ("80 km", 80_000.0), ("400 km", 400_000.0)];
const MOST_PAUSE_MS: f64 = 1.0;

/// Lets zones of each size come, change and go while another thread takes pings.
pub fn run(run: &mut Run<'_>) -> Result<(), BoxError> {
    let world = World::square(run.options.seed, run.scaled(ZONES), ZONES_A_KM2, ZoneMix::REALISTIC);
    let zones = index_of(&world, &progress::bar("zones: 1M small ones", world.zones() as u64)?)?;
    let (rounds, devices) = (run.scaled(ROUNDS), run.scaled(DEVICES));
    for (size, radius_m) in RADII {
        let (took, pauses) = beside_pings(&world, &zones, u32::try_from(devices)?, || {
            come_change_and_go(&world, &zones, radius_m, rounds)
        })?;
        for (what, took) in ["added", "changed", "removed"].iter().zip(took?) {
            took.report(&format!("a zone of {size} {what}"), &mut run.report);
        }
        let told = pauses.latencies.summary(&format!("64 pings while zones of {size} change"));
        let name = format!("longest pause: 64 pings while zones of {size} change");
        run.report.goals.push(Goal::at_most(&name, "ms", told.max_us as f64 / 1e3, MOST_PAUSE_MS));
        run.report.latencies.push(told);
    }
    // Nothing is left of them.
    let cost =
        run.measure("huge zones gone", &world, &zones, Habits::REALISTIC, (devices, run.scaled(PINGS)))?;
    cost.report("huge zones gone", &mut run.report);
    Ok(())
}

/// What it took to add, change and remove zones of a size.
fn come_change_and_go(
    world: &World,
    zones: &ZoneIndex,
    radius_m: f64,
    rounds: usize,
) -> Result<[Took; 3], BoxError> {
    let mut took = [Took::default(), Took::default(), Took::default()];
    for round in 0..rounds {
        let [added, changed] = [1, 2].map(|version| large(world, round, radius_m, version));
        let changed = changed?;
        let removed = Zone { version: 3, deleted: true, ..changed.clone() };
        for (zone, took) in [added?, changed, removed].iter().zip(&mut took) {
            took.apply(&ZoneChange::to(zone), zones);
        }
    }
    Ok(took)
}

/// A polygon of this mean radius, somewhere else in each version.
fn large(world: &World, number: usize, radius_m: f64, version: i64) -> Result<Zone, BoxError> {
    let mut random = world.random(Kind::Places, number << 8 | version as usize);
    let centre: Position = world.cities[0].place(&mut random);
    let mix = ZoneMix { radius_m: (radius_m, radius_m), ..ZoneMix::polygons(CORNERS) };
    let shape: Shape = mix.shape(centre, &mut random)?;
    let tenant = world.tenants()[0].id;
    let id = ZoneId::of_external(tenant, &format!("region-{number}"));
    Ok(Zone {
        version,
        updated_at: UnixMillis(version),
        ..Zone::new(tenant, id, "Region", shape, UnixMillis(0))
    })
}
