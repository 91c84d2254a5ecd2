//! What FCM's answers mean.
//!
//! Sources, cited beside each row: [`CODES`] is the reference's "ErrorCode" table, [`SCALE`] the guide "Manage and
//! scale FCM sending" (its section on retries), [`TOKENS`] "Best practices for FCM registration token management",
//! [`RPC`] Google's API error model, [`HTTP`] RFC 9110.

use std::time::Duration;

use geopush_model::Reason;

use crate::send::decision::Decision::{self, DropToken, GiveUp, PauseLane, RenewCredential, Retry, Sent};
use crate::send::decision::Pause;

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

/// "Retry with exponential backoff, the first retry after at least 10 seconds, with jittering."
const BACKOFF: Pause = Pause::Doubling { first: Duration::from_secs(10), longest: Duration::from_secs(3600) };
/// "If there is no retry-after header, default to 60 seconds."
const QUOTA: Pause = Pause::Fixed(Duration::from_secs(60));
/// Somebody has to put the key in order at the console: asking more often helps nobody.
const THIRD_PARTY: Pause = Pause::Fixed(Duration::from_secs(300));

/// The first row that fits decides; [`DEFAULT`] if none does.
pub const ROWS: &[Row] = &[
    row(200, Says::Any, Sent, CODES),
    row(400, Says::BadToken, DropToken, TOKENS),
    row(400, Says::Any, GiveUp(Reason::BadMessage), CODES),
    row(401, Says::Code("THIRD_PARTY_AUTH_ERROR"), PauseLane(THIRD_PARTY), CODES),
    row(401, Says::Any, RenewCredential, RPC),
    row(403, Says::Code("SENDER_ID_MISMATCH"), DropToken, CODES),
    row(403, Says::Any, GiveUp(Reason::BadCredentials), RPC),
    row(404, Says::Code("UNREGISTERED"), DropToken, CODES),
    // A project that is not there, or an address that is not FCM's: nothing is said of the token.
    row(404, Says::Any, GiveUp(Reason::BadCredentials), RPC),
    row(408, Says::Any, Retry(BACKOFF), HTTP),
    row(413, Says::Any, GiveUp(Reason::TooLarge), HTTP),
    row(429, Says::Any, Retry(QUOTA), SCALE),
    row(500, Says::Any, Retry(BACKOFF), SCALE),
    row(503, Says::Any, Retry(BACKOFF), SCALE),
    Row { status: (501, 599), says: Says::Any, decision: Retry(BACKOFF), source: HTTP },
];

/// For answers that no row knows: asking again would get the same.
pub const DEFAULT: Row =
    Row { status: (0, u16::MAX), says: Says::Any, decision: GiveUp(Reason::ProviderError), source: HTTP };

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

    #[test]
    fn every_row_is_reached_and_has_a_source() {
        for (at, row) in ROWS.iter().enumerate() {
            assert!(row.source.starts_with("https://"), "row {at}");
            let earlier = &ROWS[..at];
            for status in row.status.0..=row.status.1 {
                let hidden = earlier.iter().any(|other| {
                    (other.status.0..=other.status.1).contains(&status)
                        && (other.says == Says::Any || other.says == row.says)
                });
                if !hidden {
                    assert_eq!(rule(status, row.says).decision, row.decision, "row {at}, status {status}");
                }
            }
            let status = row.status.1;
            assert_eq!(rule(status, row.says).decision, row.decision, "row {at} is hidden by an earlier one");
        }
    }

    #[test]
    fn answers_lead_to_the_decisions_that_firebase_asks_for() {
        let code = Says::Code;
        let rows = [
            (200, Says::Any, Sent),
            (400, code("INVALID_ARGUMENT"), GiveUp(Reason::BadMessage)),
            (400, Says::BadToken, DropToken),
            (401, Says::Any, RenewCredential),
            (401, code("THIRD_PARTY_AUTH_ERROR"), PauseLane(Pause::Fixed(Duration::from_secs(300)))),
            (403, code("SENDER_ID_MISMATCH"), DropToken),
            (403, Says::Any, GiveUp(Reason::BadCredentials)),
            (404, code("UNREGISTERED"), DropToken),
            (404, Says::Any, GiveUp(Reason::BadCredentials)),
            (429, code("QUOTA_EXCEEDED"), Retry(QUOTA)),
            (500, code("INTERNAL"), Retry(BACKOFF)),
            (502, Says::Any, Retry(BACKOFF)),
            (503, code("UNAVAILABLE"), Retry(BACKOFF)),
            (302, Says::Any, GiveUp(Reason::ProviderError)),
            (418, Says::Any, GiveUp(Reason::ProviderError)),
        ];
        for (status, says, expected) in rows {
            assert_eq!(rule(status, says).decision, expected, "{status} {says:?}");
        }
    }

    #[test]
    fn the_first_retry_is_not_before_ten_seconds() {
        assert!(BACKOFF.delay(None, 1, 0.0) >= Duration::from_secs(10));
        assert!(QUOTA.delay(None, 1, 0.0) >= Duration::from_secs(60));
    }
}
