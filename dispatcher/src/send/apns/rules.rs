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

const fn class(from: u16, to: u16, decision: Decision) -> Row {
    Row { status: (from, to), reason: None, decision, source: HTTP }
}

const fn token(status: u16, reason: &'static str, decision: Decision) -> Row {
    Row { status: (status, status), reason: Some(reason), decision, source: TOKENS }
}

/// The message can't be sent as it is.
const MESSAGE: Decision = GiveUp(Reason::BadMessage);
/// The app's key, certificate, topic or environment is not what it should be: its owner has to upload another.
const CREDENTIALS: Decision = GiveUp(Reason::BadCredentials);
/// Apple and we do not understand one another.
const PROVIDER: Decision = GiveUp(Reason::ProviderError);
/// Another connection may do better.
const CONNECTION: Decision = Reconnect(Pause::CONNECTION);

/// "Too many requests were made consecutively to the same device token": that device only.
const DEVICE: Pause = Pause::Doubling { first: Duration::from_secs(10), longest: Duration::from_secs(600) };
/// "Update the authentication token no more than once every 20 minutes."
const TOKEN_UPDATES: Pause = Pause::Fixed(Duration::from_secs(20 * 60));

/// The first row that fits decides; [`DEFAULT`] if none does. Apple's table whole, in its order; after the reasons of a
/// status, what an unknown one means; last, what an unknown status means by its class.
pub static ROWS: &[Row] = &[
    any(200, Sent),
    row(400, "BadCollapseId", MESSAGE),
    row(400, "BadDeviceToken", DropToken),
    row(400, "BadExpirationDate", MESSAGE),
    row(400, "BadMessageId", MESSAGE),
    row(400, "BadPriority", MESSAGE),
    row(400, "BadTopic", CREDENTIALS),
    row(400, "DeviceTokenNotForTopic", DropToken),
    row(400, "DuplicateHeaders", PROVIDER),
    row(400, "IdleTimeout", CONNECTION),
    row(400, "InvalidPushType", MESSAGE),
    row(400, "MissingDeviceToken", PROVIDER),
    row(400, "MissingTopic", CREDENTIALS),
    row(400, "PayloadEmpty", MESSAGE),
    row(400, "TopicDisallowed", CREDENTIALS),
    any(400, MESSAGE),
    row(403, "BadCertificate", CREDENTIALS),
    row(403, "BadCertificateEnvironment", CREDENTIALS),
    // As documented, and as it is answered.
    row(403, "BadEnvironmentKeyIdInToken", CREDENTIALS),
    row(403, "BadEnvironmentKeyInToken", CREDENTIALS),
    token(403, "ExpiredProviderToken", RenewCredential),
    row(403, "Forbidden", CREDENTIALS),
    row(403, "InvalidProviderToken", CREDENTIALS),
    row(403, "MissingProviderToken", CREDENTIALS),
    // A connection keeps to the key of its first push; another connection takes another key.
    row(403, "UnrelatedKeyIdInToken", CONNECTION),
    any(403, CREDENTIALS),
    row(404, "BadPath", PROVIDER),
    row(405, "MethodNotAllowed", PROVIDER),
    row(410, "ExpiredToken", DropToken),
    row(410, "Unregistered", DropToken),
    any(410, DropToken),
    row(413, "PayloadTooLarge", GiveUp(Reason::TooLarge)),
    any(413, GiveUp(Reason::TooLarge)),
    token(429, "TooManyProviderTokenUpdates", Retry(TOKEN_UPDATES)),
    row(429, "TooManyRequests", Retry(DEVICE)),
    any(429, Retry(DEVICE)),
    row(500, "InternalServerError", CONNECTION),
    row(503, "ServiceUnavailable", CONNECTION),
    row(503, "Shutdown", CONNECTION),
    class(201, 299, Sent),
    class(408, 408, CONNECTION),
    class(400, 499, PROVIDER),
    class(500, 599, CONNECTION),
];

/// For answers that no row knows: asking again would get the same.
pub static DEFAULT: Row = class(0, u16::MAX, PROVIDER);

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

    const RECONNECT: Decision = Reconnect(Pause::CONNECTION);
    const fn give_up(reason: Reason) -> Decision {
        GiveUp(reason)
    }

    /// What comes of each of Apple's answers, and of some that it has not told of.
    const ANSWERED: &[(u16, &str, Decision)] = &[
        (200, "", Sent),
        (204, "", Sent),
        (302, "", give_up(Reason::ProviderError)),
        (400, "BadCollapseId", give_up(Reason::BadMessage)),
        (400, "BadDeviceToken", DropToken),
        (400, "BadExpirationDate", give_up(Reason::BadMessage)),
        (400, "BadMessageId", give_up(Reason::BadMessage)),
        (400, "BadPriority", give_up(Reason::BadMessage)),
        (400, "BadTopic", give_up(Reason::BadCredentials)),
        (400, "DeviceTokenNotForTopic", DropToken),
        (400, "DuplicateHeaders", give_up(Reason::ProviderError)),
        (400, "IdleTimeout", RECONNECT),
        (400, "InvalidPushType", give_up(Reason::BadMessage)),
        (400, "MissingDeviceToken", give_up(Reason::ProviderError)),
        (400, "MissingTopic", give_up(Reason::BadCredentials)),
        (400, "PayloadEmpty", give_up(Reason::BadMessage)),
        (400, "TopicDisallowed", give_up(Reason::BadCredentials)),
        (400, "SomethingNew", give_up(Reason::BadMessage)),
        (403, "BadCertificate", give_up(Reason::BadCredentials)),
        (403, "BadCertificateEnvironment", give_up(Reason::BadCredentials)),
        (403, "BadEnvironmentKeyIdInToken", give_up(Reason::BadCredentials)),
        (403, "BadEnvironmentKeyInToken", give_up(Reason::BadCredentials)),
        (403, "ExpiredProviderToken", RenewCredential),
        (403, "Forbidden", give_up(Reason::BadCredentials)),
        (403, "InvalidProviderToken", give_up(Reason::BadCredentials)),
        (403, "MissingProviderToken", give_up(Reason::BadCredentials)),
        (403, "UnrelatedKeyIdInToken", RECONNECT),
        (403, "SomethingNew", give_up(Reason::BadCredentials)),
        (404, "BadPath", give_up(Reason::ProviderError)),
        (405, "MethodNotAllowed", give_up(Reason::ProviderError)),
        (408, "", RECONNECT),
        (410, "ExpiredToken", DropToken),
        (410, "Unregistered", DropToken),
        (410, "SomethingNew", DropToken),
        (413, "PayloadTooLarge", give_up(Reason::TooLarge)),
        (413, "", give_up(Reason::TooLarge)),
        (418, "", give_up(Reason::ProviderError)),
        (429, "TooManyProviderTokenUpdates", Retry(Pause::Fixed(Duration::from_secs(1200)))),
        (429, "TooManyRequests", Retry(DEVICE)),
        (429, "", Retry(DEVICE)),
        (500, "InternalServerError", RECONNECT),
        (502, "", RECONNECT),
        (503, "ServiceUnavailable", RECONNECT),
        (503, "Shutdown", RECONNECT),
        (503, "SomethingNew", RECONNECT),
    ];

    #[test]
    fn answers_lead_to_the_decisions_that_apple_asks_for() {
        for (status, reason, expected) in ANSWERED {
            assert_eq!(rule(*status, reason).decision, *expected, "{status} {reason}");
        }
    }

    #[test]
    fn every_row_decides_about_some_answer_and_has_a_source() {
        for row in ROWS {
            let decides = ANSWERED.iter().any(|(status, reason, _)| std::ptr::eq(rule(*status, reason), row));
            assert!(decides, "{row:?}");
            assert!(row.source.starts_with("https://"), "{row:?}");
        }
    }
}
