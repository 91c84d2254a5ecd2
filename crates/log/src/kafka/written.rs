//! Where a producer has written, since what it writes first to a partition goes alone.
//!
//! A leader that knows nothing of a producer takes any sequence number from it (KAFKA-15591), and librdkafka holds all
//! records before one that was taken for written. Were two requests on their way when the partition becomes writable,
//! the first refused and the second taken, the first's records would be acknowledged and lost.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::Topic;

/// A partition of a topic.
pub(super) type Place = (Topic, i32);

/// A leader forgets a producer that wrote nothing for a day (`producer.id.expiration.ms`); this is well before.
const REMEMBERED: Duration = Duration::from_hours(1);

/// When one producer last wrote to each partition.
pub(super) struct Written {
    began: Instant,
    partitions: usize,
    /// By topic and partition, milliseconds since the beginning, and one; none: never.
    last: Box<[AtomicU64]>,
}

impl Written {
    /// For topics of so many partitions at most.
    pub(super) fn new(partitions: u32, began: Instant) -> Self {
        let partitions = partitions as usize;
        let last = (0..Topic::all().count() * partitions).map(|_| AtomicU64::new(0)).collect();
        Self { began, partitions, last }
    }

    /// The index of the first record of each partition whose leader may not know the producer now.
    pub(super) fn firsts(&self, places: impl Iterator<Item = Place>, now: Instant) -> BTreeMap<Place, usize> {
        let mut firsts = BTreeMap::new();
        for (index, place) in places.enumerate().filter(|(_, place)| !self.is_known_at(*place, now)) {
            firsts.entry(place).or_insert(index);
        }
        firsts
    }

    /// Whether its leader surely knows the producer.
    pub(super) fn is_known_at(&self, place: Place, now: Instant) -> bool {
        let last = self.last[self.index(place)].load(Ordering::Acquire);
        last > 0 && self.millis(now) < last + REMEMBERED.as_millis() as u64
    }

    /// Something was written there, no earlier than this.
    pub(super) fn note(&self, place: Place, at: Instant) {
        self.last[self.index(place)].fetch_max(self.millis(at) + 1, Ordering::Release);
    }

    /// Of how many partitions it is known.
    pub(super) fn places(&self) -> usize {
        self.last.len()
    }

    /// Which of these a partition is.
    pub(super) fn index(&self, (topic, partition): Place) -> usize {
        topic as usize * self.partitions + partition.unsigned_abs() as usize
    }

    fn millis(&self, at: Instant) -> u64 {
        at.saturating_duration_since(self.began).as_millis() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partition_is_known_for_an_hour_from_what_was_last_written() {
        let began = Instant::now();
        let written = Written::new(2, began);
        let (here, there) = ((Topic::Pings, 1), (Topic::Zones, 0));
        let firsts = |hours: f64| {
            let places = [there, here, there, here];
            written.firsts(places.into_iter(), began + Duration::from_secs_f64(hours * 3600.0))
        };
        assert_eq!(firsts(0.0), BTreeMap::from([(here, 1), (there, 0)]));
        written.note(here, began);
        assert_eq!(firsts(0.99), BTreeMap::from([(there, 0)]));
        assert_eq!(firsts(1.01), BTreeMap::from([(here, 1), (there, 0)]));
        written.note(here, began + Duration::from_hours(1));
        written.note(here, began);
        written.note(there, began + Duration::from_hours(1));
        assert_eq!(firsts(1.99), BTreeMap::new());
        assert_eq!(firsts(2.01).len(), 2);
    }
}
