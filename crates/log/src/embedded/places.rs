//! Where a record lies in the file: small numbers for topics and partitions, and the row of an offset.

use crate::{Offset, Topic};

const OFFSET_BITS: u32 = 40;
const PARTITION_BITS: u32 = 15;
/// So that topic (8 bits), partition and offset fit in a positive rowid.
pub(super) const MAX_PARTITIONS: u32 = 1 << PARTITION_BITS;

/// A partition of a topic, as the file numbers it: `topic id << 15 | partition`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place(pub(super) i64);

impl Place {
    /// The rowid of a record: a partition's records lie next to each other, in order.
    pub(super) fn row(self, offset: Offset) -> i64 {
        debug_assert!(offset < 1 << OFFSET_BITS, "an offset beyond 2^40");
        self.0 << OFFSET_BITS | offset.cast_signed()
    }

    /// The offset of a rowid of this place.
    pub(super) fn offset(self, row: i64) -> Offset {
        (row - (self.0 << OFFSET_BITS)).cast_unsigned()
    }

    /// The rowid after the last one that this place can have.
    pub(super) fn end_row(self) -> i64 {
        (self.0 + 1) << OFFSET_BITS
    }
}

/// Topics' ids in the file, and the numbers of this process for their partitions.
#[derive(Clone, Debug)]
pub(super) struct Places {
    partitions: u32,
    /// By the topics' order in [`Topic::all`]. The file's own numbers, since that order may change.
    ids: Vec<i64>,
}

impl Places {
    pub(super) fn new(partitions: u32, ids: Vec<i64>) -> Self {
        Self { partitions, ids }
    }

    pub(super) fn partitions(&self, topic: Topic) -> u32 {
        if topic.is_partitioned() { self.partitions } else { 1 }
    }

    pub(super) fn topic_id(&self, topic: Topic) -> i64 {
        self.ids[topic as usize]
    }

    pub(super) fn place(&self, topic: Topic, partition: u32) -> Place {
        Place(self.topic_id(topic) << PARTITION_BITS | i64::from(partition))
    }

    /// A dense number for a partition of a topic, of this process alone.
    pub(super) fn slot(&self, topic: Topic, partition: u32) -> usize {
        topic as usize * self.partitions as usize + partition as usize
    }

    /// Every partition of every topic.
    pub(super) fn all(&self) -> impl Iterator<Item = (Topic, u32)> {
        Topic::all().flat_map(|topic| (0..self.partitions(topic)).map(move |partition| (topic, partition)))
    }

    /// One more than the largest slot.
    pub(super) fn slots(&self) -> usize {
        self.ids.len() * self.partitions as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_the_largest_place_are_positive_and_come_back() {
        let place = Place(255 << PARTITION_BITS | i64::from(MAX_PARTITIONS - 1));
        let last = (1 << OFFSET_BITS) - 1;
        assert!(place.row(last) > place.row(0) && place.row(0) > 0);
        assert_eq!(place.offset(place.row(last)), last);
        assert_eq!(Place(7).row(last) + 1, Place(8).row(0));
        assert_eq!(Place(7).end_row(), Place(8).row(0));
    }

    #[test]
    fn every_partition_has_a_slot_of_its_own() {
        let places = Places::new(8, (1..).take(Topic::all().count()).collect());
        let mut slots: Vec<usize> = places.all().map(|(topic, p)| places.slot(topic, p)).collect();
        let count = slots.len();
        slots.sort_unstable();
        slots.dedup();
        assert_eq!(slots.len(), count);
        assert!(slots.iter().all(|slot| *slot < places.slots()));
    }
}
