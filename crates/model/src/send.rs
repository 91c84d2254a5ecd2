//! A send on its way to becoming pushes: jobs, then one request a device.

use crate::wire::{self, v1, wire};
use crate::{DeviceId, DeviceKey, Message, SendId, TenantId, UnixMillis, WireError};

/// The next page of one shard of a send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// Whose send it is.
    pub tenant: TenantId,
    /// Which one.
    pub send: SendId,
    /// Which shard of its devices.
    pub shard: u32,
    /// The last device that is done; none at the start.
    pub cursor: Option<DeviceId>,
}

/// One device of one send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PushRequest {
    /// Whose device it is.
    pub tenant: TenantId,
    /// Which device.
    pub device: DeviceId,
    /// Which send.
    pub send: SendId,
    /// The app to send by.
    pub app: String,
    /// What.
    pub message: Message,
    /// When the send was asked for.
    pub requested_at: UnixMillis,
}

impl Job {
    /// The log's key: the pages of a shard keep their order.
    pub fn key(&self) -> String {
        format!("{}/{}", self.send, self.shard)
    }
}

impl PushRequest {
    /// Its device among all tenants'.
    pub fn key(&self) -> DeviceKey {
        DeviceKey { tenant: self.tenant, device: self.device.clone() }
    }
}

wire!(Job => v1::Job, PushRequest => v1::PushRequest);

impl From<&Job> for v1::Job {
    fn from(job: &Job) -> Self {
        Self {
            tenant: wire::bytes_of(job.tenant.0),
            send: wire::bytes_of(job.send.0),
            shard: job.shard,
            cursor: job.cursor.as_ref().map(|d| d.as_str().to_owned()).unwrap_or_default(),
        }
    }
}

impl TryFrom<v1::Job> for Job {
    type Error = WireError;

    fn try_from(job: v1::Job) -> Result<Self, WireError> {
        Ok(Self {
            tenant: TenantId(wire::uuid(&job.tenant, "tenant")?),
            send: SendId(wire::uuid(&job.send, "send")?),
            shard: job.shard,
            cursor: (!job.cursor.is_empty()).then(|| wire::device(&job.cursor)).transpose()?,
        })
    }
}

impl From<&PushRequest> for v1::PushRequest {
    fn from(request: &PushRequest) -> Self {
        Self {
            tenant: wire::bytes_of(request.tenant.0),
            device: request.device.as_str().to_owned(),
            send: wire::bytes_of(request.send.0),
            app: request.app.clone(),
            message: Some((&request.message).into()),
            requested_at_ms: request.requested_at.0,
        }
    }
}

impl TryFrom<v1::PushRequest> for PushRequest {
    type Error = WireError;

    fn try_from(request: v1::PushRequest) -> Result<Self, WireError> {
        Ok(Self {
            tenant: TenantId(wire::uuid(&request.tenant, "tenant")?),
            device: wire::device(&request.device)?,
            send: SendId(wire::uuid(&request.send, "send")?),
            app: request.app,
            message: wire::present(request.message, "message")?.into(),
            requested_at: UnixMillis(request.requested_at_ms),
        })
    }
}
