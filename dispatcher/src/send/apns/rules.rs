//! What APNs's answers mean.
//!
//! Sources: [`ANSWERS`] is Apple's "Handling notification responses from APNs", [`TOKENS`] "Establishing a
//! token-based connection to APNs", [`HTTP`] RFC 9110.

use std::time::Duration;

use geopush_model::Reason;

use crate::send::decision::Decision::{self, DropToken, GiveUp, Reconnect, RenewCredential, Retry, Sent};
use crate::send::decision::Pause;

const ANSWERS: &str =
    "https://developer.apple.com/documentation/usernotifications/handling-notification-responses-from-apns";
const TOKENS: &str = "https://developer.apple.com/documentation/usernotifications/establishing-a-token-based-connection-to-apns";
const HTTP: &str = "https://www.rfc-editor.org/rfc/rfc9110";

/// One rule.
#[derive(Debug)]
pub struct Row {
    /// From this status to that.
    pub status: (u16, u16),
    /// Apple's reason; none for any.
    pub reason: Option<&'static str>,
    /// What to do.
    pub decision: Decision,
    /// Who says so.
    pub source: &'static str,
}

const fn row(status: u16, reason: &'static str, decision: Decision) -> Row {
    Row { status: (status, status), reason: Some(reason), decision, source: ANSWERS }
}

const fn any(status: u16, decision: Decision) -> Row {
    Row { status: (status, status), reason: None, decision, source: ANSWERS }
}

/// "Too many requests were made consecutively to the same device token": that device only.
const DEVICE: Pause = Pause::Doubling { first: Duration::from_secs(10), longest: Duration::from_secs(600) };
/// "Update the authentication token no more than once every 20 minutes."
const TOKEN_UPDATES: Pause = Pause::Fixed(Duration::from_secs(20 * 60));

/// The first row that fits decides; [`DEFAULT`] if none does.
pub const ROWS: &[Row] = &[
    any(200, Sent),
    row(400, "BadDeviceToken", DropToken),
    row(400, "DeviceTokenNotForTopic", DropToken),
    row(400, "IdleTimeout", Reconnect(Pause::CONNECTION)),
    row(400, "BadTopic", GiveUp(Reason::BadCredentials)),
    row(400, "MissingTopic", GiveUp(Reason::BadCredentials)),
    row(400, "TopicDisallowed", GiveUp(Reason::BadCredentials)),
    any(400, GiveUp(Reason::BadMessage)),
    Row {
        status: (403, 403),
        reason: Some("ExpiredProviderToken"),
        decision: RenewCredential,
        source: TOKENS,
    },
    any(403, GiveUp(Reason::BadCredentials)),
    any(404, GiveUp(Reason::ProviderError)),
    any(405, GiveUp(Reason::ProviderError)),
    any(410, DropToken),
    any(413, GiveUp(Reason::TooLarge)),
    Row {
        status: (429, 429),
        reason: Some("TooManyProviderTokenUpdates"),
        decision: Retry(TOKEN_UPDATES),
        source: TOKENS,
    },
    any(429, Retry(DEVICE)),
    any(500, Reconnect(Pause::CONNECTION)),
    any(503, Reconnect(Pause::CONNECTION)),
    Row { status: (501, 599), reason: None, decision: Reconnect(Pause::CONNECTION), source: HTTP },
];

/// For answers that no row knows: asking again would get the same.
pub const DEFAULT: Row =
    Row { status: (0, u16::MAX), reason: None, decision: GiveUp(Reason::ProviderError), source: HTTP };

/// The rule for an answer.
pub fn rule(status: u16, reason: &str) -> &'static Row {
    let fits = |row: &&Row| {
        (row.status.0..=row.status.1).contains(&status) && row.reason.is_none_or(|wanted| wanted == reason)
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
            let reason = row.reason.unwrap_or("AnythingElse");
            assert_eq!(
                rule(row.status.1, reason).decision,
                row.decision,
                "row {at} is hidden by an earlier one"
            );
        }
    }

    #[test]
    fn answers_lead_to_the_decisions_that_apple_asks_for() {
        let bad_credentials = GiveUp(Reason::BadCredentials);
        let reconnect = Reconnect(Pause::CONNECTION);
        let rows = [
            (200, "", Sent),
            (400, "BadDeviceToken", DropToken),
            (400, "DeviceTokenNotForTopic", DropToken),
            (400, "PayloadEmpty", GiveUp(Reason::BadMessage)),
            (400, "TopicDisallowed", bad_credentials),
            (400, "IdleTimeout", reconnect),
            (403, "ExpiredProviderToken", RenewCredential),
            (403, "InvalidProviderToken", bad_credentials),
            (403, "BadCertificateEnvironment", bad_credentials),
            (404, "BadPath", GiveUp(Reason::ProviderError)),
            (405, "MethodNotAllowed", GiveUp(Reason::ProviderError)),
            (410, "Unregistered", DropToken),
            (410, "ExpiredToken", DropToken),
            (413, "PayloadTooLarge", GiveUp(Reason::TooLarge)),
            (429, "TooManyRequests", Retry(DEVICE)),
            (429, "TooManyProviderTokenUpdates", Retry(TOKEN_UPDATES)),
            (500, "InternalServerError", reconnect),
            (502, "", reconnect),
            (503, "Shutdown", reconnect),
            (302, "", GiveUp(Reason::ProviderError)),
        ];
        for (status, reason, expected) in rows {
            assert_eq!(rule(status, reason).decision, expected, "{status} {reason}");
        }
    }
}
