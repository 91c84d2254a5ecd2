//! `ETag` and `If-Match`: an entity's version, as a strong validator.

use axum::http::header::{ETAG, IF_MATCH};
use axum::http::{HeaderMap, HeaderName};

use crate::error::ApiError;

/// The header that says a version.
pub(crate) fn etag(version: i64) -> [(HeaderName, String); 1] {
    [(ETAG, format!("\"{version}\""))]
}

/// What a request demands of the current version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum IfMatch {
    /// Nothing: there is no such header.
    Absent,
    /// That there is one: `*`.
    Any,
    /// That it is this one.
    Version(i64),
    /// What no version fulfils.
    Never,
}

impl IfMatch {
    /// Reads the header; of a list of tags the first that is a version counts.
    pub fn of(headers: &HeaderMap) -> Self {
        let Some(value) = headers.get(IF_MATCH) else { return Self::Absent };
        let tags = value.to_str().unwrap_or_default();
        if tags.trim() == "*" {
            return Self::Any;
        }
        let version = |tag: &str| tag.trim().strip_prefix('"')?.strip_suffix('"')?.parse().ok();
        tags.split(',').find_map(version).map_or(Self::Never, Self::Version)
    }

    /// As [`Self::of`], where the header is required.
    pub fn required(headers: &HeaderMap) -> Result<Self, ApiError> {
        match Self::of(headers) {
            Self::Absent => Err(ApiError::precondition_required()),
            demand => Ok(demand),
        }
    }

    /// Checks it against the current version, if there is one.
    pub fn check(self, current: Option<i64>) -> Result<(), ApiError> {
        match (self, current) {
            (Self::Absent, _) | (Self::Any, Some(_)) => Ok(()),
            (Self::Version(version), Some(current)) if version == current => Ok(()),
            _ => Err(ApiError::precondition_failed()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_is_read_as_rfc_9110_says() {
        let cases = [
            ("*", IfMatch::Any),
            ("\"3\"", IfMatch::Version(3)),
            ("\"x\", \"3\"", IfMatch::Version(3)),
            ("W/\"3\"", IfMatch::Never),
            ("3", IfMatch::Never),
            ("", IfMatch::Never),
        ];
        for (text, wanted) in cases {
            let headers = HeaderMap::from_iter([(IF_MATCH, text.parse().unwrap())]);
            assert_eq!(IfMatch::of(&headers), wanted, "{text}");
        }
        assert_eq!(IfMatch::of(&HeaderMap::new()), IfMatch::Absent);
        assert!(IfMatch::required(&HeaderMap::new()).is_err());
        assert!(IfMatch::Version(2).check(Some(3)).is_err() && IfMatch::Version(3).check(Some(3)).is_ok());
        assert!(IfMatch::Any.check(None).is_err() && IfMatch::Absent.check(None).is_ok());
    }
}
