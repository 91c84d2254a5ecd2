//! What every ping looks at of its device: one cache line.

use geopush_geometry::Position;
use geopush_model::UnixMillis;

use super::DeviceHash;
use super::pair48::Pair48;
use crate::engine::index::{Stamp, TileId};
use crate::engine::safe_box::SafeBox;

/// A device's line.
#[derive(Clone, Debug)]
#[repr(C, align(64))]
pub(super) struct Hot {
    /// Where the last fix is.
    pub(super) position: Position,
    /// The tile that the box was made by.
    pub(super) stamp: Stamp,
    /// Where nothing changes, as long as the stamp is current.
    pub(super) safe_box: SafeBox,
    /// Where its member part is, [`Hot::NO_MEMBER`] of a device in no zone.
    member: u32,
    /// What of its hash is not in the lookup.
    key: [u32; 3],
    /// Of the last fix, and when anything was received last.
    times: Pair48,
}

impl Hot {
    const NO_MEMBER: u32 = u32::MAX;

    pub(super) fn new(hash: DeviceHash) -> Self {
        Self {
            position: Position { lon: 0.0, lat: 0.0 },
            stamp: Stamp::NONE,
            safe_box: SafeBox::EMPTY,
            member: Self::NO_MEMBER,
            key: hash.rest(),
            times: Pair48::default(),
        }
    }

    /// The tile that its last fix was judged by.
    pub(super) fn tile(&self) -> Option<TileId> {
        (self.stamp != Stamp::NONE).then_some(self.stamp.tile)
    }

    /// Whether it is of this device, whose tag was compared already.
    #[inline]
    pub(super) fn is_of(&self, hash: DeviceHash) -> bool {
        self.key == hash.rest()
    }

    /// Where its member part is.
    #[inline]
    pub(super) fn member(&self) -> Option<u32> {
        (self.member != Self::NO_MEMBER).then_some(self.member)
    }

    pub(super) fn set_member(&mut self, place: Option<u32>) {
        self.member = place.unwrap_or(Self::NO_MEMBER);
    }

    #[inline]
    pub(super) fn fixed_at(&self) -> UnixMillis {
        UnixMillis(self.times.first())
    }

    #[inline]
    pub(super) fn received_at(&self) -> UnixMillis {
        UnixMillis(self.times.second())
    }

    #[inline]
    pub(super) fn set_times(&mut self, fixed_at: UnixMillis, received_at: UnixMillis) {
        self.times = Pair48::of_times(fixed_at, received_at);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_devices_line_is_a_cache_line() {
        assert_eq!((size_of::<Hot>(), align_of::<Hot>()), (64, 64));
    }
}
