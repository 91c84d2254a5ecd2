//! What the deliveries tell of pushes that were sent before a restart.

use std::collections::HashSet;
use std::time::Duration;

use geopush_log::{Cursor, LogError, Offset, SharedLog, Topic, Until};
use geopush_model::{Delivery, PushId, Wire as _};

const WAIT: Duration = Duration::from_secs(1);

/// The note of a slice's commit: where its ledger starts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Note {
    /// An offset of the deliveries.
    pub ledger_from: Offset,
}

const NAME: &str = "ledger=";

impl Note {
    /// Reads a note. Without one, or with one that is not ours, the ledger is all that there is.
    pub fn parse(text: &str) -> Self {
        let from = text.strip_prefix(NAME).and_then(|offset| offset.parse().ok());
        Self { ledger_from: from.unwrap_or_default() }
    }
}

impl std::fmt::Display for Note {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{NAME}{}", self.ledger_from)
    }
}

/// The pushes that have ended, as far as they may come again.
#[derive(Debug, Default)]
pub struct Ledger {
    ended: HashSet<PushId>,
}

impl Ledger {
    /// Reads a partition of the deliveries from an offset to its end.
    ///
    /// # Errors
    /// When the log can't be read.
    pub async fn read(log: &SharedLog, partition: u32, from: Offset) -> Result<Self, LogError> {
        let cursor = Cursor { topic: Topic::Deliveries, partition, offset: from };
        let mut reader = log.read(vec![cursor], Until::Now).await?;
        let mut ended = HashSet::new();
        while !reader.done() {
            let Some((_, records)) = reader.next(WAIT).await? else { continue };
            // What can't be read here is rejected where deliveries are consumed.
            let deliveries =
                records.iter().filter_map(|record| Delivery::decode(record.value.as_ref()?).ok());
            ended.extend(deliveries.map(|delivery| delivery.push));
        }
        Ok(Self { ended })
    }

    /// Whether a push has ended. Each comes once, so it is forgotten then.
    pub fn settle(&mut self, push: PushId) -> bool {
        self.ended.remove(&push)
    }

    /// Forgets everything: nothing of an earlier owner can come any more.
    pub fn close(&mut self) {
        self.ended = HashSet::new();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_comes_back_and_another_reads_all() {
        let note = Note { ledger_from: 4_711 };
        assert_eq!(Note::parse(&note.to_string()), note);
        for text in ["", "ledger=", "ledger=x", "something else"] {
            assert_eq!(Note::parse(text), Note::default(), "{text}");
        }
    }
}
