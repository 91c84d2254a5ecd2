//! Faults: how a provider is told to misbehave, and which push gets which.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::apns_request::{default_reason, status_of};
use crate::fcm_refusal::status_of_code;
use crate::listener::Wire;
use crate::sent::Provider;

/// The longest delay that a fault may ask for: ten minutes.
const MAX_DELAY_MS: u64 = 600_000;
/// How many faults may wait at once.
const MAX_FAULTS: usize = 10_000;

/// What happens to the connection that carried the push.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// Nothing: the push is answered.
    #[default]
    Respond,
    /// A graceful GOAWAY (`Connection: close` on HTTP/1.1); the push, and others under way, are answered.
    Goaway,
    /// It is cut without an answer. The push counts as accepted only when `status` is 200.
    Drop,
}

/// A fault, met by a push that would otherwise be accepted, or fail for its device token: what is wrong with
/// the request or its credentials is answered first, and uses up no fault.
///
/// Without `status` and `reason` the push is delayed, or its connection ended, and it is answered as ever.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// Whose pushes.
    pub provider: Provider,
    /// Only pushes to this device token; any when absent. The fault that came first is met first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// The status answered: 200 (accepted) or 400 to 599. Taken from `reason` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// FCM's error code (`UNAVAILABLE`, `QUOTA_EXCEEDED`, …) or APNs's reason (`TooManyRequests`, …). Taken
    /// from `status` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The answer's Retry-After, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_s: Option<u32>,
    /// How long the push waits before anything happens to it, in milliseconds; at most ten minutes.
    #[serde(default)]
    pub delay_ms: u64,
    /// What becomes of the connection.
    #[serde(default)]
    pub action: Action,
    /// How many pushes meet it, one when absent; counted down.
    #[serde(default = "once")]
    pub times: u32,
    /// APNs 410 only: since when the token is dead, in milliseconds since 1970; now when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<i64>,
}

fn once() -> u32 {
    1
}

/// Why a fault was refused.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadFault {
    #[error("`status` is {0}; give 200 (accepted) or 400 to 599 (refused)")]
    Status(u16),
    #[error("`reason` `{0}` has no status of its own; give `status` too")]
    ReasonWithoutStatus(String),
    #[error("APNs answers {0} for several reasons; give `reason` too, such as {1}")]
    StatusWithoutReason(u16, &'static str),
    #[error("`reason` is refused with `status` 200, which accepts the push; leave one of them out")]
    AcceptedWithReason,
    #[error("`reason` must be 1 to 64 visible characters, as FCM's UNAVAILABLE or APNs's TooManyRequests")]
    Reason,
    #[error("`delay_ms` is {0}; give at most {MAX_DELAY_MS}")]
    Delay(u64),
    #[error("`times` is 0; give how many pushes meet the fault")]
    Times,
    #[error("the fault does nothing; give `status`, `reason`, `delay_ms`, or an `action` of goaway or drop")]
    Nothing,
    #[error(
        "`retry_after_s` needs an answer to stand in; give `status` or `reason`, and no `action` of drop"
    )]
    RetryAfter,
    #[error("`timestamp` belongs to APNs's status 410 alone; leave it out")]
    Timestamp,
    #[error("{MAX_FAULTS} faults are waiting already; DELETE /faults first")]
    Full,
}

impl Fault {
    /// Fills in what follows from the rest, and refuses what makes no sense.
    fn checked(mut self) -> Result<Self, BadFault> {
        if let Some(reason) = &self.reason {
            if reason.is_empty() || reason.len() > 64 || !reason.bytes().all(|byte| byte.is_ascii_graphic()) {
                return Err(BadFault::Reason);
            }
            if self.status.is_none() {
                let status = match self.provider {
                    Provider::Fcm => status_of_code(reason),
                    Provider::Apns => status_of(reason),
                };
                self.status = Some(status.ok_or_else(|| BadFault::ReasonWithoutStatus(reason.clone()))?);
            }
        }
        match self.status {
            Some(200) if self.reason.is_some() => return Err(BadFault::AcceptedWithReason),
            Some(200 | 400..=599) | None => {}
            Some(status) => return Err(BadFault::Status(status)),
        }
        if let (Provider::Apns, Some(status @ 400..), None) = (self.provider, self.status, &self.reason) {
            let reason = default_reason(status);
            self.reason =
                Some(reason.ok_or(BadFault::StatusWithoutReason(status, "BadDeviceToken"))?.to_owned());
        }
        if self.delay_ms > MAX_DELAY_MS {
            return Err(BadFault::Delay(self.delay_ms));
        }
        if self.times == 0 {
            return Err(BadFault::Times);
        }
        if self.action == Action::Respond && self.status.is_none() && self.delay_ms == 0 {
            return Err(BadFault::Nothing);
        }
        if self.retry_after_s.is_some() && (self.status.is_none() || self.action == Action::Drop) {
            return Err(BadFault::RetryAfter);
        }
        if self.timestamp.is_some() && (self.provider, self.status) != (Provider::Apns, Some(410)) {
            return Err(BadFault::Timestamp);
        }
        Ok(self)
    }

    /// Does to the connection what the fault says, after its delay; doesn't return when that is to cut it.
    /// `accept` is called first where the push counts as accepted all the same.
    pub(crate) async fn befall(&self, wire: &Wire, accept: impl FnOnce()) {
        if self.delay_ms > 0 {
            tokio::time::sleep(Duration::from_millis(self.delay_ms)).await;
        }
        match self.action {
            Action::Respond => {}
            Action::Goaway => wire.go_away(),
            Action::Drop => {
                if self.status == Some(200) {
                    accept();
                }
                match wire.cut().await {}
            }
        }
    }

    fn meets(&self, provider: Provider, token: &str) -> bool {
        // APNs tokens are hex digits, of either case.
        let same = |wanted: &str| match provider {
            Provider::Fcm => wanted == token,
            Provider::Apns => wanted.eq_ignore_ascii_case(token),
        };
        self.provider == provider && self.token.as_deref().is_none_or(same)
    }
}

/// The faults that wait for their pushes, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    waiting: Mutex<Vec<Fault>>,
    /// How many wait, so that a push takes no lock when none do.
    count: AtomicUsize,
}

impl Faults {
    fn lock(&self) -> MutexGuard<'_, Vec<Fault>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn add(&self, fault: Fault) -> Result<Fault, BadFault> {
        let fault = fault.checked()?;
        let mut waiting = self.lock();
        if waiting.len() >= MAX_FAULTS {
            return Err(BadFault::Full);
        }
        waiting.push(fault.clone());
        self.count.store(waiting.len(), Ordering::Release);
        Ok(fault)
    }

    pub(crate) fn list(&self) -> Vec<Fault> {
        self.lock().clone()
    }

    pub(crate) fn clear(&self) {
        self.lock().clear();
        self.count.store(0, Ordering::Release);
    }

    /// The fault that this push meets, if any; one use of it is gone.
    pub(crate) fn take(&self, provider: Provider, token: &str) -> Option<Fault> {
        if self.count.load(Ordering::Acquire) == 0 {
            return None;
        }
        let mut waiting = self.lock();
        let at = waiting.iter().position(|fault| fault.meets(provider, token))?;
        waiting[at].times -= 1;
        let fault = waiting[at].clone();
        if fault.times == 0 {
            waiting.remove(at);
            self.count.store(waiting.len(), Ordering::Release);
        }
        Some(fault)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(json: &str) -> Fault {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn what_follows_from_the_rest_is_filled_in() {
        let rows = [
            (r#"{"provider":"fcm","reason":"UNREGISTERED"}"#, Some(404), Some("UNREGISTERED")),
            (r#"{"provider":"fcm","status":503}"#, Some(503), None),
            (r#"{"provider":"apns","reason":"ExpiredToken"}"#, Some(410), Some("ExpiredToken")),
            (r#"{"provider":"apns","status":410}"#, Some(410), Some("Unregistered")),
            (r#"{"provider":"apns","status":429,"reason":"Newest"}"#, Some(429), Some("Newest")),
            (r#"{"provider":"apns","delay_ms":5}"#, None, None),
            (r#"{"provider":"apns","action":"drop"}"#, None, None),
        ];
        for (json, status, reason) in rows {
            let fault = fault(json).checked().expect(json);
            assert_eq!((fault.status, fault.reason.as_deref(), fault.times), (status, reason, 1), "{json}");
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let rows = [
            (r#"{"provider":"fcm"}"#, BadFault::Nothing),
            (r#"{"provider":"fcm","status":302}"#, BadFault::Status(302)),
            (r#"{"provider":"fcm","status":503,"times":0}"#, BadFault::Times),
            (r#"{"provider":"fcm","status":503,"delay_ms":600001}"#, BadFault::Delay(600_001)),
            (r#"{"provider":"fcm","reason":"Odd"}"#, BadFault::ReasonWithoutStatus("Odd".to_owned())),
            (r#"{"provider":"fcm","status":200,"reason":"UNAVAILABLE"}"#, BadFault::AcceptedWithReason),
            (r#"{"provider":"fcm","status":500,"reason":""}"#, BadFault::Reason),
            (r#"{"provider":"apns","status":400}"#, BadFault::StatusWithoutReason(400, "BadDeviceToken")),
            (r#"{"provider":"apns","action":"drop","retry_after_s":3}"#, BadFault::RetryAfter),
            (r#"{"provider":"apns","status":503,"timestamp":3}"#, BadFault::Timestamp),
        ];
        for (json, expected) in rows {
            assert_eq!(fault(json).checked().unwrap_err(), expected, "{json}");
        }
    }

    #[test]
    fn a_fault_is_met_by_its_provider_and_token_as_often_as_it_says() {
        let faults = Faults::default();
        faults.add(fault(r#"{"provider":"fcm","token":"a","status":500,"times":2}"#)).unwrap();
        faults.add(fault(r#"{"provider":"fcm","status":503}"#)).unwrap();
        assert_eq!(faults.take(Provider::Apns, "a"), None);
        let statuses: Vec<_> = ["b", "a", "a", "a"].map(|token| faults.take(Provider::Fcm, token)).to_vec();
        let statuses: Vec<_> =
            statuses.into_iter().map(|fault| fault.and_then(|fault| fault.status)).collect();
        assert_eq!(statuses, [Some(503), Some(500), Some(500), None]);
        assert!(faults.list().is_empty());
    }
}
