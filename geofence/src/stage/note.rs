//! What is committed beside a slice's position.

use std::fmt;
use std::str::FromStr;

use geopush_log::Offset;

/// The note of a slice's commit. As text: `v1 pings=<offset> zones=<offset>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Note {
    /// The first ping whose fixes may not be written down yet: a restore replays from here up to the position.
    pub(super) replay_from: Offset,
    /// Every zone change before this offset has had its effect on the slice's devices.
    pub(super) zones: Offset,
}

/// A note that this version can't read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the geofence group's commit carries the note `{0}`, which this version can't read; run the version that wrote it"
)]
pub(super) struct UnknownNote(String);

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "v1 pings={} zones={}", self.replay_from, self.zones)
    }
}

impl FromStr for Note {
    type Err = UnknownNote;

    fn from_str(text: &str) -> Result<Self, UnknownNote> {
        let read = || {
            let mut words = text.strip_prefix("v1 ")?.split(' ');
            let replay_from = words.next()?.strip_prefix("pings=")?.parse().ok()?;
            let zones = words.next()?.strip_prefix("zones=")?.parse().ok()?;
            words.next().is_none().then_some(Self { replay_from, zones })
        };
        read().ok_or_else(|| UnknownNote(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_reads_back() {
        let note = Note { replay_from: 7, zones: u64::MAX };
        assert_eq!(note.to_string().parse(), Ok(note));
    }

    #[test]
    fn a_note_of_another_version_is_refused_not_guessed() {
        for text in
            ["", "v1", "v2 pings=1 zones=2", "v1 pings=1", "v1 pings=-1 zones=2", "v1 pings=1 zones=2 x"]
        {
            assert!(text.parse::<Note>().is_err(), "{text}");
        }
    }
}
