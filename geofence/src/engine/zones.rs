//! Zones as the state machine judges by them.

use std::num::NonZero;
use std::sync::Arc;

use geopush_geometry::{Position, Prepared};
use geopush_model::{Fix, Removal, TenantId, UnixMillis, Zone, ZoneId};

/// A live version of a zone, its shape prepared and its defaults filled in.
///
/// In the order of C: what every fix near asks comes first, and stands in two cache lines together with the counts of
/// the [`Arc`]; what only transitions say is in a third one.
#[derive(Debug)]
#[repr(C)]
pub struct PreparedZone {
    /// Which zone.
    pub id: ZoneId,
    /// Its shape.
    pub shape: Prepared,
    /// How far outside a member must be to have left, in metres.
    pub exit_buffer_m: f64,
    /// Fixes less accurate than this, in metres, change nothing here.
    pub max_accuracy_m: f64,
    /// How long after the enter a dwell comes, in ms: not at the fix that entered, however short that is.
    pub dwell_ms: Option<NonZero<i64>>,
    /// Which version.
    pub version: i64,
    /// The merchant's name of it.
    pub external_id: Option<Arc<str>>,
    /// Whose zone.
    pub tenant: TenantId,
}

impl PreparedZone {
    /// Prepares a zone; `None` if it is deleted or inactive and so gives no transitions.
    pub fn of(zone: &Zone) -> Option<Self> {
        zone.is_live().then(|| Self {
            id: zone.id,
            shape: Prepared::new(&zone.shape),
            exit_buffer_m: zone.effective_exit_buffer_m(),
            max_accuracy_m: zone.effective_max_accuracy_m(),
            dwell_ms: zone.dwell_s.and_then(|s| NonZero::new(s.saturating_mul(1000).max(1))),
            version: zone.version,
            external_id: zone.external_id.as_deref().map(Arc::from),
            tenant: zone.tenant,
        })
    }

    /// Something of each cache line that a fix asks, to have asked the memory for them.
    #[inline]
    pub(super) fn touch(&self) -> u64 {
        self.max_accuracy_m.to_bits() ^ self.id.0.as_u128() as u64 ^ self.shape.touch()
    }

    /// Whether a fix is accurate enough to change anything here; unknown counts as accurate.
    pub fn admits(&self, fix: &Fix) -> bool {
        fix.accuracy_m.is_none_or(|accuracy_m| accuracy_m <= self.max_accuracy_m)
    }

    /// Whether a device there comes in; the border is inside.
    pub fn contains(&self, position: Position) -> bool {
        self.shape.contains(position)
    }

    /// Whether a member there has left: it is outside by more than the exit buffer.
    pub fn is_left_at(&self, position: Position) -> bool {
        self.shape.is_farther_than(position, self.exit_buffer_m)
    }
}

/// A zone's new version, as its members must be judged by it.
#[derive(Clone, Debug)]
pub struct ZoneChange {
    /// Whose zone.
    pub tenant: TenantId,
    /// Which zone.
    pub zone: ZoneId,
    /// The new version, if anyone can still say.
    pub version: Option<i64>,
    /// When it was made.
    pub at: UnixMillis,
    /// The zone as it is now; `None` once it is deleted or inactive.
    pub now: Option<Arc<PreparedZone>>,
    /// When it was last deleted or deactivated, be it live again.
    pub removal: Option<Removal>,
}

impl ZoneChange {
    /// The change that made `zone` what it is.
    pub fn to(zone: &Zone) -> Self {
        Self {
            tenant: zone.tenant,
            zone: zone.id,
            version: Some(zone.version),
            at: zone.updated_at,
            now: PreparedZone::of(zone).map(Arc::new),
            removal: zone.removal,
        }
    }

    /// A zone that is no longer known at all: nobody can say any more which version removed it, or when.
    pub fn vanished(tenant: TenantId, zone: ZoneId) -> Self {
        Self { tenant, zone, version: None, at: UnixMillis(i64::MIN), now: None, removal: None }
    }
}

#[cfg(test)]
mod tests {
    use std::mem::offset_of;

    use super::*;

    #[test]
    fn what_a_fix_asks_of_a_zone_is_in_two_cache_lines() {
        let counts = 2 * size_of::<usize>();
        assert_eq!(counts + offset_of!(PreparedZone, version), 128);
        assert_eq!(counts + size_of::<PreparedZone>(), 168);
    }
}
