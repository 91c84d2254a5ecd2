//! The whole way: pings over HTTP, through every stage, to pushes at the sandbox.
//!
//! [`stand`] runs the system and the sandbox, [`town`] makes zones and phones up, [`merchant`] sets everything up over
//! HTTP, [`load`] sends the pings as [`schedule`] says, [`observe`] sees what comes of them, [`stages`] reckons how
//! long it took and [`check`] whether it was right.

pub mod check;
pub mod http;
pub mod load;
pub mod merchant;
pub mod observe;
pub mod schedule;
pub mod stages;
pub mod stand;
pub mod town;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use geopush_model::Zone;
use geopush_service::BoxError;
use indicatif::{ProgressBar, ProgressStyle};

use crate::report::Report;
use crate::usage::{cpu_seconds, directory_bytes, max_resident_bytes};
use check::{ByDevice, ExpectedPush};
use load::{Load, Target};
use observe::{Counts, Observed, Observers};
use schedule::Schedule;
use stand::{Backing, Stand, THREADS};
use town::Town;

/// Nothing came for this long: nothing more will.
const STALLED: Duration = Duration::from_secs(15);
/// How long to look for what must not come, once all that must has.
const AFTERWARDS: Duration = Duration::from_secs(1);

/// What to do.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// Fixes a second [default: 2000; quick: 500].
    #[arg(long)]
    pub rate: Option<u32>,
    /// Seconds that are measured [default: 20; quick: 3].
    #[arg(long)]
    pub duration: Option<f64>,
    /// Seconds before that, made and checked but not measured [default: 2; quick: 0.5].
    #[arg(long)]
    pub warmup: Option<f64>,
    /// Phones on their way [default: 2000; quick: 500].
    #[arg(long)]
    pub phones: Option<usize>,
    /// Zones in the town, which grows with them.
    #[arg(long, default_value_t = 200)]
    pub zones: usize,
    /// Fixes of a phone in one request.
    #[arg(long, default_value_t = 1)]
    pub batch: usize,
    /// Requests that may be under way at once.
    #[arg(long, default_value_t = 64)]
    pub connections: usize,
    /// What the zones and the routes are made from.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// A smoke test of a few seconds; its numbers are worth little.
    #[arg(long)]
    pub quick: bool,
    /// Where the system's files go meanwhile; best on the disk that is to be measured.
    #[arg(long, default_value = "bench-results")]
    pub scratch: PathBuf,
}

impl Options {
    fn schedule(&self) -> Result<Schedule, BoxError> {
        let or = |given: Option<f64>, usual, quick| given.unwrap_or(if self.quick { quick } else { usual });
        let seconds =
            |s: f64| Duration::try_from_secs_f64(s).map_err(|e| format!("{s} is no number of seconds: {e}"));
        let schedule = Schedule {
            rate: or(self.rate.map(f64::from), 2_000.0, 500.0),
            batch: self.batch,
            phones: self.phones.unwrap_or(if self.quick { 500 } else { 2_000 }),
            warmup: seconds(or(self.warmup, 2.0, 0.5))?,
            duration: seconds(or(self.duration, 20.0, 3.0))?,
            first_round: 0,
        };
        let sound =
            schedule.rate > 0.0 && schedule.batch > 0 && schedule.phones > 0 && !schedule.duration.is_zero();
        if !sound || self.zones == 0 {
            return Err("rate, batch, phones, zones and duration must be above 0".into());
        }
        Ok(schedule)
    }
}

/// Runs the bench.
///
/// # Errors
/// When it could not be done; what was done wrongly is in the report's checks.
pub async fn run(options: &Options) -> Result<Report, BoxError> {
    let schedule = options.schedule()?;
    let mut report = Report::begin("e2e", options.seed);
    report.parameters = parameters(options, schedule);
    let town = Town::new(options.seed, options.zones);
    std::fs::create_dir_all(&options.scratch)?;
    let dir = tempfile::Builder::new().prefix("e2e-data-").tempdir_in(&options.scratch)?;
    let stand = Stand::start(dir.path(), &Backing::Embedded).await?;
    let measured = measure(&stand, schedule, &town, options.connections, &dir.path().join("data")).await;
    let stopped = stand.stop().await;
    let measured = measured?;
    stopped?;
    fill(&mut report, schedule, &town, &measured);
    Ok(report)
}

fn parameters(options: &Options, schedule: Schedule) -> BTreeMap<String, serde_json::Value> {
    let all: [(&str, serde_json::Value); 7] = [
        ("rate", schedule.rate.into()),
        ("duration_s", schedule.duration.as_secs_f64().into()),
        ("warmup_s", schedule.warmup.as_secs_f64().into()),
        ("phones", schedule.phones.into()),
        ("zones", options.zones.into()),
        ("batch", schedule.batch.into()),
        ("connections", options.connections.into()),
    ];
    all.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// Everything that was measured.
struct Measured {
    load: Load,
    observed: Observed,
    pings: Vec<geopush_model::Ping>,
    expected: Arc<Expected>,
    cpu_s: BTreeMap<&'static str, f64>,
    data_bytes: u64,
}

/// What must come of the pings.
pub(crate) struct Expected {
    pub(crate) transitions: ByDevice,
    pub(crate) pushes: Vec<ExpectedPush>,
}

async fn measure(
    stand: &Stand,
    schedule: Schedule,
    town: &Town,
    connections: usize,
    data: &Path,
) -> Result<Measured, BoxError> {
    let zones = town.zones(stand.system.tenant)?;
    let campaigns = merchant::set_up(stand, town, schedule.phones).await?;
    let observers = Observers::start(&stand.system.log, &stand.sandbox);
    let target = Target {
        ingest: stand.system.ingest,
        key: stand.system.publishable_key.as_str().into(),
        connections,
    };
    let accepted = Arc::new(AtomicU64::new(0));
    let bar = progress(schedule, &accepted, &observers.counts);
    let before = cpu_seconds(&THREADS, "rest");
    let load = load::run(schedule, town, &target, &accepted).await;
    bar.abort();
    let load = load?;
    let pings = Arc::new(observe::pings(&stand.system.log).await?);
    let expected = expect(stand, &zones, campaigns, &pings).await?;
    settle(&expected, &observers.counts).await;
    let after = cpu_seconds(&THREADS, "rest");
    let data_bytes = directory_bytes(data);
    let observed = observers.finish().await?;
    let cpu_s = after.iter().map(|(part, s)| (*part, s - before.get(part).unwrap_or(&0.0))).collect();
    Ok(Measured { load, observed, pings: Arc::unwrap_or_clone(pings), expected, cpu_s, data_bytes })
}

/// What must come of the pings in the log.
pub(crate) async fn expect(
    stand: &Stand,
    zones: &[Zone],
    campaigns: Vec<(&'static str, geopush_model::CampaignId)>,
    pings: &Arc<Vec<geopush_model::Ping>>,
) -> Result<Arc<Expected>, BoxError> {
    let (tenant, zones, pings) = (stand.system.tenant, zones.to_vec(), Arc::clone(pings));
    let expected = tokio::task::spawn_blocking(move || {
        let transitions = check::reference(tenant, &zones, &pings);
        let pushes = check::expected_pushes(tenant, &zones, &campaigns, &transitions);
        Expected { transitions, pushes }
    });
    Ok(Arc::new(expected.await?))
}

/// Waits until everything that must come has, or nothing more does; then a moment for what must not.
pub(crate) async fn settle(expected: &Expected, counts: &Counts) {
    let sent = expected.pushes.iter().filter(|push| push.token.is_some()).count();
    let transitions: usize = expected.transitions.values().map(Vec::len).sum();
    let wanted = [transitions, sent, sent, expected.pushes.len()].map(|count| count as u64);
    let mut last = (counts.all(), Instant::now());
    while counts.all().iter().zip(wanted).any(|(count, wanted)| *count < wanted) && last.1.elapsed() < STALLED
    {
        tokio::time::sleep(Duration::from_millis(20)).await;
        let now = counts.all();
        if now != last.0 {
            last = (now, Instant::now());
        }
    }
    tokio::time::sleep(AFTERWARDS).await;
}

/// Shows how far it is, until aborted.
fn progress(
    schedule: Schedule,
    accepted: &Arc<AtomicU64>,
    counts: &Arc<Counts>,
) -> tokio::task::JoinHandle<()> {
    let (accepted, counts) = (Arc::clone(accepted), Arc::clone(counts));
    let total = (schedule.requests() * schedule.batch) as u64;
    tokio::spawn(async move {
        let bar = ProgressBar::new(total);
        let style = "{elapsed_precise} {bar:32} {human_pos}/{human_len} fixes, {per_sec}  {msg}";
        if let Ok(style) = ProgressStyle::with_template(style) {
            bar.set_style(style);
        }
        loop {
            bar.set_position(accepted.load(Ordering::Relaxed));
            let [transitions, _, sent, _] = counts.all();
            bar.set_message(format!("{transitions} transitions, {sent} pushes"));
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    })
}

fn fill(report: &mut Report, schedule: Schedule, town: &Town, measured: &Measured) {
    let Measured { load, observed, pings, expected, cpu_s, data_bytes } = measured;
    let seconds = schedule.duration.as_secs_f64();
    let accepted: u64 = load.accepted_by_second.iter().sum();
    let fixes = (schedule.requests() * schedule.batch) as f64;
    let count = |report: &mut Report, name: &str, value: usize| report.number(name, "", value as f64);
    report.number("fixes due", "fixes/s", schedule.rate);
    report.number("fixes accepted in time", "fixes/s", accepted as f64 / seconds);
    count(report, "requests", schedule.requests());
    report.number("requests begun late", "", load.late as f64);
    report.number("requests not accepted", "", load.errors.values().sum::<u64>() as f64);
    for (error, times) in &load.errors {
        report.number(&format!("not accepted: {error}"), "", *times as f64);
    }
    count(report, "transitions", observed.transitions.len());
    count(report, "pushes decided", observed.pushes.len());
    count(report, "pushes that a provider took", observed.sent.len());
    let suppressed = expected.pushes.iter().filter(|push| push.token.is_none()).count();
    count(report, "pushes to be suppressed", suppressed);
    for (part, s) in cpu_s {
        report.number(&format!("processor time, {part}"), "s", *s);
    }
    let system_s = cpu_s.get("system").copied().unwrap_or(0.0);
    report.number("processor time a fix, system", "µs", system_s * 1e6 / fixes);
    report.number("memory at most, whole process", "MB", max_resident_bytes() as f64 / 1e6);
    report.number("data directory", "MB", *data_bytes as f64 / 1e6);
    report.latencies = stages::latencies(schedule, load, observed);
    report.series = stages::series(schedule, load, observed);
    report.checks = vec![
        check::pings_are_kept(&[(schedule, &load.fates)], town, pings),
        check::transitions_are_right(&expected.transitions, observed),
    ];
    report.checks.extend(check::pushes_are_right(&expected.pushes, observed));
}
