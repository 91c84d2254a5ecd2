//! Bytes a device and a zone, as the system counts them: what is resident, the allocator's own share included.

use std::ops::Range;

use geopush_geofence::engine::{ZoneChange, ZoneIndex};
use geopush_geometry::Position;
use geopush_model::{Fix, TenantId, UnixMillis};
use geopush_service::BoxError;
use uuid::Uuid;

use super::{CHUNK, Run};
use crate::geofence::block::Block;
use crate::geofence::engine::Engine;
use crate::geofence::stand::BLOCK;
use crate::geofence::world::ZoneMix;
use crate::goal::Goal;
use crate::progress;
use crate::report::Curve;
use crate::usage::resident_bytes;

const DEVICES: usize = 1_000_000;
/// From this part of the devices on, what each costs is told: with few, chunks half empty cost most.
const FROM: usize = DEVICES / 4;
const MOST_BYTES_A_DEVICE: f64 = 96.0;
const MOST_BYTES_A_ZONE: f64 = 500.0;

/// Devices first: nothing was freed before that they could be put into.
pub fn run(run: &mut Run<'_>) -> Result<(), BoxError> {
    devices(run)?;
    zones(run)
}

/// Devices that stand outside all zones, each heard of twice.
fn devices(run: &mut Run<'_>) -> Result<(), BoxError> {
    let devices = run.scaled(DEVICES);
    let bar = progress::bar("devices: memory", devices as u64)?;
    let zones = ZoneIndex::default();
    let mut engine = Engine::default();
    let mut block = Block::default();
    // What the bench itself needs for a block is there before.
    engine.take(&zones, fill(&mut block, 0..1, 0));
    fill(&mut block, 0..u32::try_from(BLOCK)?, 0);
    let before = resident_bytes();
    let (mut points, mut last) = (Vec::new(), 0.0);
    let mut first = 1;
    while first < devices {
        let end = (first + BLOCK).min(devices);
        let numbers = u32::try_from(first)?..u32::try_from(end)?;
        for seconds in [0, 20] {
            engine.take(&zones, fill(&mut block, numbers.clone(), seconds));
        }
        bar.inc((end - first) as u64);
        first = end;
        last = resident_bytes().saturating_sub(before) as f64 / end as f64;
        if end >= run.scaled(FROM) {
            points.push((end as f64, last));
        }
    }
    bar.finish();
    let most = points.iter().map(|point| point.1).fold(0.0, f64::max);
    run.report.number("memory: a device outside all zones", "bytes", last);
    run.report.number("memory: at most while their number grew from a quarter", "bytes", most);
    run.report.curves.push(Curve {
        chart: "memory a device while their number grows".to_owned(),
        name: "resident".to_owned(),
        x: "devices".to_owned(),
        y: "bytes".to_owned(),
        points,
    });
    run.report.goals.push(Goal::at_most(
        "memory: a device outside all zones",
        "bytes",
        last,
        MOST_BYTES_A_DEVICE,
    ));
    Ok(())
}

/// Realistic worlds of 1M zones of one kind each. All stay, so that none is put where another was.
fn zones(run: &mut Run<'_>) -> Result<(), BoxError> {
    let kinds = [
        ("circle", ZoneMix::circles(50.0, 500.0)),
        ("polygon of 5 positions", ZoneMix::polygons(5)),
        ("zone of the realistic mix", ZoneMix::REALISTIC),
    ];
    let mut indexes = Vec::new();
    for (kind, mix) in kinds {
        let world = run.realistic_world(mix);
        let zones = world.zones();
        let bar = progress::bar(&format!("zones: memory a {kind}"), zones as u64)?;
        let before = resident_bytes();
        let index = ZoneIndex::default();
        // In parts, as a log is read: all changes at once would be much of what is resident.
        for first in (0..zones).step_by(CHUNK) {
            let numbers = first..(first + CHUNK).min(zones);
            let changes: Result<Vec<_>, BoxError> =
                numbers.map(|number| Ok(ZoneChange::to(&world.zone(number, 1)?))).collect();
            let changes = changes?;
            index.apply(&changes);
            bar.inc(changes.len() as u64);
        }
        bar.finish();
        let bytes = resident_bytes().saturating_sub(before) as f64 / zones as f64;
        run.report.number(&format!("memory: a {kind}"), "bytes", bytes);
        if kind != "zone of the realistic mix" {
            run.report.goals.push(Goal::at_most(
                &format!("memory: a {kind}"),
                "bytes",
                bytes,
                MOST_BYTES_A_ZONE,
            ));
        }
        indexes.push(index);
    }
    Ok(())
}

/// Fixes of these devices, all at one place and time.
fn fill(block: &mut Block, numbers: Range<u32>, seconds: i64) -> &Block {
    const TENANT: TenantId = TenantId(Uuid::from_u128(1));
    const PLACE: Position = Position { lon: 2.0, lat: 48.0 };
    block.clear();
    for number in numbers {
        let time = UnixMillis(1_000 * seconds);
        let fix = Fix { accuracy_m: Some(8.0), ..Fix::at(PLACE, time) };
        block.push(number, number, TENANT, fix, time);
    }
    block
}
