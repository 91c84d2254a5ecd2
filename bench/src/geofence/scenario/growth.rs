//! From 10 to 1M zones that are as near to one another: what a ping costs must not follow the number of zones.

use geopush_service::BoxError;

use super::{Run, index_of};
use crate::geofence::traffic::Habits;
use crate::geofence::world::{World, ZoneMix};
use crate::goal::Goal;
use crate::progress;
use crate::report::Curve;

const DEVICES: usize = 1_000_000;
const PINGS: usize = 2_000_000;
const STEPS: [usize; 6] = [10, 100, 1_000, 10_000, 100_000, 1_000_000];
/// As in a city: of a place three in ten are in a zone.
const ZONES_A_KM2: f64 = 2.0;
/// What 1M zones may cost of what 10 do.
const MOST: f64 = 1.3;

/// The same devices on ever larger squares.
pub fn run(run: &mut Run<'_>) -> Result<(), BoxError> {
    let most = run.scaled(STEPS[STEPS.len() - 1]).max(STEPS[0]);
    let size = (run.scaled(DEVICES), run.scaled(PINGS));
    let (mut engine, mut floor, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for zones in STEPS.into_iter().filter(|zones| *zones <= most) {
        let world = World::square(run.options.seed, zones, ZONES_A_KM2, ZoneMix::REALISTIC);
        let index = index_of(&world, &progress::bar(&format!("zones: growth to {zones}"), zones as u64)?)?;
        let cost = run.measure(&format!("growth, {zones} zones"), &world, &index, Habits::REALISTIC, size)?;
        engine.push((zones as f64, cost.engine_ns));
        floor.push((zones as f64, cost.floor_ns));
        ratios.push(cost.ratio);
        cost.report(&format!("growth, {zones} zones"), &mut run.report);
    }
    let curve = |name: &str, points| Curve {
        chart: "a ping among ever more zones, as near to one another".to_owned(),
        name: name.to_owned(),
        x: "zones".to_owned(),
        y: "ns/ping".to_owned(),
        points,
    };
    run.report.curves.extend([curve("engine", engine), curve("floor", floor)]);
    // By the floors of the same minutes, so that a machine that slowed down is not taken for growth.
    let growth = ratios.iter().copied().fold(f64::NAN, f64::max) / ratios[0];
    run.report.goals.push(Goal::at_most("10 to 1M zones: the most a ping over that of 10", "", growth, MOST));
    Ok(())
}
