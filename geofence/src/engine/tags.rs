//! Zones told apart by seven bits of their ids: most are not the one in question, and that shows without a look at them.

use geopush_model::ZoneId;

use super::Stay;

/// Seven bits of a zone's id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tag(u8);

/// The tags of some zones.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tags(u128);

/// Where a device's stays are, by the tags of their zones: found without passing the others.
#[derive(Debug)]
pub(super) struct Places([u8; 1 << Tag::BITS]);

impl Tag {
    const BITS: u32 = 7;

    #[inline]
    pub(super) fn of(zone: ZoneId) -> Self {
        Self(zone.0.as_bytes()[15] % (1 << Self::BITS))
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

impl Places {
    const NONE: u8 = u8::MAX;

    /// Of a device's stays, by zone id.
    pub(super) fn of(stays: &[Stay]) -> Self {
        let mut places = [Self::NONE; _];
        for (stay, place) in stays.iter().zip(0..Self::NONE) {
            places[usize::from(Tag::of(stay.zone).0)] = place;
        }
        Self(places)
    }

    /// Where among the same stays the one in a zone is.
    #[inline]
    pub(super) fn find(&self, zone: ZoneId, stays: &[Stay]) -> Option<usize> {
        let likely = self.0[usize::from(Tag::of(zone).0)];
        match stays.get(usize::from(likely)) {
            Some(stay) if stay.zone == zone => Some(usize::from(likely)),
            None if stays.len() < usize::from(Self::NONE) => None,
            // Another zone has the same tag, or there are more stays than have a place here.
            _ => stays.binary_search_by_key(&zone, |stay| stay.zone).ok(),
        }
    }
}

impl FromIterator<ZoneId> for Tags {
    fn from_iter<I: IntoIterator<Item = ZoneId>>(zones: I) -> Self {
        Self(zones.into_iter().fold(0, |tags, zone| tags | 1 << Tag::of(zone).0))
    }
}

#[cfg(test)]
mod tests {
    use geopush_model::UnixMillis;
    use uuid::Uuid;

    use super::*;

    #[test]
    fn stays_are_found_by_tags_however_many_share_one_or_there_are() {
        let id = |number: u128| ZoneId(Uuid::from_u128(number * 37));
        for count in [0, 1, 12, 127, 128, 129, 254, 255, 256, 3_000] {
            let stay = |number| Stay {
                zone: id(number),
                zone_external_id: None,
                since: UnixMillis(0),
                dwelled: false,
                zone_version: 1,
            };
            let stays: Vec<_> = (0..count).map(|number| stay(2 * number)).collect();
            let places = Places::of(&stays);
            for number in 0..2 * count + 2 {
                let place = (number % 2 == 0 && number / 2 < count).then_some(number as usize / 2);
                assert_eq!(places.find(id(number), &stays), place, "{number} of {count}");
            }
        }
    }
}
