//! What becomes of a push after each attempt.

use std::time::Duration;

use geopush_model::{DeadToken, Delivery, Outcome, Push, Reason, UnixMillis};

use super::decision::{Decision, Pause};
use super::lane::Attempt;
use super::provider::{CredentialError, Unsendable};

/// Retrying ends this long after the decision, whatever the push's own time.
const LONGEST_MS: i64 = 48 * 3_600_000;
/// A connection that keeps refusing streams is asked this often at once before the push waits.
const FREE_TRIES: u32 = 3;

/// From when on a push is not worth sending.
pub fn deadline(push: &Push) -> UnixMillis {
    push.expires_at.min(push.created_at.plus_ms(LONGEST_MS))
}

/// How long a push may still be tried.
pub fn time_left(push: &Push, now: UnixMillis) -> Option<Duration> {
    let left_ms = u64::try_from(deadline(push).since_ms(now)).ok()?;
    (left_ms > 0).then(|| Duration::from_millis(left_ms))
}

/// The attempts at one push so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tries {
    attempts: u32,
    failures: u32,
    refused_streams: u32,
    credential_renewed: bool,
}

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// It has ended.
    End(Ending),
    /// Another attempt at once.
    Again,
    /// Another attempt after this.
    Wait(Duration),
    /// Another attempt after this: until then its lane takes nothing.
    LaneOut(Duration),
}

/// How a push ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ending {
    outcome: Outcome,
    reason: Option<Reason>,
    attempts: u32,
    message_id: Option<String>,
    drop_token: bool,
    dead_at: Option<UnixMillis>,
}

impl Tries {
    /// As they were when the push was put off.
    pub fn resumed(attempts: u32, failures: u32) -> Self {
        Self { attempts, failures, ..Self::default() }
    }

    /// How often the push was sent.
    pub fn attempts(&self) -> u32 {
        self.attempts
    }

    /// How often in a row that failed.
    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// After an attempt. `jitter` gives a number in 0..1; it is asked only where there is something to spread.
    pub fn after(&mut self, attempt: Attempt, jitter: impl FnOnce() -> f64) -> Step {
        match attempt {
            Attempt::Answered(verdict) => {
                self.attempts += 1;
                self.refused_streams = 0;
                match verdict.decision {
                    Decision::Sent => Step::End(Ending {
                        outcome: Outcome::Accepted,
                        message_id: verdict.message_id,
                        ..self.ending()
                    }),
                    Decision::Retry(pause) | Decision::Reconnect(pause) => {
                        self.credential_renewed = false;
                        self.wait(pause, verdict.retry_after, jitter)
                    }
                    Decision::DropToken => self.dead_token(verdict.dead_at),
                    Decision::RenewCredential if self.credential_renewed => {
                        self.failed(Reason::BadCredentials)
                    }
                    Decision::RenewCredential => {
                        self.credential_renewed = true;
                        Step::Again
                    }
                    // The lane makes its pushes wait.
                    Decision::PauseLane(_) => Step::Again,
                    Decision::GiveUp(reason) => self.failed(reason),
                }
            }
            Attempt::Unanswered => {
                self.attempts += 1;
                self.wait(Pause::CONNECTION, None, jitter)
            }
            Attempt::NotProcessed => {
                self.refused_streams += 1;
                if self.refused_streams <= FREE_TRIES {
                    return Step::Again;
                }
                self.wait(Pause::CONNECTION, None, jitter)
            }
            Attempt::Unreachable(retry_in) => Step::LaneOut(retry_in.mul_f64(1.0 + 0.5 * jitter())),
            Attempt::DeviceFull(retry_in) => Step::Wait(retry_in),
            Attempt::NoCredential(CredentialError::Refused(_)) => self.failed(Reason::BadCredentials),
            Attempt::NoCredential(CredentialError::Unavailable { retry_after, .. }) => {
                self.wait(Pause::CONNECTION, retry_after, jitter)
            }
            Attempt::Unsendable(Unsendable::TooLarge) => self.failed(Reason::TooLarge),
            Attempt::Unsendable(Unsendable::BadToken) => self.dead_token(None),
        }
    }

    fn wait(&mut self, pause: Pause, retry_after: Option<Duration>, jitter: impl FnOnce() -> f64) -> Step {
        self.failures += 1;
        Step::Wait(pause.delay(retry_after, self.failures, jitter()))
    }

    fn ending(&self) -> Ending {
        let outcome = Outcome::Failed;
        Ending {
            outcome,
            reason: None,
            attempts: self.attempts,
            message_id: None,
            drop_token: false,
            dead_at: None,
        }
    }

    fn failed(&self, reason: Reason) -> Step {
        Step::End(Ending { reason: Some(reason), ..self.ending() })
    }

    fn dead_token(&self, dead_at: Option<UnixMillis>) -> Step {
        Step::End(Ending { reason: Some(Reason::DeadToken), drop_token: true, dead_at, ..self.ending() })
    }

    /// Its time ran out.
    pub fn expired(&self) -> Ending {
        Ending { outcome: Outcome::Expired, reason: Some(Reason::ProviderUnavailable), ..self.ending() }
    }

    /// Sending it broke down, as it would again: the fault is ours, or the push's.
    pub fn broken(&self) -> Ending {
        Ending { reason: Some(Reason::ProviderError), ..self.ending() }
    }

    /// The app's credentials can't be used.
    pub fn unusable_app(&self) -> Ending {
        Ending { reason: Some(Reason::BadCredentials), ..self.ending() }
    }

    /// The app, or its credentials for the provider, are gone.
    pub fn no_app(&self) -> Ending {
        Ending { outcome: Outcome::Suppressed, reason: Some(Reason::NoApp), ..self.ending() }
    }
}

impl Ending {
    /// The delivery of a push that ended so, after it was put off `deferrals` times.
    pub fn delivery(self, push: &Push, deferrals: u32, finished_at: UnixMillis) -> Delivery {
        let dead_letter = is_dead_letter(self.outcome, self.reason).then(|| push.message.as_ref().clone());
        Delivery {
            push: push.id,
            tenant: push.tenant,
            device: push.device.clone(),
            origin: push.origin,
            app: push.app.clone(),
            provider: Some(push.provider),
            outcome: self.outcome,
            reason: self.reason,
            attempts: self.attempts,
            created_at: push.created_at,
            finished_at,
            provider_message_id: self.message_id,
            dead_token: self
                .drop_token
                .then(|| DeadToken { token: push.token.clone(), at: self.dead_at.unwrap_or(finished_at) }),
            variant: push.variant.clone(),
            deferrals,
            dead_letter,
        }
    }
}

/// Whether the merchant may want to see what was not delivered, and to send it anew: the phone is not to blame.
fn is_dead_letter(outcome: Outcome, reason: Option<Reason>) -> bool {
    use Reason::{BadCredentials, BadMessage, ProviderError, TooLarge};
    outcome == Outcome::Failed
        && matches!(reason, Some(BadMessage | TooLarge | ProviderError | BadCredentials))
}

#[cfg(test)]
mod tests {
    use super::super::decision::Verdict;
    use super::*;
    use crate::send::testing::push;

    const S: fn(u64) -> Duration = Duration::from_secs;

    fn answered(decision: Decision) -> Attempt {
        let (said, source) = (String::new(), "");
        Attempt::Answered(Verdict {
            decision,
            source,
            retry_after: None,
            message_id: None,
            dead_at: None,
            said,
        })
    }

    fn ends(step: Step) -> Ending {
        match step {
            Step::End(ending) => ending,
            step => panic!("it goes on: {step:?}"),
        }
    }

    #[test]
    fn a_credential_is_renewed_once_and_then_it_is_bad() {
        let mut tries = Tries::default();
        assert_eq!(tries.after(answered(Decision::RenewCredential), || 0.0), Step::Again);
        let ending = ends(tries.after(answered(Decision::RenewCredential), || 0.0));
        assert_eq!((ending.reason, ending.attempts), (Some(Reason::BadCredentials), 2));
    }

    #[test]
    fn pauses_grow_with_each_failure() {
        let mut tries = Tries::default();
        for seconds in [1, 2, 4, 8, 16, 32, 60, 60] {
            assert_eq!(tries.after(Attempt::Unanswered, || 0.0), Step::Wait(S(seconds)));
        }
        assert_eq!(ends(tries.after(answered(Decision::Sent), || 0.0)).attempts, 9);
    }

    #[test]
    fn what_was_not_processed_is_tried_again_at_once_and_is_no_attempt() {
        let mut tries = Tries::default();
        for _ in 0..FREE_TRIES {
            assert_eq!(tries.after(Attempt::NotProcessed, || 0.0), Step::Again);
        }
        assert_eq!(tries.after(Attempt::NotProcessed, || 0.0), Step::Wait(S(1)));
        assert_eq!(ends(tries.after(answered(Decision::Sent), || 0.0)).attempts, 1);
    }

    #[test]
    fn only_a_dead_tokens_delivery_names_the_token() {
        let push = push("the-token");
        let cases = [
            (Decision::DropToken, Some("the-token".to_owned())),
            (Decision::GiveUp(Reason::DeadToken), None),
            (Decision::GiveUp(Reason::BadMessage), None),
            (Decision::Sent, None),
        ];
        for (decision, expected) in cases {
            let ending = ends(Tries::default().after(answered(decision), || 0.0));
            let delivery = ending.delivery(&push, 2, UnixMillis(5));
            assert_eq!(delivery.deferrals, 2);
            assert_eq!(delivery.dead_token.map(|dead| dead.token), expected, "{decision:?}");
            assert_eq!(delivery.reason.is_none(), delivery.outcome == Outcome::Accepted);
        }
    }

    #[test]
    fn what_failed_by_no_fault_of_the_phone_is_a_dead_letter() {
        let push = push("t");
        for reason in Reason::ALL {
            let ending = ends(Tries::default().after(answered(Decision::GiveUp(*reason)), || 0.0));
            let expected =
                ["bad_message", "too_large", "provider_error", "bad_credentials"].contains(&reason.as_str());
            let dead_letter = ending.delivery(&push, 0, UnixMillis(5)).dead_letter;
            assert_eq!(dead_letter.is_some_and(|message| message == *push.message), expected, "{reason:?}");
        }
        let tries = Tries::default();
        for ending in [tries.expired(), tries.no_app()] {
            assert_eq!(ending.delivery(&push, 0, UnixMillis(5)).dead_letter, None);
        }
        assert!(tries.broken().delivery(&push, 0, UnixMillis(5)).dead_letter.is_some());
    }

    #[test]
    fn a_push_that_was_put_off_goes_on_where_it_was() {
        let mut tries = Tries::default();
        for _ in 0..3 {
            tries.after(Attempt::Unanswered, || 0.0);
        }
        let mut tries = Tries::resumed(tries.attempts(), tries.failures());
        assert_eq!(tries.after(Attempt::Unanswered, || 0.0), Step::Wait(S(8)));
        assert_eq!(ends(tries.after(answered(Decision::Sent), || 0.0)).attempts, 5);
    }

    #[test]
    fn a_push_is_tried_for_two_days_at_most() {
        let mut push = push("t");
        push.created_at = UnixMillis(0);
        push.expires_at = UnixMillis(i64::MAX);
        assert_eq!(deadline(&push), UnixMillis(LONGEST_MS));
        push.expires_at = UnixMillis(7);
        assert_eq!(deadline(&push), UnixMillis(7));
    }
}
