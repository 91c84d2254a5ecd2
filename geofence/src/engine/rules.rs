//! The durations that hold for every device.

/// How long devices are remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// A member that is silent for this long, in ms, has left its zones.
    pub expire_after_ms: i64,
    /// A device without memberships that is silent for this long, in ms, is forgotten: its next fix is its first.
    pub forget_after_ms: i64,
}

impl Rules {
    /// A device that is silent for less than this is neither expired nor forgotten.
    pub(super) fn shortest_ms(&self) -> i64 {
        self.expire_after_ms.min(self.forget_after_ms)
    }
}

const HOUR_MS: i64 = 3_600_000;

impl Default for Rules {
    /// A day, and thirty.
    fn default() -> Self {
        Self { expire_after_ms: 24 * HOUR_MS, forget_after_ms: 30 * 24 * HOUR_MS }
    }
}
