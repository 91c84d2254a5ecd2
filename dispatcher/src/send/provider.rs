//! What a provider is: a lane needs no more than this of any, and another one has to bring no more.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use geopush_model::{Push, UnixMillis};
use http::header::RETRY_AFTER;
use http::{HeaderMap, HeaderValue};

pub use super::decision::{Decision, Pause, Verdict};
pub use super::device_limits::DeviceLimit;
pub use super::service::{Means, Opened, Service, Services};
pub use super::transport::{Answer, BadUrl, Connector, Endpoint};

/// The longest payload of either, in bytes (Firebase: "maximum payload is 4096 bytes"; Apple: "4 KB (4096 bytes)").
pub const MAX_PAYLOAD: usize = 4096;

/// A request but for its credential.
#[derive(Debug)]
pub struct Message {
    /// Below the provider's address. Holds the token with APNs: in no log line.
    pub path: String,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

/// Why a push can't even be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unsendable {
    /// The message is longer than [`MAX_PAYLOAD`].
    TooLarge,
    /// The token is not one that the provider could have given out.
    BadToken,
}

/// A member of an app's credentials that nothing can be done with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the app's {0} can't be used; upload the credentials as the provider gave them")]
pub struct Unusable(pub &'static str);

/// Why an app can't send.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoLane {
    /// It has no credentials for the provider.
    #[error("the app has no credentials for the provider")]
    NoApp,
    /// They can't be used.
    #[error(transparent)]
    Unusable(#[from] Unusable),
    /// They name an address that can't be sent to.
    #[error(transparent)]
    BadUrl(#[from] BadUrl),
    /// They name an address, which the operator does not allow.
    #[error(
        "the app names an address of its own; start with --allow-provider-urls to allow that, or remove it"
    )]
    UrlNotAllowed,
}

/// Why there is no credential to send with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CredentialError {
    /// The app's key is not accepted, or is no key.
    Refused(String),
    /// It could not be had now.
    Unavailable {
        /// Why.
        why: String,
        /// The answer's Retry-After.
        retry_after: Option<Duration>,
    },
}

/// One app with one provider.
#[async_trait]
pub trait Provider: Send + Sync {
    /// The request for a push that is sent at `now`.
    ///
    /// # Errors
    /// [`Unsendable`]
    fn message(&self, push: &Push, now: UnixMillis) -> Result<Message, Unsendable>;

    /// The `authorization` header's value, made or had if need be; none where the connection says who we are. Safe to
    /// drop while waiting.
    ///
    /// # Errors
    /// [`CredentialError`]
    async fn credential(&self, now: UnixMillis) -> Result<Option<HeaderValue>, CredentialError>;

    /// The provider refused this credential: the next one is another.
    fn forget(&self, refused: &HeaderValue);

    /// What the device of a push may get.
    fn device_limits(&self, _push: &Push) -> &'static [DeviceLimit] {
        &[]
    }

    /// Whether 429 is about the app as a whole: many of them say that all of its pushes had better wait.
    fn has_shared_quota(&self) -> bool {
        false
    }

    /// What an answer means for the push.
    fn judge(&self, push: &Push, answer: &Answer, now: UnixMillis) -> Verdict;
}

/// An answer's Retry-After (RFC 9110, section 10.2.3): seconds, or a date. Anything else is as if it were not there.
pub fn retry_after(headers: &HeaderMap, now: UnixMillis) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let at = jiff::fmt::rfc2822::parse(text).ok()?.timestamp().as_millisecond();
    Some(Duration::from_millis(UnixMillis(at).since_ms(now).try_into().unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now = UnixMillis(784_111_767_000);
        let rows = [
            ("120", Some(Duration::from_secs(120))),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(Duration::from_secs(10))),
            ("Sun, 06 Nov 1994 08:49:00 GMT", Some(Duration::ZERO)),
            ("-1", None),
            ("soon", None),
        ];
        for (text, expected) in rows {
            let headers = HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_static(text))]);
            assert_eq!(retry_after(&headers, now), expected, "{text}");
        }
        assert_eq!(retry_after(&HeaderMap::new(), now), None);
    }
}
