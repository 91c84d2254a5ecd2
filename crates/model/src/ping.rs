//! What the geofence stage consumes.

use crate::wire::{self, v1, wire};
use crate::{DeviceId, DeviceKey, Fix, TenantId, UnixMillis, WireError};

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

wire!(Ping => v1::Ping);

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

impl TryFrom<v1::Ping> for Ping {
    type Error = WireError;

    fn try_from(ping: v1::Ping) -> Result<Self, WireError> {
        Ok(Self {
            tenant: TenantId(wire::uuid(&ping.tenant, "tenant")?),
            device: wire::device(&ping.device)?,
            received_at: UnixMillis(ping.received_at_ms),
            kind: match wire::present(ping.what, "what")? {
                v1::ping::What::Fixes(fixes) => {
                    PingKind::Fixes(fixes.fixes.into_iter().map(TryInto::try_into).collect::<Result<_, _>>()?)
                }
                v1::ping::What::Forget(_) => PingKind::Forget,
            },
        })
    }
}
