//! What to do after an answer: the words in which a provider's rules are written.

use std::time::Duration;

use geopush_model::{Reason, UnixMillis};
use ring::rand::{SecureRandom as _, SystemRandom};

/// What to do about a push, now that its provider has answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// The provider took it.
    Sent,
    /// This push again, later.
    Retry(Pause),
    /// This push again, later and on another connection.
    Reconnect(Pause),
    /// The device's token is dead.
    DropToken,
    /// Make the credential anew and send at once; a credential refused twice is [`Reason::BadCredentials`].
    RenewCredential,
    /// Nothing of this lane for a while; then this push again.
    PauseLane(Pause),
    /// It never will be taken.
    GiveUp(Reason),
}

/// How long to wait. The answer's Retry-After comes first, where there is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pause {
    /// Always as long.
    Fixed(Duration),
    /// Twice as long after each failure.
    Doubling {
        /// After the first.
        first: Duration,
        /// At most.
        longest: Duration,
    },
}

impl Pause {
    /// After a connection failed.
    pub const CONNECTION: Self =
        Self::Doubling { first: Duration::from_secs(1), longest: Duration::from_secs(60) };

    /// How long to wait after the push's `failures`-th failure in a row (from 1). `jitter` is in 0..1 and makes it
    /// up to half as long again, so that what failed together is not tried together; Retry-After up to a tenth,
    /// and never shorter than either says.
    pub fn delay(self, retry_after: Option<Duration>, failures: u32, jitter: f64) -> Duration {
        if let Some(asked) = retry_after {
            return asked.saturating_add(asked.min(Duration::from_secs(60)).mul_f64(0.1 * jitter));
        }
        match self {
            Self::Fixed(pause) => pause.mul_f64(1.0 + 0.5 * jitter),
            Self::Doubling { first, longest } => {
                let doublings = failures.saturating_sub(1).min(20);
                first.saturating_mul(1 << doublings).min(longest).mul_f64(1.0 + 0.5 * jitter)
            }
        }
    }
}

/// A number in 0..1, drawn anew: for [`Pause::delay`].
pub fn jitter() -> f64 {
    let mut bytes = [0; 4];
    // Without random bytes pauses are not spread; nothing else depends on them.
    let _ = SystemRandom::new().fill(&mut bytes);
    f64::from(u32::from_le_bytes(bytes)) / (f64::from(u32::MAX) + 1.0)
}

/// What an answer came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// What to do.
    pub decision: Decision,
    /// The page that the rule was taken from.
    pub source: &'static str,
    /// The answer's Retry-After.
    pub retry_after: Option<Duration>,
    /// The provider's name for the push.
    pub message_id: Option<String>,
    /// When the device's token was dead, if it is.
    pub dead_at: Option<UnixMillis>,
    /// The status and the provider's reason, for the operator; empty if it was sent.
    pub said: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: fn(u64) -> Duration = Duration::from_secs;

    #[test]
    fn doubling_pauses_grow_from_the_first_to_the_longest() {
        let pause = Pause::Doubling { first: S(10), longest: S(60) };
        let pauses: Vec<_> = (1..=5).map(|failures| pause.delay(None, failures, 0.0)).collect();
        assert_eq!(pauses, [S(10), S(20), S(40), S(60), S(60)]);
        assert_eq!(pause.delay(None, u32::MAX, 1.0), S(90));
    }

    #[test]
    fn retry_after_is_never_undercut() {
        for pause in [Pause::Fixed(S(60)), Pause::CONNECTION] {
            assert_eq!(pause.delay(Some(S(2)), 9, 0.0), S(2));
            assert_eq!(pause.delay(Some(S(0)), 9, 1.0), S(0));
            assert!(pause.delay(Some(S(7200)), 1, 0.99) < S(7207));
            assert_eq!(pause.delay(Some(Duration::MAX), 1, 0.0), Duration::MAX);
        }
    }
}
