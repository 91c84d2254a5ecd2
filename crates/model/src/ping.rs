//! What the geofence stage consumes.

use bytes::Bytes;
use prost::Message as _;

use crate::wire::{self, v1};
use crate::{DeviceId, DeviceKey, Fix, TenantId, UnixMillis, Wire, WireError};

mod read;

/// One request's word about one device.
#[derive(Clone, Debug, PartialEq)]
pub struct Ping {
    /// Whose device it is.
    pub tenant: TenantId,
    /// Which one.
    pub device: DeviceId,
    /// When the request was accepted.
    pub received_at: UnixMillis,
    /// What it says.
    pub kind: PingKind,
}

/// What a ping says.
#[derive(Clone, Debug, PartialEq)]
pub enum PingKind {
    /// Where the device was: sorted by time, the first of equals first.
    Fixes(Vec<Fix>),
    /// The device was deleted: it leaves every zone and is forgotten.
    Forget,
}

impl Ping {
    /// Its device among all tenants'.
    pub fn key(&self) -> DeviceKey {
        DeviceKey { tenant: self.tenant, device: self.device.clone() }
    }
}

impl Wire for Ping {
    fn encode(&self) -> Bytes {
        v1::Ping::from(self).encode_to_vec().into()
    }

    fn decode(bytes: &[u8]) -> Result<Self, WireError> {
        read::ping(bytes)
    }
}

impl From<&Ping> for v1::Ping {
    fn from(ping: &Ping) -> Self {
        Self {
            tenant: wire::bytes_of(ping.tenant.0),
            device: ping.device.as_str().to_owned(),
            received_at_ms: ping.received_at.0,
            what: Some(match &ping.kind {
                PingKind::Fixes(fixes) => {
                    v1::ping::What::Fixes(v1::Fixes { fixes: fixes.iter().map(Into::into).collect() })
                }
                PingKind::Forget => v1::ping::What::Forget(v1::Forget {}),
            }),
        }
    }
}
