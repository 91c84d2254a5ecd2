//! What a job leads to. Nothing here does I/O.

use std::sync::Arc;

use geopush_campaign::Audience;
use geopush_log::{Offset, Record, Topic, TraceId};
use geopush_model::{
    CampaignRun, DeviceId, Job, PushRequest, Request, SendId, SentMessage, UnixMillis, Wire as _, Work,
};
use geopush_registry::message_of;
use geopush_store::Timestamp;
use geopush_store::tables::{SendPageRow, SendRow, SendShardRow};
use uuid::Uuid;

/// A send or a run, as it is now.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Sheet {
    /// Which devices.
    pub(super) targets: Targets,
    /// Whether it goes on.
    pub(super) status: Status,
    /// What is asked for each device.
    pub(super) request: Request,
    /// When it was asked for, or due.
    pub(super) begun_at: UnixMillis,
    /// When its status was changed last.
    pub(super) turned_at: UnixMillis,
    /// Over how long it is spread.
    pub(super) spread_ms: Option<i64>,
}

/// Which devices.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Targets {
    /// So many listed ones.
    Listed(u64),
    /// Of all devices of the tenant, these.
    Audience(Audience),
}

/// Whether a send or a run goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status {
    Running,
    /// Not now.
    Paused,
    /// No more.
    Cancelled,
}

/// Why there is no sheet, as metrics name it.
pub(super) type NoSheet = &'static str;

/// The sheet of a send.
pub(super) fn sheet_of_send(id: SendId, row: &SendRow) -> Result<Sheet, NoSheet> {
    let message = message_of(&row.message).ok_or("unreadable_send")?;
    let targets = match &row.audience {
        None => Targets::Listed(row.targeted.max(0).unsigned_abs()),
        Some(json) => {
            let json = serde_json::from_str(json).map_err(|_| "unreadable_send")?;
            Targets::Audience(Audience::from_json(&json).map_err(|_| "unreadable_send")?)
        }
    };
    let status = match row.status.as_str() {
        "running" => Status::Running,
        "paused" => Status::Paused,
        "cancelled" => Status::Cancelled,
        _ => return Err("unreadable_send"),
    };
    Ok(Sheet {
        targets,
        status,
        request: Request::Send { send: id, sent: Arc::new(SentMessage { app: row.app.clone(), message }) },
        begun_at: UnixMillis(row.created_at.0),
        turned_at: UnixMillis(row.updated_at.0),
        spread_ms: row.spread_s.map(|s| s.saturating_mul(1_000)),
    })
}

/// The sheet of a campaign's run: every device is asked for, and decided on by the campaign's own audience.
pub(super) fn sheet_of_run(run: CampaignRun, active: bool) -> Sheet {
    Sheet {
        targets: Targets::Audience(Audience::All(Vec::new())),
        status: if active { Status::Running } else { Status::Cancelled },
        request: Request::Run(run),
        begun_at: run.at,
        turned_at: run.at,
        spread_ms: None,
    }
}

/// What the rows of its shards are kept under.
pub(super) fn source_of(work: &Work) -> Uuid {
    match work {
        Work::Send(send) => send.0,
        Work::Run(run) => run.cause().0,
    }
}

/// What a job is to its shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stance {
    /// Its page is the next one.
    Next,
    /// Its page was begun before, and not committed.
    Again,
    /// Another job has been there.
    Overtaken,
}

/// What the job at this offset is to its shard. A send that is resumed, or told to the log twice, may have two jobs of
/// one shard: the first to be there goes on.
pub(super) fn stance(job: &Job, offset: Offset, row: Option<&SendShardRow>) -> Stance {
    let Some(row) = row else { return Stance::Next };
    let cursor = job.cursor.as_ref().map(DeviceId::as_str);
    if row.job.is_some() && row.job == i64::try_from(offset).ok() {
        Stance::Again
    } else if row.state != ShardState::Done.as_str() && row.cursor.as_deref() == cursor {
        Stance::Next
    } else {
        Stance::Overtaken
    }
}

/// How a shard is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ShardState {
    Running,
    Paused,
    Done,
}

impl ShardState {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Done => "done",
        }
    }
}

/// The row of a shard that stays where the job found it.
pub(super) fn row_at(job: &Job, state: ShardState, now: UnixMillis) -> SendShardRow {
    SendShardRow {
        tenant: job.tenant.0,
        send: source_of(&job.work),
        shard: i32::try_from(job.shard).unwrap_or(i32::MAX),
        cursor: job.cursor.as_ref().map(|device| device.as_str().to_owned()),
        expanded: i64::try_from(job.expanded).unwrap_or(i64::MAX),
        state: state.as_str().to_owned(),
        job: None,
        updated_at: Timestamp(now.0),
    }
}

/// Devices of a shard, from a job's cursor on.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Found {
    /// Those to ask for.
    pub(super) devices: Vec<DeviceId>,
    /// Rows that were looked at.
    pub(super) rows: u64,
    /// Rows that can't be read.
    pub(super) unreadable: usize,
    /// The last of them, if there are more behind it.
    pub(super) next: Option<DeviceId>,
}

/// The devices of a page that was begun, if what is kept is of the page that its shard's row counts.
pub(super) fn begun(row: &SendShardRow, kept: &SendPageRow) -> Option<Found> {
    let devices: Vec<String> =
        serde_json::from_str(&kept.devices).ok().filter(|_| row.job == Some(kept.job))?;
    let devices: Vec<_> = devices.iter().filter_map(|device| DeviceId::new(device).ok()).collect();
    let is_last = row.state == ShardState::Done.as_str();
    let next = row.cursor.as_deref().filter(|_| !is_last).and_then(|cursor| DeviceId::new(cursor).ok());
    Some(Found { rows: devices.len() as u64, devices, unreadable: 0, next })
}

/// What a commit publishes, and what is written before it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Page {
    pub(super) row: SendShardRow,
    pub(super) requests: Vec<PushRequest>,
    pub(super) next: Option<Job>,
}

impl Page {
    /// The page of the job at this offset; the one after it comes not before `not_before`.
    pub(super) fn new(
        job: &Job,
        offset: Offset,
        sheet: &Sheet,
        found: Found,
        not_before: Option<UnixMillis>,
        now: UnixMillis,
    ) -> Self {
        let expanded = job.expanded + found.devices.len() as u64;
        let next = found.next.map(|last| Job { cursor: Some(last), expanded, not_before, ..job.clone() });
        let state = if next.is_some() { ShardState::Running } else { ShardState::Done };
        let row = SendShardRow {
            job: i64::try_from(offset).ok(),
            ..row_at(next.as_ref().unwrap_or(job), state, now)
        };
        let row = SendShardRow { expanded: i64::try_from(expanded).unwrap_or(i64::MAX), ..row };
        let request = |device| PushRequest {
            tenant: job.tenant,
            device,
            request: sheet.request.clone(),
            requested_at: sheet.begun_at,
        };
        Self { row, requests: found.devices.into_iter().map(request).collect(), next }
    }

    /// Which devices the page's row counts: of an audience, since another look may find others.
    pub(super) fn devices(&self, sheet: &Sheet) -> Option<SendPageRow> {
        let job = self.row.job.filter(|_| matches!(sheet.targets, Targets::Audience(_)))?;
        let devices: Vec<&str> = self.requests.iter().map(|request| request.device.as_str()).collect();
        let devices = serde_json::to_string(&devices).expect("texts are JSON");
        let SendShardRow { tenant, send, shard, .. } = self.row;
        Some(SendPageRow { tenant, send, shard, job, devices })
    }

    /// As the log takes it.
    pub(super) fn records(&self, trace: Option<TraceId>) -> Vec<Record> {
        let requests = self
            .requests
            .iter()
            .map(|request| Record::new(Topic::PushRequests, request.key().to_bytes(), request.encode()));
        requests.chain(self.next.iter().map(job_record)).map(|record| record.traced(trace)).collect()
    }
}

/// A job as the log takes it.
pub(super) fn job_record(job: &Job) -> Record {
    Record::new(Topic::Jobs, job.key(), job.encode())
}
