//! Polygons of 10,000 positions against circles in the same places.

use geopush_service::BoxError;

use super::{Run, index_of};
use crate::geofence::traffic::Habits;
use crate::geofence::world::{World, ZoneMix};
use crate::goal::Goal;
use crate::progress;

const DEVICES: usize = 100_000;
const PINGS: usize = 1_000_000;
const ZONES: usize = 400;
const POSITIONS: usize = 10_000;
const ZONES_A_KM2: f64 = 2.0;
/// A polygon's positions are 0.6 to 1 radius from its middle, so a circle of 0.8 is as large.
const POLYGON_RADIUS_M: f64 = 300.0;
const CIRCLE_RADIUS_M: f64 = 240.0;
/// What a polygon may cost of what a circle does.
const MOST: f64 = 3.0;

/// Once with realistic devices, once with each ping somewhere else.
pub fn run(run: &mut Run<'_>) -> Result<(), BoxError> {
    let positions = run.scaled(POSITIONS).max(100);
    let radius_m = (POLYGON_RADIUS_M, POLYGON_RADIUS_M);
    let mixes = [
        ("circles", ZoneMix::circles(CIRCLE_RADIUS_M, CIRCLE_RADIUS_M)),
        ("polygons", ZoneMix { radius_m, ..ZoneMix::polygons(positions) }),
    ];
    let size = (run.scaled(DEVICES), run.scaled(PINGS));
    let mut ratios = Vec::new();
    for (kind, mix) in mixes {
        let world = World::square(run.options.seed, run.scaled(ZONES), ZONES_A_KM2, mix);
        let zones = index_of(&world, &progress::bar(&format!("zones: large {kind}"), world.zones() as u64)?)?;
        for (way, habits) in [("realistic", Habits::REALISTIC), ("random places", Habits::JUMPING)] {
            let what = format!("{kind}, {way}");
            let cost = run.measure(&what, &world, &zones, habits, size)?;
            cost.report(&what, &mut run.report);
            ratios.push(cost.ratio);
        }
    }
    run.report.goals.extend([
        Goal::at_most(
            "polygons of 10,000 positions over circles: realistic",
            "",
            ratios[2] / ratios[0],
            MOST,
        ),
        Goal::at_most(
            "polygons of 10,000 positions over circles: random places",
            "",
            ratios[3] / ratios[1],
            MOST,
        ),
    ]);
    Ok(())
}
