//! How fast deliveries become rows: the record stage, fed from memory, against inserts with the driver alone.
//!
//! Both write the same rows of each delivery into the same tables, for tenants of their own, and take turns. The stage
//! also decodes, groups, keeps the totals and the lists of buckets.

mod deliveries;
mod feed;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use geopush_dispatcher::record::{self, RecordConfig, RecordDependencies};
use geopush_log::SharedLog;
use geopush_model::{Delivery, TenantId, UnixMillis};
use geopush_registry::{Devices, KnownDevices};
use geopush_service::BoxError;
use geopush_service::clock::{Clock as _, SystemClock};
use geopush_service::health::Health;
use geopush_service::shutdown::Shutdown;
use geopush_store::baseline::{DeliveryRow, RawDeliveries};
use geopush_store::tables::{DeliveryByDeviceRow, DeliveryBySourceRow, PushRow};
use geopush_store::{CqlOptions, CqlStore, Direction, Page, Store, Table};
use indicatif::ProgressBar;
use uuid::Uuid;

use super::timeline::{Timeline, median};
use super::watched::{Watched, wait_for};
use crate::goal::Goal;
use crate::progress;
use crate::report::{Check, Report};
use feed::Feed;

/// Slices of the record stage.
const PARTITIONS: u32 = 16;
/// Inserts under way at once, as the store's own bound.
const AT_ONCE: usize = 1_024;
/// Nothing came for this long: nothing more will.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often the driver's inserts are counted.
const SAMPLE: Duration = Duration::from_millis(5);
/// Devices whose rows are looked at.
const LOOKED_AT: usize = 50;

/// What to write, and how often.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Deliveries in each run.
    pub deliveries: usize,
    /// Runs of each kind.
    pub rounds: usize,
}

/// Runs this part, and adds what it found to the report.
///
/// # Errors
/// When the cluster can't be used.
pub async fn run(plan: Plan, node: &str, report: &mut Report) -> Result<(), BoxError> {
    let options = CqlOptions {
        nodes: vec![node.to_owned()],
        keyspace: format!("bench_{}", &Uuid::new_v4().simple().to_string()[..8]),
        datacenter: None,
        replication: 1,
        credentials: None,
        ca: None,
    };
    let store = Store::new(Arc::new(CqlStore::connect(options.clone()).await?));
    store.migrate().await?;
    let raw = Arc::new(RawDeliveries::connect(&options).await?);
    let bench = Bench { plan, store, raw };
    let done = bench.rounds(report).await;
    bench.raw.remove().await?;
    done
}

struct Bench {
    plan: Plan,
    store: Store,
    raw: Arc<RawDeliveries>,
}

/// A run's deliveries.
struct Written {
    deliveries: Vec<Delivery>,
    rows: Arc<Vec<DeliveryRow>>,
}

impl Bench {
    async fn rounds(&self, report: &mut Report) -> Result<(), BoxError> {
        let Plan { deliveries, rounds } = self.plan;
        // The first round warms connections, the servers' compiler and their files up, and is not counted.
        let bar = progress::bar("rows", ((rounds + 1) * 2 * deliveries) as u64)?;
        let (mut stage, mut driver) = (Vec::new(), Vec::new());
        let mut check = Check::new(
            "every delivery is a row by source, by device and, if it was sent, by id, as it was made",
        );
        for round in 0..=rounds {
            let written = [self.make()?, self.make()?];
            // Whoever is second finds the servers warmer and fuller: they take turns.
            let order = if round.is_multiple_of(2) { [true, false] } else { [false, true] };
            for (is_stage, written) in order.into_iter().zip(&written) {
                let timeline = if is_stage {
                    self.by_stage(&written.deliveries, &bar).await?
                } else {
                    self.by_driver(&written.rows, &bar).await?
                };
                self.look(&written.rows, &mut check).await?;
                if round > 0 {
                    if is_stage { &mut stage } else { &mut driver }.push(timeline);
                }
            }
        }
        bar.finish_and_clear();
        self.tell(report, &stage, &driver);
        report.checks.push(check);
        Ok(())
    }

    fn tell(&self, report: &mut Report, stage: &[Timeline], driver: &[Timeline]) {
        let rates =
            |runs: &[Timeline]| runs.iter().map(|run| deliveries::ROWS * run.overall()).collect::<Vec<_>>();
        let (of_stage, of_driver) = (median(rates(stage)), median(rates(driver)));
        let ratios = rates(stage).into_iter().zip(rates(driver)).map(|(stage, driver)| stage / driver);
        let ratios: Vec<f64> = ratios.collect();
        report.number("store: record stage", "rows/s", of_stage);
        report.number("store: driver alone", "rows/s", of_driver);
        for (round, ratio) in ratios.iter().enumerate() {
            report.number(&format!("store: stage / driver, round {}", round + 1), "", *ratio);
        }
        report.goals.push(Goal::at_least(
            "delivery rows, record stage / driver alone",
            "",
            median(ratios),
            0.8,
        ));
        let last = [("record stage", stage), ("driver alone", driver)];
        let series = last.iter().filter_map(|(name, runs)| Some(runs.last()?.series(name, "deliveries/s")));
        report.series.extend(series);
    }

    fn make(&self) -> Result<Written, BoxError> {
        let now = UnixMillis(SystemClock.now_ms());
        let deliveries = deliveries::deliveries(TenantId(Uuid::new_v4()), self.plan.deliveries, now)?;
        let rows = Arc::new(deliveries.iter().map(deliveries::row).collect());
        Ok(Written { deliveries, rows })
    }

    async fn by_stage(&self, deliveries: &[Delivery], bar: &ProgressBar) -> Result<Timeline, BoxError> {
        let records = deliveries.iter().map(deliveries::record).collect();
        let watched = Watched::new(Arc::new(Feed::new(PARTITIONS, records)));
        let seen = Arc::clone(&watched.seen);
        let log: SharedLog = Arc::new(watched);
        let shutdown = Shutdown::new();
        let dependencies = RecordDependencies {
            devices: Devices::new(self.store.clone(), Arc::clone(&log), KnownDevices::new(1_000)),
            log,
            store: self.store.clone(),
            clock: SystemClock::shared(),
            readiness: Health::new(shutdown.clone()).register("record"),
        };
        let stage = tokio::spawn(record::serve(RecordConfig::default(), dependencies, shutdown.token()));
        let shown = progress::follow(bar, {
            let seen = Arc::clone(&seen);
            move || seen.done.load(Ordering::Relaxed)
        });
        let done = wait_for(&seen.done, deliveries.len() as u64, PATIENCE).await;
        drop(shown);
        shutdown.request();
        stage.await??;
        done?;
        Ok(seen.take().timeline)
    }

    async fn by_driver(&self, rows: &Arc<Vec<DeliveryRow>>, bar: &ProgressBar) -> Result<Timeline, BoxError> {
        let done = Arc::new(AtomicU64::new(0));
        let began = Instant::now();
        let (raw, all, counted) = (Arc::clone(&self.raw), Arc::clone(rows), Arc::clone(&done));
        let mut inserts = tokio::spawn(async move { raw.insert(&all, AT_ONCE, &counted).await });
        let counted = Arc::clone(&done);
        let shown = progress::follow(bar, move || counted.load(Ordering::Relaxed));
        let mut marks = Vec::new();
        let mut sample = || marks.push((Instant::now(), done.load(Ordering::Relaxed)));
        loop {
            tokio::select! {
                ended = &mut inserts => break ended??,
                () = tokio::time::sleep(SAMPLE) => sample(),
            }
        }
        sample();
        drop(shown);
        Ok(Timeline { began, marks })
    }

    /// Compares what is in the tables with what should be.
    async fn look(&self, rows: &[DeliveryRow], check: &mut Check) -> Result<(), BoxError> {
        let mut by_source: BTreeMap<_, Vec<&DeliveryBySourceRow>> = BTreeMap::new();
        let mut by_device: BTreeMap<_, Vec<&DeliveryByDeviceRow>> = BTreeMap::new();
        for row in rows {
            by_source.entry(row.by_source.partition()).or_default().push(&row.by_source);
            by_device.entry(row.by_device.partition()).or_default().push(&row.by_device);
        }
        for (partition, wanted) in by_source {
            self.compare(&partition, &wanted, check).await?;
        }
        for (partition, wanted) in by_device.into_iter().take(LOOKED_AT) {
            self.compare(&partition, &wanted, check).await?;
        }
        for row in rows.iter().take(LOOKED_AT) {
            let found = self.store.get::<PushRow>(&(row.by_source.tenant, row.by_source.push), &()).await?;
            let differs = found != row.by_id;
            check.compare(
                differs.then_some(|| "pushes_by_id: another row, or none, or one too many".to_owned()),
            );
        }
        Ok(())
    }

    async fn compare<T: Table + PartialEq + Clone>(
        &self,
        partition: &T::Partition,
        wanted: &[&T],
        check: &mut Check,
    ) -> Result<(), BoxError> {
        let mut page = Page::first(5_000, Direction::Ascending);
        let mut found: Vec<T> = Vec::new();
        loop {
            let rows = self.store.page::<T>(partition, &page).await?;
            let Some(last) = rows.last() else { break };
            page.after = Some(last.clustering());
            found.extend(rows);
        }
        let mut wanted: Vec<T> = wanted.iter().map(|row| (*row).clone()).collect();
        wanted.sort_by_key(Table::clustering);
        found.sort_by_key(Table::clustering);
        let name = T::SCHEMA.name;
        let difference = |count: usize, of: usize| {
            format!("{name}: {count} rows of a partition that should have {of}, or others")
        };
        for (place, row) in wanted.iter().enumerate() {
            let same = found.get(place) == Some(row) && found.len() == wanted.len();
            check.compare((!same).then_some(|| difference(found.len(), wanted.len())));
        }
        Ok(())
    }
}
