//! Very many devices are restored from what was written down of them.

use std::collections::BTreeMap;
use std::time::Instant;

use geopush_geofence::engine::DeviceHash;
use geopush_geometry::Position;
use geopush_log::{Record, Topic, partition_of};
use geopush_model::{DeviceEntry, DeviceKey, DeviceState, Fix, Wire as _};
use geopush_service::BoxError;
use geopush_service::telemetry::{self, LogFormat};
use indicatif::ProgressBar;

use super::{PATIENCE, Site, device, now};
use crate::goal::Goal;
use crate::report::Report;

/// A million devices are back by then.
const RESTORED_S: f64 = 10.0;
/// Entries of a record: it stays below what the log takes.
const IN_A_RECORD: usize = 3_000;
const GAUGE: &str = "geopush_geofence_devices ";

pub(super) async fn run(
    devices: usize,
    site: &Site,
    bar: &ProgressBar,
    report: &mut Report,
) -> Result<(), BoxError> {
    bar.set_message(format!("{}: they are written down", site.name));
    let (records, counts) = written_down(devices, site)?;
    for (record, count) in records.into_iter().zip(counts) {
        site.log.append(vec![record]).await?;
        bar.inc(count as u64);
    }
    bar.set_message(format!("{}: they are restored", site.name));
    let metrics = telemetry::init(LogFormat::Text, "warn")?;
    let known = || {
        let text = metrics.render();
        let line = text.lines().find_map(|line| line.strip_prefix(GAUGE));
        line.and_then(|value| value.parse::<f64>().ok()).unwrap_or(0.0) as usize
    };
    let before = known();
    let began = Instant::now();
    let running = site.run();
    while known() < before + devices {
        if began.elapsed() > PATIENCE {
            return Err(format!("after {PATIENCE:?} {} of {devices} devices are restored", known()).into());
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    let took_s = began.elapsed().as_secs_f64();
    running.stop().await?;
    let name = format!("{devices} devices restored, {}", site.name);
    report.goals.push(Goal::at_most(&name, "s", took_s, RESTORED_S));
    Ok(())
}

/// The changelog's records, each with how many devices it has.
fn written_down(devices: usize, site: &Site) -> Result<(Vec<Record>, Vec<usize>), BoxError> {
    let partitions = site.log.partitions(Topic::DeviceState);
    let mut buckets: BTreeMap<(u32, u8), Vec<DeviceEntry>> = BTreeMap::new();
    for number in 0..devices {
        // The names that phones make up for themselves are UUIDs.
        let name = uuid::Uuid::from_u128(number as u128 * 0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c834);
        let key = DeviceKey { tenant: site.tenant, device: device(&name.to_string())? };
        let at = Position::new((number % 3_600) as f64 / 10.0 - 180.0, (number % 1_600) as f64 / 10.0 - 80.0);
        let entry = DeviceEntry {
            tenant: key.tenant,
            device: key.device.clone(),
            incarnation: now(),
            seq: 0,
            last_fix: Fix { accuracy_m: Some(12.0), ..Fix::at(at.ok_or("a place on earth")?, now()) },
            last_received: now(),
            memberships: Vec::new(),
        };
        let bucket = DeviceHash::of(key.tenant, &key.device).bucket();
        buckets.entry((partition_of(&key.to_bytes(), partitions), bucket)).or_default().push(entry);
    }
    let mut records = (Vec::new(), Vec::new());
    for ((partition, bucket), entries) in buckets {
        for (part, entries) in entries.chunks(IN_A_RECORD).enumerate() {
            let key = if part == 0 { format!("#{bucket}") } else { format!("#{bucket}.{part}") };
            let state = DeviceState { devices: entries.to_vec(), as_of: 0 };
            records.0.push(Record::new(Topic::DeviceState, key, state.encode()).at(partition));
            records.1.push(entries.len());
        }
    }
    Ok(records)
}
