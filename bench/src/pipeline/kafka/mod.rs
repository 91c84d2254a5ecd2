//! How fast the evaluator works off a backlog on Kafka, against a null stage: the same clients with the same settings,
//! the same records in and out, and nothing in between.
//!
//! A round has one run of each kind: the evaluator, the null stage in transactions, the null stage at least once, and one
//! in transactions that decodes each ping, which is the least that an evaluator does. Each run of the evaluator has topics
//! of its own, filled alike and read once; the null stages leave nothing behind that the next would meet, and share
//! theirs. They commit as many pings at once as the evaluator did.

mod backlog;

use std::collections::BTreeMap;
use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use geopush_geofence::{Dependencies, GeofenceConfig};
use geopush_log::baseline::{Baseline, Guarantee, NullStage};
use geopush_log::{KafkaLog, KafkaOptions, Record, SharedLog, Topic};
use geopush_model::{Ping, Transition, UnixMillis, Wire as _};
use geopush_service::BoxError;
use geopush_service::clock::{Clock as _, SystemClock};
use geopush_service::health::Health;
use geopush_service::shutdown::Shutdown;
use geopush_service::telemetry::{self, LogFormat};
use indicatif::ProgressBar;
use uuid::Uuid;

use super::timeline::{Timeline, median};
use super::transactions::spent;
use super::watched::{Taken, Watched, wait_for};
use crate::e2e::check::{reference, transitions_are_right};
use crate::e2e::observe::{Observed, Seen};
use crate::e2e::town::Town;
use crate::goal::Goal;
use crate::progress;
use crate::report::{Check, Report};
use crate::usage::process_cpu_seconds;
use backlog::Backlog;

/// Nothing was committed for this long: nothing more will be.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often the ends of partitions are looked at until they hold everything.
const LOOK: Duration = Duration::from_millis(20);
/// The group that reads a backlog before the evaluator does, and how many pings it commits at once.
const WARM_UP: &str = "bench.warm-up";
const WARM_UP_AT_ONCE: u64 = 20_000;

/// What to work off, and how often.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Pings in the backlog.
    pub pings: usize,
    /// Phones that they are of.
    pub phones: usize,
    /// Zones among which they are.
    pub zones: usize,
    /// What zones and routes are made from.
    pub seed: u64,
    /// Rounds that count; one goes before them.
    pub rounds: usize,
}

/// What runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Evaluator,
    Null,
    NullAtLeastOnce,
    NullThatReads,
}

impl Kind {
    const ALL: [Self; 4] = [Self::Evaluator, Self::Null, Self::NullAtLeastOnce, Self::NullThatReads];

    fn name(self) -> &'static str {
        match self {
            Self::Evaluator => "evaluator",
            Self::Null => "null stage",
            Self::NullAtLeastOnce => "null stage, at least once",
            Self::NullThatReads => "null stage, pings decoded",
        }
    }
}

/// What a run of the evaluator shows of its work, so that the null stage can do as much.
struct Example {
    /// Published, by slice.
    outputs: Vec<Vec<Record>>,
    /// Pings in a transaction.
    at_once: u64,
}

/// What the null stages work on.
struct Null<'a> {
    baseline: Baseline,
    /// How many pings each partition has.
    inputs: Vec<u64>,
    example: &'a Example,
    /// Each run's group, since each begins at the beginning.
    groups: Vec<String>,
}

/// A run that counts.
struct Run {
    timeline: Timeline,
    /// Of the evaluator transitions, of a null stage all records.
    published: u64,
    transactions: u64,
    cpu_s: f64,
}

/// Runs this part, and adds what it found to the report.
///
/// # Errors
/// When the brokers can't be used.
pub async fn run(plan: Plan, brokers: &str, report: &mut Report) -> Result<(), BoxError> {
    let now = UnixMillis(SystemClock.now_ms());
    let town = Town::new(plan.seed, plan.zones);
    let backlog = Backlog::new(&town, plan.phones, plan.pings, now)?;
    let metrics = telemetry::init(LogFormat::Text, "warn")?;
    // The evaluator's are filled and worked off, and the null stages' are filled once.
    let total = ((plan.rounds + 1) * (Kind::ALL.len() + 1) + 1) * plan.pings;
    let bar = progress::bar("pings", total as u64)?;
    let bench = Bench { plan, brokers: brokers.to_owned(), backlog, metrics, bar };
    bench.rounds(report).await
}

struct Bench {
    plan: Plan,
    brokers: String,
    backlog: Backlog,
    metrics: telemetry::Metrics,
    bar: ProgressBar,
}

impl Bench {
    async fn rounds(&self, report: &mut Report) -> Result<(), BoxError> {
        let mut runs: BTreeMap<Kind, Vec<Run>> = BTreeMap::new();
        let mut all = Check::new("every ping of the backlog was consumed and committed once");
        // How often a device's state is published depends on how its pings fall into batches.
        let mut same =
            Check::new("every run published as many transitions as the first, or what the first did");
        // The first round warms the servers up; its evaluator is the example, and is checked.
        let (example, first) = self.evaluate(Watched::keeping).await?;
        let transitions = self.transitions_are_right(&example)?;
        let published = [first.published, example.outputs.iter().map(|of| of.len() as u64).sum()];
        let (kafka, log) = self.open().await?;
        let inputs = self.ends(&log).await?;
        let mut null = Null { baseline: kafka.baseline(), inputs, example: &example, groups: Vec::new() };
        for round in 0..=self.plan.rounds {
            // Whoever comes later finds the servers warmer and fuller: they take turns.
            let turns = (0..Kind::ALL.len()).map(|turn| Kind::ALL[(turn + round) % Kind::ALL.len()]);
            for kind in turns.filter(|kind| round > 0 || *kind != Kind::Evaluator) {
                self.bar.set_message(kind.name());
                let run = match kind {
                    Kind::Evaluator => self.evaluate(Watched::new).await?.1,
                    Kind::Null => self.null(&mut null, Guarantee::ExactlyOnce, |_| ()).await?,
                    Kind::NullAtLeastOnce => self.null(&mut null, Guarantee::AtLeastOnce, |_| ()).await?,
                    Kind::NullThatReads => self.null(&mut null, Guarantee::ExactlyOnce, decode).await?,
                };
                let done = run.timeline.total();
                all.compare(
                    (done != self.plan.pings as u64).then_some(|| format!("{}: {done}", kind.name())),
                );
                let published = published[usize::from(kind != Kind::Evaluator)];
                let tell = || format!("{}: {} and not {published}", kind.name(), run.published);
                same.compare((run.published != published).then_some(tell));
                if round > 0 {
                    runs.entry(kind).or_default().push(run);
                }
            }
        }
        self.bar.finish_and_clear();
        log.close().await;
        null.baseline.remove(&null.groups.iter().map(String::as_str).collect::<Vec<_>>()).await?;
        tell(report, &runs, &example);
        report.checks.extend([all, same, transitions]);
        Ok(())
    }

    async fn open(&self) -> Result<(Arc<KafkaLog>, SharedLog), BoxError> {
        let log = Arc::new(
            KafkaLog::open(KafkaOptions {
                brokers: self.brokers.clone(),
                prefix: format!("bench-{}.", &Uuid::new_v4().simple().to_string()[..8]),
                partitions: KafkaOptions::PARTITIONS,
                replication: 1,
                properties: BTreeMap::new(),
            })
            .await?,
        );
        let shared: SharedLog = log.clone();
        self.backlog.fill(&shared, &self.bar).await?;
        Ok((log, shared))
    }

    async fn evaluate(&self, watch: fn(SharedLog) -> Watched) -> Result<(Example, Run), BoxError> {
        let (kafka, log) = self.open().await?;
        self.read_once(&kafka, &log).await?;
        let watched = watch(log);
        let seen = Arc::clone(&watched.seen);
        let log: SharedLog = Arc::new(watched);
        let (shutdown, before, cpu) = (Shutdown::new(), self.transactions(), process_cpu_seconds());
        let dependencies = Dependencies {
            log: Arc::clone(&log),
            clock: SystemClock::shared(),
            health: Health::new(shutdown.clone()),
        };
        let served = geopush_geofence::serve(GeofenceConfig::default(), dependencies, shutdown.clone());
        let stage = tokio::spawn(served);
        let counted = Arc::clone(&seen);
        let shown = progress::follow(&self.bar, move || counted.done.load(Ordering::Relaxed));
        let done = wait_for(&seen.done, self.plan.pings as u64, PATIENCE).await;
        let (transactions, cpu_s) = (self.transactions() - before, process_cpu_seconds() - cpu);
        drop(shown);
        shutdown.request();
        stage.await??;
        done?;
        log.close().await;
        kafka.baseline().remove(&["geopush.geofence", WARM_UP]).await?;
        let Taken { timeline, outputs: mut by_slice, transitions: published, failed } = seen.take();
        if failed > 0 {
            return Err(format!("{failed} commits failed; look after the brokers").into());
        }
        let slices = 0..log.partitions(Topic::Pings);
        let outputs: Vec<Vec<Record>> =
            slices.map(|slice| by_slice.remove(&slice).unwrap_or_default()).collect();
        let at_once = (self.plan.pings as u64).div_ceil(transactions.max(1));
        Ok((Example { outputs, at_once }, Run { timeline, published, transactions, cpu_s }))
    }

    /// Reads the backlog, so that the evaluator does not find it colder than the null stages find theirs.
    async fn read_once(&self, kafka: &KafkaLog, log: &SharedLog) -> Result<(), BoxError> {
        let inputs = self.ends(log).await?;
        let stage = NullStage {
            group: WARM_UP.to_owned(),
            input: Topic::Pings,
            outputs: vec![Vec::new(); inputs.len()],
            inputs,
            at_once: WARM_UP_AT_ONCE,
            guarantee: Guarantee::AtLeastOnce,
            look: |_| (),
        };
        let baseline = kafka.baseline();
        tokio::task::spawn_blocking(move || baseline.run(&stage, &AtomicU64::new(0))).await??;
        Ok(())
    }

    async fn null(
        &self,
        null: &mut Null<'_>,
        guarantee: Guarantee,
        look: fn(&[u8]),
    ) -> Result<Run, BoxError> {
        let group = format!("bench.null-{}", null.groups.len());
        null.groups.push(group.clone());
        let (inputs, outputs) = (null.inputs.clone(), null.example.outputs.clone());
        let at_once = null.example.at_once;
        let stage = NullStage { group, input: Topic::Pings, inputs, outputs, at_once, guarantee, look };
        let done = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&done);
        let shown = progress::follow(&self.bar, move || counted.load(Ordering::Relaxed));
        let (baseline, cpu) = (null.baseline.clone(), process_cpu_seconds());
        let ran = tokio::task::spawn_blocking(move || baseline.run(&stage, &done)).await??;
        let cpu_s = process_cpu_seconds() - cpu;
        drop(shown);
        let transactions = ran.commits.len() as u64;
        let timeline = Timeline { began: ran.began, marks: ran.commits };
        Ok(Run { timeline, published: ran.published, transactions, cpu_s })
    }

    /// How many pings each partition has. What a broker says of a partition that was just made may be a moment old.
    async fn ends(&self, log: &SharedLog) -> Result<Vec<u64>, BoxError> {
        let began = Instant::now();
        loop {
            let mut ends = Vec::new();
            for partition in 0..log.partitions(Topic::Pings) {
                ends.push(log.end(Topic::Pings, partition).await?);
            }
            let found: u64 = ends.iter().sum();
            if found == self.plan.pings as u64 {
                return Ok(ends);
            }
            if began.elapsed() > PATIENCE {
                return Err(format!(
                    "{found} of {} pings are there; look after the brokers",
                    self.plan.pings
                )
                .into());
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Transactions of the evaluator until now.
    fn transactions(&self) -> u64 {
        spent(&self.metrics.render()).get("geofence").map_or(0, |spent| spent.transactions as u64)
    }

    fn transitions_are_right(&self, example: &Example) -> Result<Check, BoxError> {
        let expected = reference(self.backlog.tenant, &self.backlog.zones, &self.backlog.pings);
        let mut observed = Observed::default();
        let at = Instant::now();
        for record in example.outputs.iter().flatten().filter(|record| record.topic == Topic::Transitions) {
            let value = record.value.as_ref().ok_or("a transition has a value")?;
            observed.transitions.push(Seen { at, what: Transition::decode(value)? });
        }
        Ok(transitions_are_right(&expected, &observed))
    }
}

/// The least that an evaluator does with a ping.
fn decode(value: &[u8]) {
    drop(black_box(Ping::decode(value)));
}

fn tell(report: &mut Report, runs: &BTreeMap<Kind, Vec<Run>>, example: &Example) {
    let of = |kind: Kind, value: fn(&Run) -> f64| -> Vec<f64> {
        runs.get(&kind).into_iter().flatten().map(value).collect()
    };
    let rates = |kind| of(kind, |run| run.timeline.rate());
    report.number("kafka: pings at once", "", example.at_once as f64);
    let bytes =
        example.outputs.iter().flatten().map(|r| r.key.len() + r.value.as_ref().map_or(0, bytes::Bytes::len));
    report.number("kafka: bytes out", "bytes", bytes.sum::<usize>() as f64);
    for kind in Kind::ALL {
        let name = kind.name();
        report.number(&format!("kafka: {name}"), "pings/s", median(rates(kind)));
        report.number(
            &format!("kafka: {name}, first to last"),
            "s",
            median(of(kind, |run| run.timeline.took().as_secs_f64())),
        );
        report.number(
            &format!("kafka: {name}, transactions"),
            "",
            median(of(kind, |run| run.transactions as f64)),
        );
        report.number(&format!("kafka: {name}, processor time"), "s", median(of(kind, |run| run.cpu_s)));
        if let Some(run) = runs.get(&kind).and_then(|runs| runs.last()) {
            report.series.push(run.timeline.series(name, "pings/s"));
        }
    }
    let ratios = |a, b| -> Vec<f64> { rates(a).into_iter().zip(rates(b)).map(|(a, b)| a / b).collect() };
    let evaluator = ratios(Kind::Evaluator, Kind::Null);
    let transactions = ratios(Kind::Null, Kind::NullAtLeastOnce);
    for (round, (a, b)) in evaluator.iter().zip(&transactions).enumerate() {
        report.number(&format!("kafka: evaluator / null, round {}", round + 1), "", *a);
        report.number(&format!("kafka: transactions / at least once, {}", round + 1), "", *b);
    }
    let decoding = median(ratios(Kind::NullThatReads, Kind::Null));
    report.number("kafka: null stage, pings decoded / null stage", "", decoding);
    report.goals.push(Goal::at_least("pings on Kafka, evaluator / null stage", "", median(evaluator), 0.9));
    let costs = median(transactions.iter().map(|ratio| 100.0 * (1.0 / ratio - 1.0)).collect());
    report.goals.push(Goal::at_most("what transactions cost over at least once", "%", costs, 10.0));
}
