//! Zones told apart by seven bits of their ids: most are not the one in question, and that shows without a look at them.

use geopush_model::ZoneId;

/// Seven bits of a zone's id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tag(u8);

/// The tags of some zones.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tags(u128);

impl Tag {
    pub(super) fn of(zone: ZoneId) -> Self {
        Self(zone.0.as_bytes()[15] & 0x7f)
    }

    /// Any number of it, to have asked the memory for it.
    pub(super) fn touch(self) -> usize {
        usize::from(self.0)
    }
}

impl Tags {
    pub(super) const NONE: Self = Self(0);

    /// Whether a zone of this tag may be among them; if not, it surely is not.
    #[inline]
    pub(super) fn may_hold(self, Tag(tag): Tag) -> bool {
        self.0 >> tag & 1 != 0
    }
}

impl FromIterator<ZoneId> for Tags {
    fn from_iter<I: IntoIterator<Item = ZoneId>>(zones: I) -> Self {
        Self(zones.into_iter().fold(0, |tags, zone| tags | 1 << Tag::of(zone).0))
    }
}
