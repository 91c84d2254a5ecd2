//! Thousands of zones on a square kilometre: what a ping costs must follow the boundaries near it, not all zones.

use geopush_geometry::{Position, Shape, geodesic_distance_m};
use geopush_service::BoxError;

use super::{Run, index_of};
use crate::geofence::stand::Cost;
use crate::geofence::traffic::Habits;
use crate::geofence::world::{Kind, World, ZoneMix};
use crate::goal::Goal;
use crate::progress;
use crate::report::Curve;

const DEVICES: usize = 20_000;
const PINGS: usize = 300_000;
const STEPS: [usize; 5] = [125, 250, 500, 1_000, 2_000];
const MOST_ZONES: usize = STEPS[STEPS.len() - 1];
/// Circles of one size while their number grows: the boundaries near a place grow as it does.
const RADIUS_M: f64 = 50.0;
/// A boundary is near a place within this: about what a device's fixes are apart.
const NEAR_M: f64 = 25.0;
/// Places at which the boundaries near are counted.
const PLACES: usize = 100;
/// Few large circles and many small ones whose boundaries are as long together, and so as near to any place.
const FEW: (usize, f64) = (100, 200.0);
const MANY: (usize, f64) = (MOST_ZONES, 10.0);
/// What many zones may cost of what few do, with as many boundaries near.
const MOST: f64 = 1.5;

/// As many zones as ever more boundaries, then as many boundaries by ever more zones.
pub fn run(run: &mut Run<'_>) -> Result<(), BoxError> {
    let mut curves: [Vec<(f64, f64)>; 2] = [Vec::new(), Vec::new()];
    let mut steps = Vec::new();
    for zones in STEPS {
        let (cost, near) = square_kilometre(run, zones, RADIUS_M)?;
        curves[0].push((near, cost.engine_ns));
        curves[1].push((near, cost.floor_ns));
        steps.push((cost.ratio, near));
    }
    let curve = |name: &str, points| Curve {
        chart: "a ping on a square kilometre with ever more zones".to_owned(),
        name: name.to_owned(),
        x: format!("boundaries within {NEAR_M} m"),
        y: "ns/ping".to_owned(),
        points,
    };
    let [engine, floor] = curves;
    run.report.curves.extend([curve("engine", engine), curve("floor", floor)]);
    let ((first, first_near), (last, last_near)) = (steps[0], steps[steps.len() - 1]);
    let growth = (last / first) / (last_near / first_near);
    let (few, _) = square_kilometre(run, FEW.0, FEW.1)?;
    let (many, _) = square_kilometre(run, MANY.0, MANY.1)?;
    run.report.goals.extend([
        Goal::at_most("crowded: growth of a ping over that of the boundaries near it", "", growth, 1.0),
        Goal::at_most(
            "crowded: 2,000 zones over 100 with as many boundaries near",
            "",
            many.ratio / few.ratio,
            MOST,
        ),
    ]);
    Ok(())
}

/// So many circles of one size, and how many boundaries are near a place on average.
fn square_kilometre(run: &mut Run<'_>, zones: usize, radius_m: f64) -> Result<(Cost, f64), BoxError> {
    let mix = ZoneMix::circles(radius_m, radius_m);
    let world = World::square(run.options.seed, zones, zones as f64, mix);
    let what = format!("crowded, {zones} zones of {radius_m} m");
    let index = index_of(&world, &progress::bar(&format!("zones: {what}"), zones as u64)?)?;
    let size = (run.scaled(DEVICES), run.scaled(PINGS));
    let cost = run.measure(&what, &world, &index, Habits::REALISTIC, size)?;
    let near = boundaries_near(&world)?;
    cost.report(&what, &mut run.report);
    run.report.number(&format!("{what}: boundaries within {NEAR_M} m"), "a place", near);
    Ok((cost, near))
}

/// The mean of some places, counted circle by circle.
fn boundaries_near(world: &World) -> Result<f64, BoxError> {
    let mut random = world.random(Kind::Places, 0);
    let places: Vec<_> = (0..PLACES).map(|_| world.cities[0].place(&mut random)).collect();
    let mut near = 0;
    for number in 0..world.zones() {
        let Shape::Circle { center, radius_m, .. } = world.zone(number, 1)?.shape else {
            return Err("the zones of this scenario are circles".into());
        };
        let from_boundary_m = |place: &Position| (geodesic_distance_m(center, *place) - radius_m).abs();
        near += places.iter().filter(|place| from_boundary_m(place) <= NEAR_M).count();
    }
    Ok(near as f64 / PLACES as f64)
}
