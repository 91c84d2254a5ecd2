//! What expand reads: sends, how far they are, and their devices.

use std::sync::Arc;

use futures::{StreamExt as _, TryStreamExt as _, stream};
use geopush_campaign::{Audience, AudienceDevice};
use geopush_model::{DeviceId, DeviceKey, Job, SendId, TenantId, UnixMillis, Work};
use geopush_registry::{Device, Devices, Platform};
use geopush_store::tables::{DeliveryTotalsRow, SendPageRow, SendRow, SendShardRow, SendTargetRow, hour_of};
use geopush_store::{Direction, Page, Store, StoreError, Table};

use super::followed::Followed;
use super::pace::Counts;
use super::page::{Found, Sheet, Targets, begun, source_of};
use crate::visits::{Asked, Moment, Past, past_of};

/// Rows that are read at a time where only their number matters.
const MANY: usize = 2_000;
/// A page of an audience looks at so many times its devices at most.
const LOOKS: u64 = 8;
/// Devices whose visits are read at the same time.
const AT_ONCE: usize = 16;

/// How much a page holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Extent {
    /// Up to so many devices.
    UpTo(usize),
    /// The devices of so many rows.
    Rows(usize),
}

impl Extent {
    fn most(self) -> usize {
        let (Self::UpTo(most) | Self::Rows(most)) = self;
        most
    }

    /// Whether a page has enough.
    fn is_met_by(self, found: &Found) -> bool {
        let (devices, most) = (found.devices.len(), self.most());
        match self {
            Self::UpTo(_) => devices * 2 > most || found.rows >= LOOKS * most as u64,
            Self::Rows(_) => true,
        }
    }
}

/// Reads from the store.
#[derive(Clone)]
pub(super) struct Reads {
    pub(super) store: Store,
    pub(super) devices: Devices,
    pub(super) followed: Arc<Followed>,
}

impl Reads {
    /// A send as it is or was a moment ago.
    pub(super) async fn send(&self, tenant: TenantId, send: SendId) -> Result<Option<SendRow>, StoreError> {
        Ok(self.store.get_all::<SendRow>(&[((tenant.0,), (send.0,))]).await?.pop().flatten())
    }

    /// A send as it is.
    pub(super) async fn send_now(
        &self,
        tenant: TenantId,
        send: SendId,
    ) -> Result<Option<SendRow>, StoreError> {
        self.store.get::<SendRow>(&(tenant.0,), &(send.0,)).await
    }

    /// How far a job's shard is.
    pub(super) async fn shard(&self, job: &Job) -> Result<Option<SendShardRow>, StoreError> {
        let Ok(shard) = i32::try_from(job.shard) else { return Ok(None) };
        self.store.get::<SendShardRow>(&(job.tenant.0, source_of(&job.work)), &(shard,)).await
    }

    /// The devices of the page that a shard's row counts last, if they are kept.
    pub(super) async fn begun(&self, row: &SendShardRow) -> Result<Option<Found>, StoreError> {
        let kept = self.store.get::<SendPageRow>(&(row.tenant, row.send), &(row.shard,)).await?;
        Ok(kept.and_then(|kept| begun(row, &kept)))
    }

    /// How far a send or a run is. Of a run, what ended is its campaign's.
    pub(super) async fn counts(&self, job: &Job, sheet: &Sheet) -> Result<Counts, StoreError> {
        let ended = (job.tenant.0, job.work.source());
        // An hour of slack, as clocks differ.
        let since = Some((hour_of(sheet.begun_at.0) - 1, 0));
        // What ended comes first: it was asked for before.
        let totals = every::<DeliveryTotalsRow>(&self.store, &ended, since).await?;
        let shards = every::<SendShardRow>(&self.store, &(job.tenant.0, source_of(&job.work)), None).await?;
        let ended = |row: &DeliveryTotalsRow| row.accepted + row.failed + row.suppressed + row.expired;
        Ok(Counts {
            asked: shards.iter().map(|row| row.expanded.max(0).unsigned_abs()).sum(),
            ended: totals.iter().map(|row| ended(row).max(0).unsigned_abs()).sum(),
            put_off: totals.iter().map(|row| row.put_off.unwrap_or(0).max(0).unsigned_abs()).sum(),
        })
    }

    /// The devices of a job's next page.
    pub(super) async fn page(&self, job: &Job, sheet: &Sheet, extent: Extent) -> Result<Found, StoreError> {
        match (&sheet.targets, job.work) {
            (Targets::Listed(_), Work::Send(send)) => self.listed(job, send, extent.most()).await,
            (Targets::Audience(audience), _) => self.audience(job, audience, sheet.begun_at, extent).await,
            (Targets::Listed(_), Work::Run(_)) => Ok(Found::default()),
        }
    }

    async fn listed(&self, job: &Job, send: SendId, most: usize) -> Result<Found, StoreError> {
        let mut page = Page::first(most + 1, Direction::Ascending);
        page.after = job.cursor.as_ref().map(|device| (device.as_str().to_owned(),));
        let mut rows =
            self.store.page::<SendTargetRow>(&(job.tenant.0, send.0, shard_of(job)), &page).await?;
        // One more was asked for, to know whether there is one.
        let more = rows.len() > most;
        rows.truncate(most);
        let devices: Vec<DeviceId> = rows.iter().filter_map(|row| DeviceId::new(&row.device).ok()).collect();
        let next = devices.last().filter(|_| more).cloned();
        Ok(Found { rows: rows.len() as u64, unreadable: rows.len() - devices.len(), devices, next })
    }

    async fn audience(
        &self,
        job: &Job,
        audience: &Audience,
        at: UnixMillis,
        extent: Extent,
    ) -> Result<Found, StoreError> {
        let mut found = Found { next: job.cursor.clone(), ..Found::default() };
        loop {
            let limit = extent.most() - found.devices.len();
            let page = self.devices.page(job.tenant, shard_of(job), found.next.as_ref(), limit).await?;
            found.rows += page.rows as u64;
            found.unreadable += page.unreadable;
            found.next = page.next;
            found.devices.extend(self.matching(page.devices, audience, at).await?);
            if extent.is_met_by(&found) || found.next.is_none() {
                return Ok(found);
            }
        }
    }

    /// The devices of an audience.
    async fn matching(
        &self,
        devices: Vec<Device>,
        audience: &Audience,
        at: UnixMillis,
    ) -> Result<Vec<DeviceId>, StoreError> {
        let asked = Asked { asks: audience.asks(), anywhere: false };
        let is_in = async |device: Device| {
            let past = match asked.is_nothing() {
                true => Past::default(),
                false => self.past_of(&device, &asked, at).await?,
            };
            let shown = AudienceDevice {
                attributes: &device.attributes,
                tags: &device.tags,
                platform: device.platform.map(Platform::as_str),
                locale: device.locale.as_deref(),
                app: device.app.as_deref(),
            };
            Ok::<_, StoreError>(audience.matches(&shown, at, &past).then_some(device.device))
        };
        let matched: Vec<Option<DeviceId>> =
            stream::iter(devices).map(is_in).buffered(AT_ONCE).try_collect().await?;
        Ok(matched.into_iter().flatten().collect())
    }

    async fn past_of(&self, device: &Device, asked: &Asked, at: UnixMillis) -> Result<Past, StoreError> {
        let key = DeviceKey { tenant: device.tenant, device: device.device.clone() };
        past_of(&self.store, &key, asked, Moment::at(at), |zone, tag| self.followed.has_tag(zone, tag)).await
    }

    /// How many rows a job's shard has behind its cursor.
    pub(super) async fn left(&self, job: &Job, sheet: &Sheet) -> Result<u64, StoreError> {
        let (mut left, mut next) = (0, job.cursor.clone());
        loop {
            let job = Job { cursor: next, ..job.clone() };
            let everyone = Audience::All(Vec::new());
            let found = match (&sheet.targets, job.work) {
                (Targets::Listed(_), Work::Send(send)) => self.listed(&job, send, MANY).await?,
                _ => self.audience(&job, &everyone, sheet.begun_at, Extent::Rows(MANY)).await?,
            };
            left += found.rows;
            next = found.next;
            if next.is_none() {
                return Ok(left);
            }
        }
    }
}

fn shard_of(job: &Job) -> i32 {
    i32::try_from(job.shard).unwrap_or(i32::MAX)
}

/// Every row of a partition, of which there are few.
async fn every<T: Table>(
    store: &Store,
    partition: &T::Partition,
    from: Option<T::Clustering>,
) -> Result<Vec<T>, StoreError> {
    let mut page = Page::first(MANY, Direction::Ascending);
    page.from = from;
    let mut all = Vec::new();
    loop {
        let rows: Vec<T> = store.page(partition, &page).await?;
        page.after = rows.last().map(T::clustering);
        let more = rows.len() == MANY;
        all.extend(rows);
        if !more {
            return Ok(all);
        }
    }
}
