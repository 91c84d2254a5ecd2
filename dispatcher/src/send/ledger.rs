//! What the deliveries tell of pushes that were sent or put off before a restart.

use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use geopush_log::{Cursor, LogError, Offset, SharedLog, Topic, Until};
use geopush_model::{Delivery, PushId, Wire as _};

const WAIT: Duration = Duration::from_secs(1);

/// The note of a slice's commit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Note {
    /// Where the ledger starts: an offset of the deliveries.
    pub ledger_from: Offset,
    /// Of each topic of retries: before this its records may have been sent. It is committed before they are.
    pub taken: Vec<Offset>,
}

const LEDGER: &str = "ledger=";
const TAKEN: &str = "taken=";

impl Note {
    /// Reads a note; none when it is not ours.
    pub fn parse(text: &str) -> Option<Self> {
        let mut words = text.split(' ');
        let ledger_from = words.next()?.strip_prefix(LEDGER)?.parse().ok()?;
        let taken = match words.next() {
            // As it was written before there were retries on the log.
            None => Vec::new(),
            Some(word) => {
                let offsets = word.strip_prefix(TAKEN)?.split(',');
                offsets.map(str::parse).collect::<Result<_, _>>().ok()?
            }
        };
        Some(Self { ledger_from, taken })
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{LEDGER}{}", self.ledger_from)?;
        for (at, offset) in self.taken.iter().enumerate() {
            let before = if at == 0 { " taken=" } else { "," };
            write!(f, "{before}{offset}")?;
        }
        Ok(())
    }
}

/// What became of the pushes of records that may come again.
#[derive(Debug, Default)]
pub struct Ledger {
    told: HashMap<PushId, Told>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Told {
    /// Its record with as many deferrals is the one that counts.
    Deferred(u32),
    Ended,
}

impl Ledger {
    /// Reads a partition of the deliveries from an offset to its end.
    ///
    /// # Errors
    /// When the log can't be read.
    pub async fn read(log: &SharedLog, partition: u32, from: Offset) -> Result<Self, LogError> {
        let cursor = Cursor { topic: Topic::Deliveries, partition, offset: from };
        let mut reader = log.read(vec![cursor], Until::Now).await?;
        let mut ledger = Self::default();
        while !reader.done() {
            let Some((_, records)) = reader.next(WAIT).await? else { continue };
            // What can't be read here is rejected where deliveries are consumed.
            let deliveries =
                records.iter().filter_map(|record| Delivery::decode(record.value.as_ref()?).ok());
            for delivery in deliveries {
                ledger.tell(delivery.push, (!delivery.outcome.is_end()).then_some(delivery.deferrals));
            }
        }
        Ok(ledger)
    }

    /// A push has ended, or was put off for the time that is given.
    pub(super) fn tell(&mut self, push: PushId, deferred: Option<u32>) {
        let told = deferred.map_or(Told::Ended, Told::Deferred);
        let known = self.told.entry(push).or_insert(told);
        *known = told.max(*known);
    }

    /// Whether there is nothing to do about a push's record that was put off `deferrals` times.
    pub fn has_settled(&self, push: PushId, deferrals: u32) -> bool {
        match self.told.get(&push) {
            Some(Told::Ended) => true,
            Some(Told::Deferred(times)) => *times > deferrals,
            None => false,
        }
    }

    /// Forgets everything: nothing of an earlier owner can come any more.
    pub fn close(&mut self) {
        self.told = HashMap::new();
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn a_note_comes_back_and_another_is_none() {
        for taken in [vec![], vec![1], vec![7, 0, 9]] {
            let note = Note { ledger_from: 4_711, taken };
            assert_eq!(Note::parse(&note.to_string()), Some(note));
        }
        for text in [
            "",
            "ledger=",
            "ledger=x",
            "something else",
            "ledger=1 2",
            "ledger=1 taken=",
            "ledger=1 taken=2,x",
        ] {
            assert_eq!(Note::parse(text), None, "{text}");
        }
    }

    #[test]
    fn of_a_pushs_records_only_the_last_counts_and_none_after_its_end() {
        let push = PushId(Uuid::from_u128(1));
        let settled = |told: &[Option<u32>]| {
            let mut ledger = Ledger::default();
            for told in told {
                ledger.tell(push, *told);
            }
            [0, 1, 2].map(|deferrals| ledger.has_settled(push, deferrals))
        };
        assert_eq!(settled(&[]), [false, false, false]);
        assert_eq!(settled(&[Some(1)]), [true, false, false]);
        assert_eq!(settled(&[Some(2), Some(1)]), [true, true, false]);
        assert_eq!(settled(&[Some(1), None]), [true, true, true]);
        assert_eq!(settled(&[None, Some(1)]), [true, true, true]);
    }
}
