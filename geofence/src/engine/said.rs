//! What a device says, before it is written down.

use std::sync::Arc;

use geopush_model::{DeviceKey, Fix, Transition, TransitionId, TransitionKind, UnixMillis, ZoneId};

/// A transition as the engine tells it: whose it is its caller knows, and its id follows from that.
///
/// So evaluation costs neither a cryptographic hash nor a copied name; both are paid where the transition is written.
#[derive(Clone, Debug, PartialEq)]
pub struct Said {
    /// Counts the device's transitions from 1 on; their order.
    pub seq: u64,
    /// Where.
    pub zone: ZoneId,
    /// The merchant's name of the zone, as it was when the device came in.
    pub zone_external_id: Option<Arc<str>>,
    /// What happened.
    pub kind: TransitionKind,
    /// Whole seconds since the enter, of exits and dwells.
    pub dwell_s: Option<i64>,
    /// The version of the zone that it was judged by.
    pub zone_version: i64,
    /// What it shares with the others that were said with it.
    pub occasion: Arc<Occasion>,
}

/// What made a device say something.
#[derive(Clone, Debug, PartialEq)]
pub struct Occasion {
    /// When it happened.
    pub at: UnixMillis,
    /// The fix that showed it; for exits without one, the device's last.
    pub fix: Fix,
    /// At the first fix ever seen of the device, or since it was forgotten.
    pub initial: bool,
    /// When the device's first fix was received.
    pub incarnation: UnixMillis,
    /// When the ping that caused it was accepted, if one did.
    pub received_at: Option<UnixMillis>,
}

impl Said {
    /// The whole transition of the device that said it.
    #[must_use]
    pub fn by(self, DeviceKey { tenant, device }: DeviceKey) -> Transition {
        let Occasion { at, fix, initial, incarnation, received_at } = Arc::unwrap_or_clone(self.occasion);
        Transition {
            id: TransitionId::of(tenant, &device, self.zone, self.kind, at),
            seq: self.seq,
            tenant,
            device,
            zone: self.zone,
            zone_external_id: self.zone_external_id.as_deref().map(str::to_owned),
            kind: self.kind,
            at,
            fix,
            initial,
            dwell_s: self.dwell_s,
            zone_version: self.zone_version,
            incarnation,
            received_at,
        }
    }
}
