//! Deliveries that were written to the log twice. The sender repeats an append whose outcome it could not learn, so the
//! same end may lie there again soon after; and a row that is written again changes nothing, but a count would.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use geopush_log::{Cursor, LogError, Offset, SharedLog, Topic, Until};
use geopush_model::{Delivery, PushId, Wire as _};

/// How many deliveries back a repetition is known: far more than a sender has in hand, in some 100 bytes each.
const MOST: u64 = 20_000;
const WAIT: Duration = Duration::from_secs(1);

/// The latest deliveries of a partition, by their pushes.
#[derive(Debug, Default)]
pub(super) struct Repeats {
    first: HashMap<PushId, Offset>,
    order: VecDeque<PushId>,
}

impl Repeats {
    /// As it was when the deliveries up to this position were taken.
    pub(super) async fn read(log: &SharedLog, partition: u32, position: Offset) -> Result<Self, LogError> {
        let mut repeats = Self::default();
        let from = position.saturating_sub(MOST);
        if from == position {
            return Ok(repeats);
        }
        let cursor = Cursor { topic: Topic::Deliveries, partition, offset: from };
        let mut reader = log.read(vec![cursor], Until::Offsets(vec![position])).await?;
        while !reader.done() {
            let Some((_, records)) = reader.next(WAIT).await? else { continue };
            for record in records {
                let delivery = record.value.as_deref().map(Delivery::decode);
                if let Some(Ok(delivery)) = delivery
                    && delivery.outcome.is_end()
                {
                    repeats.is_first(record.offset, delivery.push);
                }
            }
        }
        Ok(repeats)
    }

    /// Leaves those ends out that lie further ahead in the log already; how many.
    pub(super) fn leave_out(&mut self, deliveries: &mut Vec<(Offset, Delivery)>) -> usize {
        let before = deliveries.len();
        deliveries
            .retain(|(offset, delivery)| !delivery.outcome.is_end() || self.is_first(*offset, delivery.push));
        before - deliveries.len()
    }

    /// Whether a push's end is the first one; one that is read again, at the same offset, still is.
    fn is_first(&mut self, offset: Offset, push: PushId) -> bool {
        let first = *self.first.entry(push).or_insert_with(|| {
            self.order.push_back(push);
            offset
        });
        if self.order.len() as u64 > MOST
            && let Some(oldest) = self.order.pop_front()
        {
            self.first.remove(&oldest);
        }
        first >= offset
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn the_second_end_of_a_push_is_left_out_and_the_first_one_never() {
        let mut repeats = Repeats::default();
        let push = |n| PushId(Uuid::from_u128(n));
        assert!(repeats.is_first(5, push(1)) && repeats.is_first(6, push(2)));
        assert!(!repeats.is_first(7, push(1)) && !repeats.is_first(9, push(2)));
        assert!(repeats.is_first(5, push(1)), "the batch is read again after a lost commit");
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut repeats = Repeats::default();
        for n in 0..3 * MOST {
            assert!(repeats.is_first(n, PushId(Uuid::from_u128(u128::from(n)))));
        }
        assert_eq!((repeats.first.len() as u64, repeats.order.len() as u64), (MOST, MOST));
    }
}
