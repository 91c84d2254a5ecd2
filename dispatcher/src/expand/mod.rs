//! Turns a send to many into one request a device, page by page.
//!
//! A job names one shard of a send's listed devices and the last device that is done. Consuming it commits one page
//! of requests together with the job of the next page, so that however a process dies, every device is asked for
//! exactly once; and the next page goes to the end of the queue, so that a large send does not hold up a small one.
//!
//! Sends to an audience have no listed devices and are not expanded here.

use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use geopush_log::{Record, SharedLog, Slice, Stage, StageError, Topic, TraceId, rejected, run_stage};
use geopush_model::{
    DeviceId, Job, Message, PushRequest, Request, SendId, SentMessage, TenantId, UnixMillis, Wire as _, Work,
};
use geopush_registry::message_of;
use geopush_service::config::Reader;
use geopush_service::health::Readiness;
use geopush_store::tables::{SendRow, SendTargetRow};
use geopush_store::{Direction, Page, Store, StoreError};
use tokio_util::sync::CancellationToken;

use crate::outage::Patience;

/// What can be chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExpandConfig {
    /// `dispatcher.expand_page`: devices a commit.
    pub page: usize,
}

impl ExpandConfig {
    /// Reads `dispatcher.expand_page`.
    pub fn read(reader: &mut Reader) -> Self {
        let page = reader.key("dispatcher.expand_page", "Devices of a send that are expanded in one commit");
        Self { page: page.within(1..=5_000).or(Self::default().page) }
    }
}

impl Default for ExpandConfig {
    fn default() -> Self {
        Self { page: 500 }
    }
}

/// What expand works with.
#[derive(Clone)]
pub struct ExpandDependencies {
    /// Jobs come from it, requests go to it.
    pub log: SharedLog,
    /// The sends and their devices.
    pub store: Store,
    /// What expand says of itself.
    pub readiness: Readiness,
}

/// Runs the stage until `shutdown`.
///
/// # Errors
/// When the log can't be joined at first, or is closed before `shutdown`.
pub async fn serve(
    config: ExpandConfig,
    dependencies: ExpandDependencies,
    shutdown: CancellationToken,
) -> Result<(), StageError> {
    let ExpandDependencies { log, store, readiness } = dependencies;
    readiness.ready();
    let patience = Patience::new("expand", readiness, shutdown.clone());
    let stage = ExpandStage { store, patience, page: config.page.max(1) };
    run_stage(log, Arc::new(stage), shutdown).await
}

struct ExpandStage {
    store: Store,
    patience: Patience,
    page: usize,
}

/// What a job led to.
enum Expanded {
    /// These devices, and the job of the next page if there is one.
    Page { requests: Vec<PushRequest>, next: Option<Job> },
    /// Nothing more is to be done for its send.
    Ended(&'static str),
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
        while let Some(batch) = slice.next().await {
            let last = batch.records.len().saturating_sub(1);
            // A commit a job: a page is as much as one should hold.
            for (i, record) in batch.records.iter().enumerate() {
                let begun = Instant::now();
                let mut outcome = "rejected";
                let mut requested = 0;
                let outputs = match record.value.as_deref().map(Job::decode) {
                    Some(Ok(job)) => {
                        let expanded = self
                            .patience
                            .with("read a send and a page of its devices", || self.expand(&job))
                            .await?;
                        match expanded {
                            Expanded::Page { requests, next } => {
                                outcome = if next.is_some() { "page" } else { "last_page" };
                                requested = requests.len() as u64;
                                page_records(&requests, next.as_ref(), record.trace)
                            }
                            Expanded::Ended(why) => {
                                outcome = why;
                                tracing::warn!(
                                    source = %job.work.source(), shard = job.shard, why,
                                    "a job ends here; no more of its send's devices are asked for"
                                );
                                Vec::new()
                            }
                        }
                    }
                    Some(Err(error)) => {
                        vec![rejected(Topic::Jobs, slice.number(), record, &error.to_string())]
                    }
                    None => Vec::new(),
                };
                let position = if i == last { batch.next } else { record.offset + 1 };
                slice.commit(vec![position], String::new(), outputs).await?;
                metrics::counter!("geopush_dispatcher_expand_jobs_total", "outcome" => outcome).increment(1);
                metrics::counter!("geopush_dispatcher_expand_requests_total").increment(requested);
                metrics::histogram!("geopush_dispatcher_expand_page_seconds")
                    .record(begun.elapsed().as_secs_f64());
                if slice.is_asked_back() {
                    return Ok(());
                }
            }
        }
        Ok(())
    }
}

impl ExpandStage {
    async fn expand(&self, job: &Job) -> Result<Expanded, StoreError> {
        let Work::Send(id) = job.work else { return Ok(Expanded::Ended("unknown_work")) };
        let send = match self.store.get::<SendRow>(&(job.tenant.0,), &(id.0,)).await {
            Ok(Some(send)) => send,
            Ok(None) => return Ok(Expanded::Ended("unknown_send")),
            Err(StoreError::Corrupt { .. }) => return Ok(Expanded::Ended("unreadable_send")),
            Err(error) => return Err(error),
        };
        if send.status == "cancelled" {
            return Ok(Expanded::Ended("cancelled"));
        }
        let Some(message) = message_of(&send.message) else { return Ok(Expanded::Ended("unreadable_send")) };
        let Ok(shard) = i32::try_from(job.shard) else { return Ok(Expanded::Ended("unknown_shard")) };
        let mut page = Page::first(self.page + 1, Direction::Ascending);
        page.after = job.cursor.as_ref().map(|device| (device.as_str().to_owned(),));
        let mut rows = self.store.page::<SendTargetRow>(&(job.tenant.0, id.0, shard), &page).await?;
        // One more was asked for, to know whether there is one.
        let more = rows.len() > self.page;
        rows.truncate(self.page);
        let devices: Vec<DeviceId> = rows.iter().filter_map(|row| DeviceId::new(&row.device).ok()).collect();
        if devices.len() < rows.len() {
            let unreadable = rows.len() - devices.len();
            metrics::counter!("geopush_dispatcher_expand_unreadable_devices_total")
                .increment(unreadable as u64);
            tracing::error!(send = %id, unreadable, "devices of a send are left out: their ids are none");
        }
        let expanded = job.expanded + devices.len() as u64;
        let next = devices.last().filter(|_| more).map(|last| Job {
            cursor: Some(last.clone()),
            expanded,
            ..job.clone()
        });
        let requests = requests(job.tenant, id, &send, &message, devices);
        Ok(Expanded::Page { requests, next })
    }
}

fn requests(
    tenant: TenantId,
    id: SendId,
    send: &SendRow,
    message: &Message,
    devices: Vec<DeviceId>,
) -> Vec<PushRequest> {
    let sent = Arc::new(SentMessage { app: send.app.clone(), message: message.clone() });
    let request = |device| PushRequest {
        tenant,
        device,
        request: Request::Send { send: id, sent: Arc::clone(&sent) },
        requested_at: UnixMillis(send.created_at.0),
    };
    devices.into_iter().map(request).collect()
}

fn page_records(requests: &[PushRequest], next: Option<&Job>, trace: Option<TraceId>) -> Vec<Record> {
    let requests = requests
        .iter()
        .map(|request| Record::new(Topic::PushRequests, request.key().to_bytes(), request.encode()));
    let next = next.map(|job| Record::new(Topic::Jobs, job.key(), job.encode()));
    requests.chain(next).map(|record| record.traced(trace)).collect()
}
