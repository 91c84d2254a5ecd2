//! The world as it is: most devices stand still, and a ping changes nothing.

use geopush_geofence::engine::ZoneIndex;
use geopush_service::BoxError;

use super::Run;
use crate::geofence::traffic::Habits;
use crate::geofence::world::World;
use crate::goal::Goal;
use crate::machine::{field, kilobytes};

const DEVICES: usize = 1_000_000;
const TENFOLD: usize = 10_000_000;
const PINGS: usize = 4_000_000;
/// How often the floor a ping may cost.
const MOST: f64 = 2.5;
/// What the larger run needs: the engine's share, the floor's and the load's own, with room for the members.
const BYTES_A_DEVICE: usize = 450;

/// 1M devices among 1M zones of 10,000 tenants. And the same if all stood: what the way costs that most pings take.
pub fn run(run: &mut Run<'_>, world: &World, zones: &ZoneIndex) -> Result<(), BoxError> {
    let size = (run.scaled(DEVICES), run.scaled(PINGS));
    let cost = run.measure("realistic", world, zones, Habits::REALISTIC, size)?;
    cost.report("realistic", &mut run.report);
    let standing = run.measure("realistic, all standing", world, zones, Habits::STANDING, size)?;
    standing.report("realistic, all standing", &mut run.report);
    run.report.goals.extend([
        Goal::at_most("realistic: 1M devices, 1M zones: a ping over the floor", "", cost.ratio, MOST),
        Goal::at_least("realistic: aim", "pings/s", cost.pings_a_second(), 1e7),
    ]);
    Ok(())
}

/// The same zones and ten times the devices, where the machine's memory allows.
pub fn run_tenfold(run: &mut Run<'_>, world: &World, zones: &ZoneIndex) -> Result<(), BoxError> {
    let size = (run.scaled(TENFOLD), run.scaled(PINGS));
    let (needed, free) = (size.0 * BYTES_A_DEVICE, available_bytes());
    let ratio = if free.is_none_or(|free| free >= needed as u64) {
        let cost = run.measure("realistic, 10M devices", world, zones, Habits::REALISTIC, size)?;
        cost.report("realistic 10M", &mut run.report);
        cost.ratio
    } else {
        run.report.number("realistic 10M: not run, it needs memory", "GB", needed as f64 / 1e9);
        f64::NAN
    };
    run.report.goals.push(Goal::at_most("realistic: 10M devices: a ping over the floor", "", ratio, MOST));
    Ok(())
}

/// What the system says that it can still give.
fn available_bytes() -> Option<u64> {
    let memory = std::fs::read_to_string("/proc/meminfo").ok()?;
    field(&memory, "MemAvailable").and_then(kilobytes)
}
