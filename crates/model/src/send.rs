//! A send, or a run of a campaign, on its way to becoming pushes: jobs, then one request a device.

use std::sync::Arc;

use uuid::Uuid;

use crate::wire::{self, v1, wire};
use crate::{CampaignId, CauseId, DeviceId, DeviceKey, SendId, SentMessage, TenantId, UnixMillis, WireError};

/// The next page of one shard of what goes to many devices.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// Whose it is.
    pub tenant: TenantId,
    /// What is expanded.
    pub work: Work,
    /// Which shard of its devices.
    pub shard: u32,
    /// The last device that is done; none at the start.
    pub cursor: Option<DeviceId>,
    /// Devices that the shard's pages before asked for.
    pub expanded: u64,
    /// Not before then; none: at once.
    pub not_before: Option<UnixMillis>,
}

/// What goes to many devices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// A send.
    Send(SendId),
    /// One time of a scheduled campaign, or one look for absences.
    Run(CampaignRun),
}

/// One time of a scheduled campaign, or one look for absences.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CampaignRun {
    /// The campaign.
    pub campaign: CampaignId,
    /// The time that it was due.
    pub at: UnixMillis,
    /// How many shards its devices are in.
    pub shards: u32,
}

/// Something asked for one device, other than by a transition.
#[derive(Clone, Debug, PartialEq)]
pub struct PushRequest {
    /// Whose device it is.
    pub tenant: TenantId,
    /// Which device.
    pub device: DeviceId,
    /// What.
    pub request: Request,
    /// When the send or the run began, or the event was told.
    pub requested_at: UnixMillis,
}

/// What is asked for one device.
#[derive(Clone, Debug, PartialEq)]
pub enum Request {
    /// A send's message.
    Send {
        /// Which send.
        send: SendId,
        /// What it says: the same to all of its devices.
        sent: Arc<SentMessage>,
    },
    /// A campaign's message, if it is for the device.
    Run(CampaignRun),
    /// An event happened: what campaigns say to it.
    Event(DeviceEvent),
}

/// An event of a device, told by the API.
#[derive(Clone, Debug, PartialEq)]
pub struct DeviceEvent {
    /// Which one.
    pub id: CauseId,
    /// What happened.
    pub name: String,
    /// When.
    pub at: UnixMillis,
    /// What templates are told of it: an object.
    pub properties: serde_json::Value,
}

impl Work {
    /// The send's or the campaign's id.
    pub fn source(&self) -> Uuid {
        match self {
            Self::Send(send) => send.0,
            Self::Run(run) => run.campaign.0,
        }
    }
}

impl CampaignRun {
    /// The same for the same run, however often it is computed.
    pub fn cause(&self) -> CauseId {
        CauseId(Uuid::new_v5(&self.campaign.0, self.at.0.to_string().as_bytes()))
    }
}

impl Job {
    /// The log's key: the pages of a shard keep their order.
    pub fn key(&self) -> String {
        format!("{}/{}", self.work.source(), self.shard)
    }
}

impl PushRequest {
    /// Its device among all tenants'.
    pub fn key(&self) -> DeviceKey {
        DeviceKey { tenant: self.tenant, device: self.device.clone() }
    }

    /// What it is decided once by.
    pub fn cause(&self) -> CauseId {
        match &self.request {
            Request::Send { send, .. } => CauseId(send.0),
            Request::Run(run) => run.cause(),
            Request::Event(event) => event.id,
        }
    }
}

wire!(Job => v1::Job, PushRequest => v1::PushRequest);

impl From<CampaignRun> for v1::CampaignRun {
    fn from(run: CampaignRun) -> Self {
        Self { campaign: wire::bytes_of(run.campaign.0), at_ms: run.at.0, shards: run.shards }
    }
}

impl TryFrom<v1::CampaignRun> for CampaignRun {
    type Error = WireError;

    fn try_from(run: v1::CampaignRun) -> Result<Self, WireError> {
        let campaign = CampaignId(wire::uuid(&run.campaign, "run.campaign")?);
        Ok(Self { campaign, at: UnixMillis(run.at_ms), shards: run.shards })
    }
}

impl From<&Job> for v1::Job {
    fn from(job: &Job) -> Self {
        let (send, run) = match job.work {
            Work::Send(send) => (wire::bytes_of(send.0), None),
            Work::Run(run) => (bytes::Bytes::new(), Some(run.into())),
        };
        Self {
            tenant: wire::bytes_of(job.tenant.0),
            send,
            shard: job.shard,
            cursor: job.cursor.as_ref().map(|d| d.as_str().to_owned()).unwrap_or_default(),
            run,
            expanded: job.expanded,
            not_before_ms: job.not_before.unwrap_or_default().0,
        }
    }
}

impl TryFrom<v1::Job> for Job {
    type Error = WireError;

    fn try_from(job: v1::Job) -> Result<Self, WireError> {
        Ok(Self {
            tenant: TenantId(wire::uuid(&job.tenant, "tenant")?),
            work: match job.run {
                Some(run) => Work::Run(run.try_into()?),
                None => Work::Send(SendId(wire::uuid(&job.send, "send")?)),
            },
            shard: job.shard,
            cursor: (!job.cursor.is_empty()).then(|| wire::device(&job.cursor)).transpose()?,
            expanded: job.expanded,
            not_before: wire::time_or_none(job.not_before_ms),
        })
    }
}

impl From<&PushRequest> for v1::PushRequest {
    fn from(request: &PushRequest) -> Self {
        let plain = Self {
            tenant: wire::bytes_of(request.tenant.0),
            device: request.device.as_str().to_owned(),
            requested_at_ms: request.requested_at.0,
            ..Self::default()
        };
        match &request.request {
            Request::Send { send, sent } => Self {
                send: wire::bytes_of(send.0),
                app: sent.app.clone(),
                message: Some((&sent.message).into()),
                ..plain
            },
            Request::Run(run) => Self { run: Some((*run).into()), ..plain },
            Request::Event(event) => Self { event: Some(event.into()), ..plain },
        }
    }
}

impl TryFrom<v1::PushRequest> for PushRequest {
    type Error = WireError;

    fn try_from(request: v1::PushRequest) -> Result<Self, WireError> {
        let app = request.app;
        Ok(Self {
            tenant: TenantId(wire::uuid(&request.tenant, "tenant")?),
            device: wire::device(&request.device)?,
            request: match (request.run, request.event) {
                (Some(run), None) => Request::Run(run.try_into()?),
                (None, Some(event)) => Request::Event(event.try_into()?),
                (None, None) => Request::Send {
                    send: SendId(wire::uuid(&request.send, "send")?),
                    sent: Arc::new(SentMessage {
                        app,
                        message: wire::present(request.message, "message")?.into(),
                    }),
                },
                (Some(_), Some(_)) => return Err(WireError::Member("event")),
            },
            requested_at: UnixMillis(request.requested_at_ms),
        })
    }
}

impl From<&DeviceEvent> for v1::DeviceEvent {
    fn from(event: &DeviceEvent) -> Self {
        Self {
            id: wire::bytes_of(event.id.0),
            name: event.name.clone(),
            at_ms: event.at.0,
            properties_json: event.properties.to_string(),
        }
    }
}

impl TryFrom<v1::DeviceEvent> for DeviceEvent {
    type Error = WireError;

    fn try_from(event: v1::DeviceEvent) -> Result<Self, WireError> {
        Ok(Self {
            id: CauseId(wire::uuid(&event.id, "event.id")?),
            name: event.name,
            at: UnixMillis(event.at_ms),
            properties: serde_json::from_str(&event.properties_json)
                .map_err(|_| WireError::Member("event.properties_json"))?,
        })
    }
}
