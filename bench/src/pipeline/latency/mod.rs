//! How long it takes from an accepted ping to a push that the provider has accepted, at half of the load that the
//! whole system can take: all roles in this process, the sandbox and the load beside them.

mod ramp;

use std::path::Path;
use std::time::{Duration, Instant};

use geopush_model::CampaignId;
use geopush_service::BoxError;
use geopush_service::telemetry::{self, LogFormat};
use indicatif::ProgressBar;

use super::transactions;
use crate::e2e::load::{self, Load, Target};
use crate::e2e::observe::{self, Counts, Observers};
use crate::e2e::schedule::Schedule;
use crate::e2e::stand::{Backing, Stand};
use crate::e2e::town::Town;
use crate::e2e::{check, expect, merchant, settle, stages};
use crate::goal::Goal;
use crate::progress;
use crate::report::Report;
use ramp::{Ramp, Saturation, Step};

/// No push came for this long: none is under way.
const QUIET: Duration = Duration::from_millis(1_500);
/// A system that still works off what it took is waited for no longer.
const LONGEST: Duration = Duration::from_secs(60);
/// How often it is looked whether pushes came.
const LOOK: Duration = Duration::from_millis(10);
/// A first load, so that no other meets connections that are not open yet and code that is not compiled yet.
const WARM_UP: Duration = Duration::from_secs(12);
/// Its share of the rate at which the search begins.
const WARM_UP_SHARE: f64 = 0.25;
/// The beginning of the measured load, which is not measured.
const LEAD_IN: Duration = Duration::from_secs(2);
/// The share of the saturating load at which latencies are measured.
const SHARE: f64 = 0.5;

/// What to load the system with.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Seconds that are measured.
    pub seconds: f64,
    /// Seconds of each load of the ramp.
    pub step_s: f64,
    /// Fixes a second to begin with.
    pub first_rate: f64,
    /// Loads of the ramp, at most.
    pub steps: usize,
    /// Phones on their way.
    pub phones: usize,
    /// Zones among which they are.
    pub zones: usize,
    /// Requests that may be under way at once.
    pub connections: usize,
    /// What zones and routes are made from.
    pub seed: u64,
}

/// How a system is called, and what is promised of it: p50 and p99, in milliseconds.
#[derive(Clone, Copy, Debug)]
pub struct Promise {
    /// Its name.
    pub name: &'static str,
    /// The median is at most this.
    pub p50_ms: f64,
    /// Of a hundred one may be longer.
    pub p99_ms: f64,
}

/// On the embedded default.
pub const EMBEDDED: Promise = Promise { name: "embedded", p50_ms: 60.0, p99_ms: 250.0 };
/// On Kafka and Cassandra beside it on the same machine.
pub const FLEET: Promise = Promise { name: "Kafka, Cassandra", p50_ms: 100.0, p99_ms: 500.0 };

/// Runs this part on one system, and adds what it found to the report.
///
/// # Errors
/// When the system can't be run, or can't take the smallest load.
pub async fn run(
    plan: Plan,
    promise: Promise,
    backing: &Backing,
    scratch: &Path,
    report: &mut Report,
) -> Result<(), BoxError> {
    let dir = tempfile::Builder::new().prefix("pipeline-data-").tempdir_in(scratch)?;
    let stand = Stand::start(dir.path(), backing).await?;
    let measured =
        Bench { plan, promise, stand: &stand, town: Town::new(plan.seed, plan.zones) }.measure(report).await;
    let stopped = stand.stop().await;
    measured?;
    stopped
}

struct Bench<'a> {
    plan: Plan,
    promise: Promise,
    stand: &'a Stand,
    town: Town,
}

/// A load that was made.
struct Made {
    schedule: Schedule,
    load: Load,
}

impl Bench<'_> {
    async fn measure(&self, report: &mut Report) -> Result<(), BoxError> {
        let bar = progress::bar("loads", self.plan.steps as u64 + 2)?;
        bar.set_message(format!("{}: setting up", self.promise.name));
        let campaigns = merchant::set_up(self.stand, &self.town, self.plan.phones).await?;
        let observers = Observers::start(&self.stand.system.log, &self.stand.sandbox);
        let mut made = Vec::new();
        let warm_up = self.schedule(
            self.plan.first_rate * WARM_UP_SHARE,
            Duration::ZERO,
            WARM_UP.as_secs_f64().min(3.0 * self.plan.step_s),
            &made,
        );
        self.load(warm_up, &observers.counts, &mut made).await?;
        bar.inc(1);
        let found = self.ramp(&observers.counts, &mut made, &bar, report).await?;
        let rate = found * SHARE;
        bar.set_message(format!("{}: {rate:.0} fixes/s, half of what it can take", self.promise.name));
        let measured = self.schedule(rate, LEAD_IN, self.plan.seconds, &made);
        let metrics = telemetry::init(LogFormat::Text, "warn")?;
        let before = metrics.render();
        self.load(measured, &observers.counts, &mut made).await?;
        transactions::tell(report, self.promise.name, &before, &metrics.render());
        bar.finish_and_clear();
        self.finish(observers, &made, campaigns, report).await
    }

    /// The saturating rate.
    async fn ramp(
        &self,
        counts: &Counts,
        made: &mut Vec<Made>,
        bar: &ProgressBar,
        report: &mut Report,
    ) -> Result<f64, BoxError> {
        let mut ramp = Ramp::new(self.plan.first_rate, self.plan.steps);
        let name = self.promise.name;
        while let Some(rate) = ramp.next() {
            bar.set_message(format!("{name}: {rate:.0} fixes/s"));
            let schedule = self.schedule(rate, Duration::ZERO, self.plan.step_s, made);
            let step = self.load(schedule, counts, made).await?;
            ramp.tried(&step);
            bar.inc(1);
            let kept = if step.was_kept_up_with() { "kept up" } else { "too much" };
            bar.suspend(|| {
                eprintln!(
                    "{name}: {rate:.0} fixes/s: {kept} ({:.0} % in time, last push after {:.2} s)",
                    100.0 * step.in_time,
                    step.last_push_s
                );
            });
        }
        let found = ramp.found();
        let what = match found {
            Saturation::At(_) => "saturating load",
            Saturation::Beyond(_) => "saturating load is beyond",
            Saturation::Below(_) => "saturating load is below",
        };
        report.number(&format!("{name}: {what}"), "fixes/s", found.rate());
        Ok(found.rate())
    }

    fn schedule(&self, rate: f64, warmup: Duration, seconds: f64, made: &[Made]) -> Schedule {
        Schedule {
            rate,
            batch: 1,
            phones: self.plan.phones,
            warmup,
            duration: Duration::from_secs_f64(seconds),
            first_round: made.last().map_or(0, |made| made.schedule.next().first_round),
        }
    }

    /// Makes a load, and waits until nothing of it is under way.
    async fn load(
        &self,
        schedule: Schedule,
        counts: &Counts,
        made: &mut Vec<Made>,
    ) -> Result<Step, BoxError> {
        let key = self.stand.system.publishable_key.as_str().into();
        let target = Target { ingest: self.stand.system.ingest, key, connections: self.plan.connections };
        let load = load::run(schedule, &self.town, &target, &std::sync::Arc::default()).await?;
        let end = load.began + schedule.warmup + schedule.duration;
        let accepted: u64 = load.accepted_by_second.iter().sum();
        let due = schedule.rate * schedule.duration.as_secs_f64();
        made.push(Made { schedule, load });
        let last_push = quiet(counts).await;
        Ok(Step {
            rate: schedule.rate,
            in_time: accepted as f64 / due,
            last_push_s: last_push.saturating_duration_since(end).as_secs_f64(),
        })
    }

    async fn finish(
        &self,
        observers: Observers,
        made: &[Made],
        campaigns: Vec<(&'static str, CampaignId)>,
        report: &mut Report,
    ) -> Result<(), BoxError> {
        let zones = self.town.zones(self.stand.system.tenant)?;
        let pings = std::sync::Arc::new(observe::pings(&self.stand.system.log).await?);
        let expected = expect(self.stand, &zones, campaigns, &pings).await?;
        settle(&expected, &observers.counts).await;
        let observed = observers.finish().await?;
        let Some(Made { schedule, load }) = made.last() else { return Err("no load was made".into()) };
        let (name, promise) = (self.promise.name, self.promise);
        report.number(&format!("{name}: measured at"), "fixes/s", schedule.rate);
        let accepted = stages::accepted_to_sent(*schedule, load, &observed);
        let accepted = accepted.summary(&format!("{name}: 202 → push accepted"));
        let ms = |us: u64| if accepted.count > 0 { us as f64 / 1e3 } else { f64::NAN };
        report.goals.extend([
            Goal::at_most(&format!("ping to push, p50, {name}"), "ms", ms(accepted.p50_us), promise.p50_ms),
            Goal::at_most(&format!("ping to push, p99, {name}"), "ms", ms(accepted.p99_us), promise.p99_ms),
        ]);
        report.latencies.push(accepted);
        for mut latency in stages::latencies(*schedule, load, &observed) {
            latency.stage = format!("{name}: {}", latency.stage);
            report.latencies.push(latency);
        }
        let loads: Vec<_> = made.iter().map(|made| (made.schedule, made.load.fates.as_slice())).collect();
        let mut checks = vec![
            check::pings_are_kept(&loads, &self.town, &pings),
            check::transitions_are_right(&expected.transitions, &observed),
        ];
        checks.extend(check::pushes_are_right(&expected.pushes, &observed));
        for mut check in checks {
            check.claim = format!("{name}: {}", check.claim);
            report.checks.push(check);
        }
        Ok(())
    }
}

/// When the last push came, once no more do.
async fn quiet(counts: &Counts) -> Instant {
    let began = Instant::now();
    let (mut last, mut changed) = (counts.all(), began);
    while changed.elapsed() < QUIET && began.elapsed() < LONGEST {
        tokio::time::sleep(LOOK).await;
        let now = counts.all();
        if now != last {
            (last, changed) = (now, Instant::now());
        }
    }
    changed
}
