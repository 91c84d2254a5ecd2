//! What FCM's answers mean.
//!
//! Sources, cited beside each row: [`CODES`] is the reference's "ErrorCode" table, [`SCALE`] the guide "Manage and
//! scale FCM sending" (its section on retries), [`TOKENS`] "Best practices for FCM registration token management",
//! [`RPC`] Google's API error model, [`HTTP`] RFC 9110.

use std::time::Duration;

use geopush_model::Reason;

use crate::send::decision::Decision::{self, DropToken, GiveUp, PauseLane, RenewCredential, Retry, Sent};
use crate::send::decision::Pause;
use crate::send::device_limits::DeviceLimit;

const CODES: &str = "https://firebase.google.com/docs/reference/fcm/rest/v1/ErrorCode";
const SCALE: &str = "https://firebase.google.com/docs/cloud-messaging/scale-fcm";
const TOKENS: &str = "https://firebase.google.com/docs/cloud-messaging/manage-tokens";
const RPC: &str = "https://cloud.google.com/apis/design/errors";
const HTTP: &str = "https://www.rfc-editor.org/rfc/rfc9110";

/// What an answer says besides its status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Says<'a> {
    /// A field violation names `message.token`.
    BadToken,
    /// FCM's error code.
    Code(&'a str),
    /// Anything, or nothing.
    Any,
}

/// One rule.
#[derive(Debug)]
pub struct Row {
    /// From this status to that.
    pub status: (u16, u16),
    /// What else is said.
    pub says: Says<'static>,
    /// What to do.
    pub decision: Decision,
    /// Who says so.
    pub source: &'static str,
}

const fn row(status: u16, says: Says<'static>, decision: Decision, source: &'static str) -> Row {
    Row { status: (status, status), says, decision, source }
}

const fn class(from: u16, to: u16, decision: Decision) -> Row {
    Row { status: (from, to), says: Says::Any, decision, source: HTTP }
}

/// "Retry with exponential backoff, the first retry after at least 10 seconds, with jittering."
const BACKOFF: Pause = Pause::Doubling { first: Duration::from_secs(10), longest: Duration::from_secs(3600) };
/// "Use exponential backoff with a minimum initial delay of 1 minute"; a retry-after header comes before that.
const QUOTA: Pause = Pause::Doubling { first: Duration::from_secs(60), longest: Duration::from_secs(3600) };
/// Somebody has to put the key in order at the console: asking more often helps nobody.
const THIRD_PARTY: Pause = Pause::Fixed(Duration::from_secs(300));

const fn limit(burst: u32, interval_ms: u64) -> DeviceLimit {
    DeviceLimit { burst, interval: Duration::from_millis(interval_ms) }
}

/// Firebase's "Throttling and quotas" (<https://firebase.google.com/docs/cloud-messaging/throttling-and-quotas>): messages a
/// minute and an hour to one device; collapsible ones in bursts of twenty, one more every three minutes.
const DEVICE: &[DeviceLimit] = &[limit(240, 250), limit(5_000, 720), limit(20, 180_000)];

/// What a device may get of messages that are collapsible or not.
pub fn device_limits(collapsible: bool) -> &'static [DeviceLimit] {
    if collapsible { DEVICE } else { &DEVICE[..2] }
}

/// The message can't be sent as it is.
const MESSAGE: Decision = GiveUp(Reason::BadMessage);
/// The account may not do this, or the project is not there: nothing is said of the token.
const CREDENTIALS: Decision = GiveUp(Reason::BadCredentials);

/// The first row that fits decides; [`DEFAULT`] if none does. FCM's table of codes whole; after the codes of a status,
/// what an unknown one means; last, what an unknown status means by its class.
pub static ROWS: &[Row] = &[
    row(200, Says::Any, Sent, CODES),
    row(400, Says::BadToken, DropToken, TOKENS),
    row(400, Says::Code("INVALID_ARGUMENT"), MESSAGE, CODES),
    row(400, Says::Any, MESSAGE, RPC),
    row(401, Says::Code("THIRD_PARTY_AUTH_ERROR"), PauseLane(THIRD_PARTY), CODES),
    row(401, Says::Any, RenewCredential, RPC),
    row(403, Says::Code("SENDER_ID_MISMATCH"), DropToken, CODES),
    row(403, Says::Any, CREDENTIALS, RPC),
    row(404, Says::Code("UNREGISTERED"), DropToken, CODES),
    row(404, Says::Any, CREDENTIALS, RPC),
    row(413, Says::Any, GiveUp(Reason::TooLarge), HTTP),
    row(429, Says::Code("QUOTA_EXCEEDED"), Retry(QUOTA), CODES),
    row(429, Says::Any, Retry(QUOTA), SCALE),
    row(500, Says::Code("INTERNAL"), Retry(BACKOFF), CODES),
    row(500, Says::Code("UNSPECIFIED_ERROR"), Retry(BACKOFF), CODES),
    row(500, Says::Any, Retry(BACKOFF), SCALE),
    row(503, Says::Code("UNAVAILABLE"), Retry(BACKOFF), CODES),
    row(503, Says::Any, Retry(BACKOFF), SCALE),
    class(201, 299, Sent),
    class(408, 408, Retry(BACKOFF)),
    class(400, 499, GiveUp(Reason::ProviderError)),
    class(500, 599, Retry(BACKOFF)),
];

/// For answers that no row knows: asking again would get the same.
pub static DEFAULT: Row = class(0, u16::MAX, GiveUp(Reason::ProviderError));

/// The rule for an answer.
pub fn rule(status: u16, says: Says<'_>) -> &'static Row {
    let fits = |row: &&Row| {
        (row.status.0..=row.status.1).contains(&status) && (row.says == Says::Any || row.says == says)
    };
    ROWS.iter().find(fits).unwrap_or(&DEFAULT)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn code(code: &'static str) -> Says<'static> {
        Says::Code(code)
    }

    /// What comes of each of FCM's answers, and of some that it has not told of.
    const ANSWERED: &[(u16, Says<'static>, Decision)] = &[
        (200, Says::Any, Sent),
        (204, Says::Any, Sent),
        (302, Says::Any, GiveUp(Reason::ProviderError)),
        (400, Says::BadToken, DropToken),
        (400, code("INVALID_ARGUMENT"), GiveUp(Reason::BadMessage)),
        (400, Says::Any, GiveUp(Reason::BadMessage)),
        (400, code("SOMETHING_NEW"), GiveUp(Reason::BadMessage)),
        (401, code("THIRD_PARTY_AUTH_ERROR"), PauseLane(Pause::Fixed(Duration::from_secs(300)))),
        (401, Says::Any, RenewCredential),
        (403, code("SENDER_ID_MISMATCH"), DropToken),
        (403, Says::Any, GiveUp(Reason::BadCredentials)),
        (404, code("UNREGISTERED"), DropToken),
        (404, Says::Any, GiveUp(Reason::BadCredentials)),
        (408, Says::Any, Retry(BACKOFF)),
        (413, Says::Any, GiveUp(Reason::TooLarge)),
        (418, code("UNREGISTERED"), GiveUp(Reason::ProviderError)),
        (429, code("QUOTA_EXCEEDED"), Retry(QUOTA)),
        (429, Says::Any, Retry(QUOTA)),
        (500, code("INTERNAL"), Retry(BACKOFF)),
        (500, code("UNSPECIFIED_ERROR"), Retry(BACKOFF)),
        (500, Says::Any, Retry(BACKOFF)),
        (502, Says::Any, Retry(BACKOFF)),
        (503, code("UNAVAILABLE"), Retry(BACKOFF)),
        (503, Says::Any, Retry(BACKOFF)),
    ];

    #[test]
    fn answers_lead_to_the_decisions_that_firebase_asks_for() {
        for (status, says, expected) in ANSWERED {
            assert_eq!(rule(*status, *says).decision, *expected, "{status} {says:?}");
        }
    }

    #[test]
    fn every_row_decides_about_some_answer_and_has_a_source() {
        for row in ROWS {
            let decides = ANSWERED.iter().any(|(status, says, _)| std::ptr::eq(rule(*status, *says), row));
            assert!(decides, "{row:?}");
            assert!(row.source.starts_with("https://"), "{row:?}");
        }
    }

    #[test]
    fn the_first_retry_is_not_before_ten_seconds_and_a_quota_is_given_a_minute() {
        assert!(BACKOFF.delay(None, 1, 0.0) >= Duration::from_secs(10));
        assert!(QUOTA.delay(None, 1, 0.0) >= Duration::from_secs(60));
    }
}
