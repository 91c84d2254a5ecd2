//! Takes jobs from the log and publishes their pages; looks at the clock for campaigns.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use geopush_campaign::time_zone;
use geopush_log::{
    Batch, Lost, Offset, Received, Record, Slice, Stage, StageError, Topic, TraceId, rejected,
};
use geopush_model::{Job, TenantId, UnixMillis, Wire as _};
use geopush_registry::Directory;
use geopush_service::clock::Clock;
use jiff::tz::TimeZone;

use super::followed::Followed;
use super::hand::{Hand, Ready};
use super::job::{Expander, Lefts, ROOM_WANTED, Step};
use super::note::Note;
use super::page::job_record;
use super::ticks::{Due, Ticks};

/// How often campaigns are looked at.
const TICK: Duration = Duration::from_millis(250);
/// Jobs in memory; beyond that those behind them wait in the log.
const MOST: usize = 10_000;

pub(super) struct ExpandStage {
    pub(super) expander: Expander,
    pub(super) followed: Arc<Followed>,
    pub(super) directory: Arc<Directory>,
    pub(super) clock: Arc<dyn Clock>,
}

/// A record that is not finished.
#[derive(Clone)]
struct Told {
    what: What,
    trace: Option<TraceId>,
    /// Whether it waited for room when it was looked at last.
    waited: bool,
}

#[derive(Clone)]
enum What {
    Job(Job),
    /// None, and what is published instead.
    NoJob(Option<Record>),
}

/// What a slice knows.
struct State {
    hand: Hand<Told>,
    ticks: Ticks,
    lefts: Lefts,
}

#[async_trait]
impl Stage for ExpandStage {
    fn group(&self) -> &'static str {
        "expand"
    }

    fn inputs(&self) -> &'static [Topic] {
        &[Topic::Jobs]
    }

    async fn run(&self, mut slice: Slice) -> Result<(), StageError> {
        let note = Note::parse(slice.note());
        let position = slice.positions().first().copied().unwrap_or_default();
        let mut state = State {
            hand: Hand::at(position, note.unfinished.as_ref()),
            ticks: Ticks::since(note.fired_to().unwrap_or_else(|| self.now())),
            lefts: Lefts::new(),
        };
        if note.fired_to().is_none() {
            // From now on nothing is missed.
            commit(&mut slice, &mut state, Vec::new()).await?;
        }
        let mut next_tick = Instant::now();
        while !slice.is_asked_back() {
            if next_tick <= Instant::now() {
                self.tick(&mut slice, &mut state).await?;
                next_tick = Instant::now() + TICK;
            }
            let pause = state.hand.pause(self.now(), Instant::now()).map_or(TICK, |pause| pause.min(TICK));
            let room = state.hand.len() < MOST;
            tokio::select! {
                biased;
                batch = slice.next(), if room => match batch {
                    Some(batch) => {
                        take(&mut state.hand, slice.number(), &batch);
                        continue;
                    }
                    None => return Ok(()),
                },
                () = tokio::time::sleep(pause) => {}
            }
            if let Some((offset, told)) = state.hand.pick(self.now(), Instant::now()) {
                let told = told.clone();
                self.work(&mut slice, &mut state, offset, told).await?;
            }
        }
        Ok(())
    }
}

impl ExpandStage {
    fn now(&self) -> UnixMillis {
        UnixMillis(self.clock.now_ms())
    }

    async fn work(
        &self,
        slice: &mut Slice,
        state: &mut State,
        offset: Offset,
        told: Told,
    ) -> Result<(), StageError> {
        let begun = Instant::now();
        let mut requested = 0;
        let (outcome, outputs) = match told.what {
            What::NoJob(record) => ("rejected", record.into_iter().collect()),
            What::Job(job) => {
                match self.expander.step(&job, offset, &slice.hold(), &mut state.lefts, told.waited).await? {
                    Step::Page(page) => {
                        requested = page.requests.len() as u64;
                        (if page.next.is_some() { "page" } else { "last_page" }, page.records(told.trace))
                    }
                    Step::Wait(ready, why) => {
                        metrics::counter!("geopush_dispatcher_expand_waits_total", "why" => why).increment(1);
                        state.hand.wait(offset, ready, |told| told.waited = why == ROOM_WANTED);
                        return Ok(());
                    }
                    Step::End(why) => {
                        tracing::info!(
                            source = %job.work.source(), shard = job.shard, why,
                            "a job ends here; no more of its shard's devices are asked for by it"
                        );
                        (why, Vec::new())
                    }
                }
            }
        };
        state.hand.finish(offset);
        commit(slice, state, outputs).await?;
        metrics::counter!("geopush_dispatcher_expand_jobs_total", "outcome" => outcome).increment(1);
        metrics::counter!("geopush_dispatcher_expand_requests_total").increment(requested);
        metrics::histogram!("geopush_dispatcher_expand_page_seconds").record(begun.elapsed().as_secs_f64());
        Ok(())
    }

    /// Begins the runs of the slice's campaigns that are due.
    async fn tick(&self, slice: &mut Slice, state: &mut State) -> Result<(), StageError> {
        // What was answered before this time is known after the barrier.
        let now = self.now();
        futures::try_join!(self.followed.barrier(), self.directory.barrier())?;
        let slices = slice.log().partitions(Topic::Jobs);
        let zone_of = |tenant: TenantId| {
            let settings = self.directory.settings(tenant);
            settings.and_then(|settings| time_zone(settings.timezone.as_deref()?)).unwrap_or(TimeZone::UTC)
        };
        let look = {
            let clockwork = self.followed.clockwork();
            state.ticks.look(now, clockwork.of_slice(slice.number(), slices), zone_of)
        };
        state.ticks.fired(now);
        if look.missed > 0 {
            metrics::counter!("geopush_dispatcher_expand_runs_missed_total").increment(look.missed as u64);
            tracing::warn!(
                campaigns = look.missed,
                "campaigns were due while nothing ran, more than an hour ago; those runs are left out"
            );
        }
        if look.due.is_empty() {
            return Ok(());
        }
        for due in &look.due {
            tracing::info!(campaign = %due.run.campaign, at = due.run.at.0, kind = due.kind, "a campaign runs");
        }
        let jobs = look.due.iter().flat_map(Due::jobs).map(|job| job_record(&job)).collect();
        commit(slice, state, jobs).await?;
        for due in &look.due {
            metrics::counter!("geopush_dispatcher_expand_runs_total", "trigger" => due.kind).increment(1);
        }
        Ok(())
    }
}

/// Takes a batch in hand.
fn take(hand: &mut Hand<Told>, slice: u32, batch: &Batch) {
    for record in &batch.records {
        if hand.is_to_do(record.offset) {
            let (what, fresh, ready) = read(slice, record);
            hand.take(record.offset, Told { what, trace: record.trace, waited: false }, fresh, ready);
        }
    }
    hand.read_to(batch.next);
}

fn read(slice: u32, record: &Received) -> (What, bool, Ready) {
    match record.value.as_deref().map(Job::decode) {
        Some(Ok(job)) => {
            let (fresh, ready) = (job.cursor.is_none(), job.not_before.map_or(Ready::Now, Ready::At));
            (What::Job(job), fresh, ready)
        }
        Some(Err(error)) => {
            let record = rejected(Topic::Jobs, slice, record, &error.to_string());
            (What::NoJob(Some(record)), true, Ready::Now)
        }
        None => (What::NoJob(None), true, Ready::Now),
    }
}

/// Publishes, with how far the slice is.
async fn commit(slice: &mut Slice, state: &mut State, mut outputs: Vec<Record>) -> Result<(), Lost> {
    let renewed = state.hand.renew().into_iter().filter_map(|told| match told.what {
        What::Job(job) => Some(job_record(&job).traced(told.trace)),
        What::NoJob(record) => record,
    });
    outputs.extend(renewed);
    let (position, unfinished) = state.hand.place();
    let note = Note::new(state.ticks.fired_to(), unfinished).write();
    slice.commit(vec![position], note, outputs).await
}
