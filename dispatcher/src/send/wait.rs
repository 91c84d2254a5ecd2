//! Where a push waits until it is tried again: pure.

use std::time::Duration;

use geopush_log::Topic;
use geopush_model::UnixMillis;

/// The topics of retries. Each holds its records for as long as all its others, so that they come due in order.
pub const TOPICS: [Topic; 3] = [Topic::PushRetries1m, Topic::PushRetries10m, Topic::PushRetries1h];

/// How long waiting pushes are put where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Waits {
    /// `dispatcher.retry_in_memory`: who is tried again so soon waits in memory, if there is room.
    pub in_memory: Duration,
    /// How long each topic of retries holds its records, the shortest first.
    pub topics: [Duration; 3],
}

impl Default for Waits {
    fn default() -> Self {
        let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
        // FCM's first backoff, of 10 to 15 seconds, stays in memory.
        Self { in_memory: Duration::from_secs(15), topics: [minutes(1), minutes(10), minutes(60)] }
    }
}

/// Where a push waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Where {
    /// In the slice's hand.
    Memory,
    /// In the topic of retries with this index.
    Topic(usize),
    /// Nowhere: its time runs out first.
    Expired,
}

/// What becomes of a push that its lane has no room for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overflow {
    /// It is put off by this.
    PutOff(Duration),
    /// Its time runs out before its lane would come to it.
    Expired,
    /// It stays where it is: a topic of retries would hold it too long.
    Stay,
}

impl Waits {
    /// Where a push waits for `wait`, when it has `left` until its time runs out.
    pub fn place(&self, wait: Duration, left: Duration, has_room: bool) -> Where {
        if wait >= left {
            return Where::Expired;
        }
        if wait <= self.in_memory && has_room {
            return Where::Memory;
        }
        let topic = self.longest_within(wait);
        // What the shortest topic would hold too long is the hand's: it can't be for long.
        if self.topics[topic] < left { Where::Topic(topic) } else { Where::Memory }
    }

    /// The same for a push that was put off for long enough but for a rest: that waits in memory.
    pub fn for_a_rest(self) -> Self {
        Self { in_memory: self.in_memory.max(self.topics[0]), ..self }
    }

    /// How long a push waits that nobody named a time for, as its lane takes nothing: about as long as it has waited
    /// already, so that what waits for hours is not carried from topic to topic every minute.
    pub fn while_lane_is_out(&self, age: Duration) -> Duration {
        age.clamp(self.topics[0], self.topics[2])
    }

    /// What becomes of a push of this age, with `left` of its time, when its lane takes `drains_in` for what it has in
    /// hand already, or for ever.
    pub fn overflow(&self, drains_in: Duration, age: Duration, left: Duration) -> Overflow {
        let wait = match drains_in {
            Duration::MAX => self.while_lane_is_out(age).min(left / 2),
            // It will be asked for again soon, so that the lane does not stand idle.
            _ => self.topics[0],
        };
        if self.topics[self.longest_within(wait)] < left {
            Overflow::PutOff(wait)
        } else if drains_in < left {
            Overflow::Stay
        } else {
            Overflow::Expired
        }
    }

    /// The longest topic that holds its records no longer than `wait`, or the shortest.
    pub fn longest_within(&self, wait: Duration) -> usize {
        self.topics.iter().rposition(|delay| *delay <= wait).unwrap_or(0)
    }

    /// When a record that arrived then comes due.
    pub fn due(&self, topic: usize, arrived: UnixMillis) -> UnixMillis {
        let delay_ms = i64::try_from(self.topics[topic].as_millis()).unwrap_or(i64::MAX);
        arrived.plus_ms(delay_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: fn(u64) -> Duration = Duration::from_secs;
    const DAY: Duration = Duration::from_secs(86_400);

    #[test]
    fn a_push_waits_in_the_longest_topic_that_is_not_too_long() {
        let waits = Waits::default();
        let rows = [
            (S(0), DAY, true, Where::Memory),
            (S(15), DAY, true, Where::Memory),
            (S(15), DAY, false, Where::Topic(0)),
            (S(16), DAY, true, Where::Topic(0)),
            (S(599), DAY, true, Where::Topic(0)),
            (S(600), DAY, true, Where::Topic(1)),
            (S(3_599), DAY, true, Where::Topic(1)),
            (S(3_600), DAY, true, Where::Topic(2)),
            (S(7_200), DAY, true, Where::Topic(2)),
        ];
        for (wait, left, has_room, expected) in rows {
            assert_eq!(waits.place(wait, left, has_room), expected, "{wait:?} {has_room}");
        }
    }

    #[test]
    fn no_push_waits_past_its_time() {
        let waits = Waits::default();
        assert_eq!(waits.place(S(10), S(10), true), Where::Expired);
        assert_eq!(waits.place(S(7_200), S(3_600), true), Where::Expired);
        // Tried again within its time, if only in memory.
        assert_eq!(waits.place(S(30), S(60), false), Where::Memory);
        assert_eq!(waits.place(S(30), S(61), false), Where::Topic(0));
    }

    #[test]
    fn what_a_lane_has_no_room_for_is_put_off_if_there_is_time() {
        let waits = Waits::default();
        let never = Duration::MAX;
        let rows = [
            (S(30), S(0), S(61), Overflow::PutOff(S(60))),
            (S(30), S(0), S(60), Overflow::Stay),
            (S(30), S(0), S(30), Overflow::Expired),
            (never, S(0), S(60), Overflow::Expired),
            (never, S(0), DAY, Overflow::PutOff(S(60))),
            (never, S(700), DAY, Overflow::PutOff(S(700))),
            (never, S(700), S(100), Overflow::PutOff(S(50))),
            (S(30), S(700), DAY, Overflow::PutOff(S(60))),
        ];
        for (drains_in, age, left, expected) in rows {
            assert_eq!(waits.overflow(drains_in, age, left), expected, "{drains_in:?} {age:?} {left:?}");
        }
    }

    #[test]
    fn a_lane_that_is_out_is_asked_ever_more_seldom() {
        let waits = Waits::default();
        for (age, expected) in [(0, 60), (59, 60), (300, 300), (86_400, 3_600)] {
            assert_eq!(waits.while_lane_is_out(S(age)), S(expected));
        }
    }
}
