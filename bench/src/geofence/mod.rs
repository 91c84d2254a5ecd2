//! What the geofence engine costs, against what memory costs: time a ping, memory a device and a zone, how both grow,
//! and what a change of a zone does to the pings meanwhile.
//!
//! A made-up [`world`] has zones; [`traffic`] is devices on their way through it, whose pings are made before they are
//! measured, a [`block`] at a time. A [`stand`] gives each block to the [`engine`] and to the [`floor`], which loads,
//! changes and stores 64 bytes of the same devices in the same order and does nothing else. Costs are told as ratios of
//! the two, block by block, so that a machine that is slow today is slow for both. Some devices' transitions are held
//! against the slow reference ([`sample`]).

pub mod block;
pub mod engine;
pub mod floor;
pub mod sample;
mod scenario;
pub mod stand;
pub mod traffic;
pub mod world;

use std::collections::BTreeMap;

use geopush_service::BoxError;

use crate::report::{Check, Report};
use scenario::Run;

/// A part of the bench.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Scenario {
    /// Bytes a device and a zone.
    Memory,
    /// 1M zones from cold; changes of live zones, and what they do to the pings meanwhile.
    Changes,
    /// Zones of up to a country's size among 1M small ones.
    Huge,
    /// 1M devices and 1M zones of 10,000 tenants.
    Realistic,
    /// The same with 10M devices.
    #[value(name = "realistic-10m")]
    Realistic10m,
    /// Two slices on two cores, against two floors.
    Cores,
    /// Each ping at a random place among 1M zones.
    Random,
    /// One tenant with 1M zones, 12 over each ping.
    Deep,
    /// From 10 to 1M zones as near to one another.
    Growth,
    /// Thousands of zones on a square kilometre.
    Crowded,
    /// Polygons of 10,000 positions against circles.
    Polygons,
}

/// What to do.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// Only these parts [default: all].
    #[arg(long, value_delimiter = ',')]
    pub only: Vec<Scenario>,
    /// The part of all devices, zones and pings: 0.01 is done in seconds, and proves nothing.
    #[arg(long, default_value_t = 1.0)]
    pub scale: f64,
    /// What the world and the routes are made from.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
}

impl Options {
    fn has(&self, part: Scenario) -> bool {
        self.only.is_empty() || self.only.contains(&part)
    }
}

/// Runs the bench.
///
/// # Errors
/// When it could not be done; what was done wrongly is in the report's checks.
pub fn run(options: &Options) -> Result<Report, BoxError> {
    if !(options.scale > 0.0 && options.scale <= 1.0) {
        return Err("--scale must be above 0 and at most 1".into());
    }
    let mut report = Report::begin("geofence", options.seed);
    let parameters: [(&str, serde_json::Value); 3] = [
        ("only", format!("{:?}", options.only).into()),
        ("scale", options.scale.into()),
        ("huge_pages", huge_pages().into()),
    ];
    report.parameters =
        parameters.map(|(name, value)| (name.to_owned(), value)).into_iter().collect::<BTreeMap<_, _>>();
    let right =
        Check::new("the transitions of some devices of each scenario are those of the slow reference");
    let mut run = Run { options, report, right };
    scenario::run(&mut run)?;
    let Run { mut report, right, .. } = run;
    report.checks.push(right);
    Ok(report)
}

/// Whether the system gives large pages unasked: `always`, `madvise` (the engine does not ask) or `never`; empty where
/// there is no such thing.
fn huge_pages() -> String {
    let choices = std::fs::read_to_string("/sys/kernel/mm/transparent_hugepage/enabled").unwrap_or_default();
    let chosen = choices.split_once('[').and_then(|(_, rest)| rest.split_once(']'));
    chosen.map(|(chosen, _)| chosen.to_owned()).unwrap_or_default()
}
