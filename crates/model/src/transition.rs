//! What the geofence stage says.

use crate::wire::{self, v1, wire};
use crate::{DeviceId, DeviceKey, Fix, TenantId, TransitionId, UnixMillis, WireError, ZoneId};

/// A device crossed a zone's border, or stayed.
#[derive(Clone, Debug, PartialEq)]
pub struct Transition {
    /// Derived: [`TransitionId::of`].
    pub id: TransitionId,
    /// Counts the device's transitions from 1 on; their order.
    pub seq: u64,
    /// Whose device and zone.
    pub tenant: TenantId,
    /// Which device.
    pub device: DeviceId,
    /// Which zone.
    pub zone: ZoneId,
    /// The merchant's name of the zone.
    pub zone_external_id: Option<String>,
    /// What happened.
    pub kind: TransitionKind,
    /// When it happened.
    pub at: UnixMillis,
    /// The fix that showed it; for exits without one, the device's last.
    pub fix: Fix,
    /// At the first fix ever seen of the device, or since it was forgotten.
    pub initial: bool,
    /// Whole seconds since the enter, of exits and dwells.
    pub dwell_s: Option<i64>,
    /// The version of the zone that it was judged by.
    pub zone_version: i64,
    /// When the device's first fix was received: tells one run of `seq` from the next after the device was forgotten.
    pub incarnation: UnixMillis,
    /// When the ping that caused it was accepted, if one did.
    pub received_at: Option<UnixMillis>,
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TransitionKind {
    /// The device came in.
    Enter,
    /// The device is out, and why.
    Exit(ExitReason),
    /// The device stayed for the zone's `dwell_s`.
    Dwell,
}

/// Why a device is out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ExitReason {
    /// It went.
    Left,
    /// The zone was deleted or deactivated.
    ZoneRemoved,
    /// The zone was changed round it.
    ZoneChanged,
    /// The device was deleted.
    DeviceRemoved,
    /// Nothing was heard of it for too long.
    Expired,
}

impl Transition {
    /// Its device among all tenants'.
    pub fn key(&self) -> DeviceKey {
        DeviceKey { tenant: self.tenant, device: self.device.clone() }
    }
}

impl TransitionKind {
    /// `enter`, `exit` or `dwell`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Enter => "enter",
            Self::Exit(_) => "exit",
            Self::Dwell => "dwell",
        }
    }

    /// The reason of an exit.
    pub fn reason(self) -> Option<ExitReason> {
        match self {
            Self::Exit(reason) => Some(reason),
            Self::Enter | Self::Dwell => None,
        }
    }

    /// The kind without its reason, as a trigger names it.
    fn wire(self) -> v1::TransitionKind {
        match self {
            Self::Enter => v1::TransitionKind::Enter,
            Self::Exit(_) => v1::TransitionKind::Exit,
            Self::Dwell => v1::TransitionKind::Dwell,
        }
    }
}

impl ExitReason {
    const ALL: [(Self, &'static str, v1::ExitReason); 5] = [
        (Self::Left, "left", v1::ExitReason::Left),
        (Self::ZoneRemoved, "zone_removed", v1::ExitReason::ZoneRemoved),
        (Self::ZoneChanged, "zone_changed", v1::ExitReason::ZoneChanged),
        (Self::DeviceRemoved, "device_removed", v1::ExitReason::DeviceRemoved),
        (Self::Expired, "expired", v1::ExitReason::Expired),
    ];

    /// `left`, `zone_removed`, `zone_changed`, `device_removed` or `expired`.
    pub fn as_str(self) -> &'static str {
        Self::ALL[self as usize].1
    }

    fn of_wire(reason: v1::ExitReason) -> Option<Self> {
        Self::ALL.iter().find(|row| row.2 == reason).map(|row| row.0)
    }
}

wire!(Transition => v1::Transition);

impl From<&Transition> for v1::Transition {
    fn from(t: &Transition) -> Self {
        let reason = t.kind.reason().map_or(v1::ExitReason::Unspecified, |r| ExitReason::ALL[r as usize].2);
        Self {
            id: wire::bytes_of(t.id.0),
            seq: t.seq,
            tenant: wire::bytes_of(t.tenant.0),
            device: t.device.as_str().to_owned(),
            zone: wire::bytes_of(t.zone.0),
            zone_external_id: t.zone_external_id.clone(),
            kind: t.kind.wire().into(),
            reason: reason.into(),
            at_ms: t.at.0,
            fix: Some((&t.fix).into()),
            initial: t.initial,
            dwell_s: t.dwell_s,
            zone_version: t.zone_version,
            incarnation: t.incarnation.0,
            received_at_ms: t.received_at.unwrap_or_default().0,
        }
    }
}

impl TryFrom<v1::Transition> for Transition {
    type Error = WireError;

    fn try_from(t: v1::Transition) -> Result<Self, WireError> {
        let kind = match t.kind() {
            v1::TransitionKind::Enter => TransitionKind::Enter,
            v1::TransitionKind::Dwell => TransitionKind::Dwell,
            v1::TransitionKind::Exit => {
                TransitionKind::Exit(wire::present(ExitReason::of_wire(t.reason()), "reason")?)
            }
            v1::TransitionKind::Unspecified => return Err(WireError::Member("kind")),
        };
        Ok(Self {
            id: TransitionId(wire::uuid(&t.id, "id")?),
            seq: t.seq,
            tenant: TenantId(wire::uuid(&t.tenant, "tenant")?),
            device: wire::device(&t.device)?,
            zone: ZoneId(wire::uuid(&t.zone, "zone")?),
            zone_external_id: t.zone_external_id,
            kind,
            at: UnixMillis(t.at_ms),
            fix: wire::present(t.fix, "fix")?.try_into()?,
            initial: t.initial,
            dwell_s: t.dwell_s,
            zone_version: t.zone_version,
            incarnation: UnixMillis(t.incarnation),
            received_at: wire::time_or_none(t.received_at_ms),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reasons_table_is_in_the_enums_order() {
        for (i, row) in ExitReason::ALL.iter().enumerate() {
            assert_eq!(row.0 as usize, i);
        }
    }
}
