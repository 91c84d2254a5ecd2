//! Does what one job asks: reads what it needs, and says what is to be committed.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use geopush_log::{Hold, Offset, StageError};
use geopush_model::{CampaignRun, Job, UnixMillis, Work};
use geopush_registry::Directory;
use geopush_service::clock::Clock;
use geopush_store::{StoreError, Table};
use moka::sync::Cache;
use tokio_util::task::AbortOnDropHandle;
use uuid::Uuid;

use super::config::ExpandConfig;
use super::followed::Followed;
use super::hand::Ready;
use super::pace;
use super::page::{
    NoSheet, Page, ShardState, Sheet, Stance, Status, Targets, row_at, sheet_of_run, sheet_of_send,
    source_of, stance,
};
use super::reads::{Extent, Reads};
use super::turns::Turns;
use crate::outage::Patience;

/// A send is looked at again after this long.
const SHEETS_FOR: Duration = Duration::from_millis(300);
/// Sends that are kept in memory.
const MOST_SENDS: u64 = 1_000;
/// How long a job waits before it asks again whether there is room for it, and whether its devices are counted.
const ROOM: Duration = Duration::from_millis(50);
const COUNTED: Duration = Duration::from_millis(20);
/// Plan believes for a second that a send is not cancelled: what is left of a cancelled one comes to it after that.
const CANCELLED_MS: i64 = 3_000;

/// Why a job waits that waits for room.
pub(super) const ROOM_WANTED: &str = "window";

/// What a job led to.
pub(super) enum Step {
    /// A page, to be committed.
    Page(Box<Page>),
    /// It waits, for this.
    Wait(Ready, &'static str),
    /// Nothing more is to be done by it.
    End(&'static str),
}

/// How many rows the shards have left that are spread over a time; of one slice.
pub(super) type Lefts = HashMap<(Uuid, u32), Left>;

pub(super) enum Left {
    /// They are being counted.
    Counting(AbortOnDropHandle<Result<u64, StoreError>>),
    /// So many.
    Rows(u64),
}

pub(super) struct Expander {
    config: ExpandConfig,
    reads: Reads,
    patience: Patience,
    clock: Arc<dyn Clock>,
    followed: Arc<Followed>,
    sheets: Cache<Uuid, Arc<Sheet>>,
    directory: Arc<Directory>,
    turns: Mutex<Turns>,
}

impl Expander {
    pub(super) fn new(
        config: ExpandConfig,
        reads: Reads,
        patience: Patience,
        clock: Arc<dyn Clock>,
        followed: Arc<Followed>,
        directory: Arc<Directory>,
    ) -> Self {
        let sheets = Cache::builder().max_capacity(MOST_SENDS).time_to_live(SHEETS_FOR).build();
        Self { config, reads, patience, clock, followed, sheets, directory, turns: Mutex::default() }
    }

    /// What the job at this offset leads to; `waited`: for room, when it was looked at last. Its shard's row is written
    /// already; what it says is true once the step is committed.
    pub(super) async fn step(
        &self,
        job: &Job,
        offset: Offset,
        hold: &Hold,
        lefts: &mut Lefts,
        waited: bool,
    ) -> Result<Step, StageError> {
        if i32::try_from(job.shard).is_err() {
            return Ok(Step::End("unknown_shard"));
        }
        // One that waits for room asks for that first: it does so often.
        let mut room = None;
        if waited
            && let Ok(sheet) = self.sheet(job, Stance::Next).await?
            && sheet.status == Status::Running
        {
            room = self.room(job, &sheet, self.config.page).await?;
            if room.is_none() {
                return Ok(no_room());
            }
        }
        let row = self.patience.with("read how far a send is", || self.reads.shard(job)).await?;
        let stance = stance(job, offset, row.as_ref());
        if stance == Stance::Overtaken {
            return Ok(Step::End("overtaken"));
        }
        let sheet = match self.sheet(job, stance).await? {
            Ok(sheet) => sheet,
            Err(why) => return Ok(Step::End(why)),
        };
        let now = self.now();
        // A page that was begun is finished, since its row counts it.
        let ends = match (sheet.status, &sheet.targets, stance) {
            (Status::Cancelled, Targets::Audience(_), Stance::Next) => Some((ShardState::Done, "cancelled")),
            (Status::Paused, _, Stance::Next) => Some((ShardState::Paused, "paused")),
            _ => None,
        };
        if let Some((state, why)) = ends {
            lefts.remove(&(source_of(&job.work), job.shard));
            return Ok(match self.put(row_at(job, state, now), hold).await? {
                true => Step::End(why),
                false => unsure(),
            });
        }
        let settled_at = sheet.turned_at.plus_ms(CANCELLED_MS);
        if sheet.status == Status::Cancelled && stance == Stance::Next && now < settled_at {
            return Ok(Step::Wait(Ready::At(settled_at), "cancelled"));
        }
        let spread = match sheet.spread_ms.filter(|_| sheet.status == Status::Running) {
            None => None,
            Some(spread_ms) => match self.left(job, &sheet, stance, lefts).await? {
                Some(left) => Some((left, sheet.begun_at.plus_ms(spread_ms).since_ms(now))),
                None => return Ok(Step::Wait(Ready::After(Instant::now() + COUNTED), "counting")),
            },
        };
        let rows = |page: usize| match spread {
            None => (page, None),
            Some((left, left_ms)) => {
                let (rows, wait_ms) = pace::spread(left, left_ms, page);
                (rows, Some(wait_ms))
            }
        };
        let (mut most, mut wait_ms) = rows(self.config.page);
        if stance == Stance::Next {
            if room.is_none() {
                room = self.room(job, &sheet, most).await?;
            }
            let Some(room) = room else { return Ok(no_room()) };
            (most, wait_ms) = rows(room);
        }
        let counted = row.as_ref().map_or(0, |row| row.expanded.max(0).unsigned_abs());
        let extent = match (stance, counted.saturating_sub(job.expanded), spread) {
            (Stance::Again, begun @ 1.., _) => Extent::UpTo(usize::try_from(begun).unwrap_or(most)),
            (_, _, Some(_)) => Extent::Rows(most),
            (_, _, None) => Extent::UpTo(most),
        };
        let begun = match (&row, stance) {
            (Some(row), Stance::Again) => {
                self.patience.with("read a page that was begun", || self.reads.begun(row)).await?
            }
            _ => None,
        };
        let is_kept = begun.is_some();
        let found = match begun {
            Some(begun) => begun,
            None => {
                let read = || self.reads.page(job, &sheet, extent);
                self.patience.with("read a page of a send's devices", read).await?
            }
        };
        if found.unreadable > 0 {
            metrics::counter!("geopush_dispatcher_expand_unreadable_devices_total")
                .increment(found.unreadable as u64);
            tracing::error!(
                source = %job.work.source(), unreadable = found.unreadable,
                "devices of a send are left out: their rows can't be read"
            );
        }
        if let (Some(_), Some(Left::Rows(left))) = (spread, lefts.get_mut(&(source_of(&job.work), job.shard)))
        {
            *left = left.saturating_sub(found.rows);
        }
        let not_before = wait_ms.map(|wait_ms| now.plus_ms(wait_ms));
        let page = Page::new(job, offset, &sheet, found, not_before, now);
        if page.next.is_none() {
            lefts.remove(&(source_of(&job.work), job.shard));
        }
        if let Some(devices) = page.devices(&sheet).filter(|_| !is_kept)
            && !self.put(devices, hold).await?
        {
            return Ok(unsure());
        }
        Ok(match self.put(page.row.clone(), hold).await? {
            true => Step::Page(Box::new(page)),
            false => unsure(),
        })
    }

    fn now(&self) -> UnixMillis {
        UnixMillis(self.clock.now_ms())
    }

    /// Writes a row of a shard, if the slice is surely still owned: another owner may have written a later one.
    async fn put<T: Table + Clone>(&self, row: T, hold: &Hold) -> Result<bool, StageError> {
        if !hold.is_sure() {
            return Ok(false);
        }
        self.patience.with("write how far a send is", || self.reads.store.put(row.clone())).await?;
        Ok(true)
    }

    /// The send or run of a job. That it is paused is looked up anew: the job may be the one that resumes it.
    async fn sheet(&self, job: &Job, stance: Stance) -> Result<Result<Arc<Sheet>, NoSheet>, StageError> {
        let send = match job.work {
            Work::Run(run) => return self.run(run).await,
            Work::Send(send) => send,
        };
        if let Some(sheet) = self.sheets.get(&send.0)
            && (sheet.status != Status::Paused || stance == Stance::Again)
        {
            return Ok(Ok(sheet));
        }
        let readable = |row: Result<_, StoreError>| match row {
            Err(StoreError::Corrupt { .. }) => Ok(Err("unreadable_send")),
            row => row.map(Ok),
        };
        let mut row = self
            .patience
            .with("read a send", async || readable(self.reads.send(job.tenant, send).await))
            .await?;
        if !matches!(&row, Ok(Some(row)) if row.status == "running") {
            row = self
                .patience
                .with("read a send", async || readable(self.reads.send_now(job.tenant, send).await))
                .await?;
        }
        let sheet = row.and_then(|row| sheet_of_send(send, &row.ok_or("unknown_send")?)).map(Arc::new);
        if let Ok(sheet) = &sheet {
            self.sheets.insert(send.0, Arc::clone(sheet));
        }
        Ok(sheet)
    }

    async fn run(&self, run: CampaignRun) -> Result<Result<Arc<Sheet>, NoSheet>, StageError> {
        let mut active = self.is_active(run);
        if active != Some(true) {
            // It may have been another process that knew it.
            self.followed.barrier().await?;
            active = self.is_active(run);
        }
        Ok(active.map(|active| Arc::new(sheet_of_run(run, active))).ok_or("unknown_campaign"))
    }

    fn is_active(&self, run: CampaignRun) -> Option<bool> {
        self.followed.clockwork().get(run.campaign).map(|timed| timed.active)
    }

    /// How many rows the shard of a spread send has left; none while they are counted.
    async fn left(
        &self,
        job: &Job,
        sheet: &Arc<Sheet>,
        stance: Stance,
        lefts: &mut Lefts,
    ) -> Result<Option<u64>, StageError> {
        let key = (source_of(&job.work), job.shard);
        let counting = match lefts.remove(&key) {
            Some(Left::Rows(left)) => {
                lefts.insert(key, Left::Rows(left));
                return Ok(Some(left));
            }
            Some(Left::Counting(counting)) => counting,
            None => {
                let (reads, job, sheet) = (self.reads.clone(), job.clone(), Arc::clone(sheet));
                AbortOnDropHandle::new(tokio::spawn(async move { reads.left(&job, &sheet).await }))
            }
        };
        if stance == Stance::Next && !counting.is_finished() {
            lefts.insert(key, Left::Counting(counting));
            return Ok(None);
        }
        match counting.await {
            Ok(Ok(left)) => {
                lefts.insert(key, Left::Rows(left));
                Ok(Some(left))
            }
            // The store's outages are seen through by what reads the page.
            Ok(Err(_)) | Err(_) => {
                let read = || self.reads.left(job, sheet);
                self.patience.with("count a send's devices", read).await.map(Some)
            }
        }
    }

    /// How much of a page of so many may go out; none, if too much of its tenant's is under way. Sends of one page are
    /// not asked.
    async fn room(&self, job: &Job, sheet: &Sheet, page: usize) -> Result<Option<usize>, StageError> {
        if matches!(&sheet.targets, Targets::Listed(targeted) if *targeted <= self.config.page as u64) {
            return Ok(Some(page));
        }
        let (source, now) = (source_of(&job.work), Instant::now());
        let weight = self.directory.settings(job.tenant).map(|settings| settings.weight).unwrap_or_default();
        let turns = || self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        let is_to_read = turns().of(job.tenant, weight, now).is_to_read(source, now);
        if is_to_read {
            let read = || self.reads.counts(job, sheet);
            let counts = self.patience.with("read how far a send is", read).await?;
            let (of_all, now) = (matches!(job.work, Work::Send(_)), Instant::now());
            turns().of(job.tenant, weight, now).read(source, counts, of_all, now);
        }
        Ok(turns().grant(job.tenant, source, page, self.config.window, Instant::now()))
    }
}

fn no_room() -> Step {
    Step::Wait(Ready::After(Instant::now() + ROOM), ROOM_WANTED)
}

/// The lease is not sure at the moment: in a moment it is, or the slice is gone.
fn unsure() -> Step {
    Step::Wait(Ready::After(Instant::now() + ROOM), "lease")
}
