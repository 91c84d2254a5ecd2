//! What a slice's commits note.

use geopush_model::UnixMillis;
use serde::{Deserialize, Serialize};

use super::hand::Unfinished;

/// What a slice's commits note.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Note {
    /// Runs that were due up to then have begun; none: it was never looked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    fired_to_ms: Option<i64>,
    /// Jobs behind the position that are not finished.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) unfinished: Option<Unfinished>,
}

impl Note {
    pub(super) fn new(fired_to: UnixMillis, unfinished: Option<Unfinished>) -> Self {
        Self { fired_to_ms: Some(fired_to.0), unfinished }
    }

    /// Reads a note; one of nothing, or of another version, says nothing.
    pub(super) fn parse(text: &str) -> Self {
        serde_json::from_str(text).unwrap_or_default()
    }

    pub(super) fn fired_to(&self) -> Option<UnixMillis> {
        self.fired_to_ms.map(UnixMillis)
    }

    pub(super) fn write(&self) -> String {
        serde_json::to_string(self).expect("numbers and texts are always JSON")
    }
}

#[cfg(test)]
mod tests {
    use super::super::hand::{Hand, Ready, SPAN};
    use super::*;

    #[test]
    fn a_note_comes_back_and_fits() {
        let mut hand = Hand::at(u64::MAX / 2, None);
        hand.take(u64::MAX / 2, (), false, Ready::Now);
        hand.finish(u64::MAX / 2 + SPAN - 1);
        let note = Note::new(UnixMillis(i64::MIN), hand.place().1);
        let text = note.write();
        assert!(text.len() < geopush_log::Commit::MAX_NOTE, "{}", text.len());
        assert_eq!(Note::parse(&text), note);
        assert_eq!(Note::parse(""), Note::default());
    }
}
