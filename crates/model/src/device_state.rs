//! What the geofence stage keeps of devices, as its changelog holds it.

use crate::wire::{self, v1, wire};
use crate::{DeviceId, Fix, TenantId, UnixMillis, WireError, ZoneId};

/// One record of the changelog: a device with its memberships, or the last fixes of a bucket of devices.
#[derive(Clone, Debug, PartialEq)]
pub struct DeviceState {
    /// The devices.
    pub devices: Vec<DeviceEntry>,
    /// The position in the pings up to which this says everything of them.
    pub as_of: u64,
}

/// One device.
#[derive(Clone, Debug, PartialEq)]
pub struct DeviceEntry {
    /// Whose it is.
    pub tenant: TenantId,
    /// Which one.
    pub device: DeviceId,
    /// When its first fix since it was last forgotten was received.
    pub incarnation: UnixMillis,
    /// How many transitions it has had since then.
    pub seq: u64,
    /// Where it was last.
    pub last_fix: Fix,
    /// When anything of it was received last.
    pub last_received: UnixMillis,
    /// The zones that it is in; empty in a bucket's record, whatever it is in.
    pub memberships: Vec<Membership>,
}

/// A device's stay in a zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Membership {
    /// Where.
    pub zone: ZoneId,
    /// The merchant's name of the zone.
    pub zone_external_id: Option<String>,
    /// The time of the fix that entered.
    pub since: UnixMillis,
    /// Whether this stay has had its dwell.
    pub dwelled: bool,
    /// The version of the zone that the enter was judged by.
    pub zone_version: i64,
}

wire!(DeviceState => v1::DeviceState);

impl From<&DeviceState> for v1::DeviceState {
    fn from(state: &DeviceState) -> Self {
        Self { devices: state.devices.iter().map(Into::into).collect(), as_of: state.as_of }
    }
}

impl TryFrom<v1::DeviceState> for DeviceState {
    type Error = WireError;

    fn try_from(state: v1::DeviceState) -> Result<Self, WireError> {
        Ok(Self {
            devices: state.devices.into_iter().map(TryInto::try_into).collect::<Result<_, _>>()?,
            as_of: state.as_of,
        })
    }
}

impl From<&DeviceEntry> for v1::DeviceEntry {
    fn from(entry: &DeviceEntry) -> Self {
        Self {
            tenant: wire::bytes_of(entry.tenant.0),
            device: entry.device.as_str().to_owned(),
            incarnation: entry.incarnation.0,
            seq: entry.seq,
            last_fix: Some((&entry.last_fix).into()),
            last_received_ms: entry.last_received.0,
            memberships: entry
                .memberships
                .iter()
                .map(|m| v1::Membership {
                    zone: wire::bytes_of(m.zone.0),
                    since_ms: m.since.0,
                    dwelled: m.dwelled,
                    zone_external_id: m.zone_external_id.clone(),
                    zone_version: m.zone_version,
                })
                .collect(),
        }
    }
}

impl TryFrom<v1::DeviceEntry> for DeviceEntry {
    type Error = WireError;

    fn try_from(entry: v1::DeviceEntry) -> Result<Self, WireError> {
        let membership = |m: v1::Membership| {
            Ok(Membership {
                zone: ZoneId(wire::uuid(&m.zone, "zone")?),
                zone_external_id: m.zone_external_id,
                since: UnixMillis(m.since_ms),
                dwelled: m.dwelled,
                zone_version: m.zone_version,
            })
        };
        Ok(Self {
            tenant: TenantId(wire::uuid(&entry.tenant, "tenant")?),
            device: wire::device(&entry.device)?,
            incarnation: UnixMillis(entry.incarnation),
            seq: entry.seq,
            last_fix: wire::present(entry.last_fix, "last_fix")?.try_into()?,
            last_received: UnixMillis(entry.last_received_ms),
            memberships: entry.memberships.into_iter().map(membership).collect::<Result<_, WireError>>()?,
        })
    }
}
