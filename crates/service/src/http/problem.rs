//! What a client is told when a request fails: RFC 9457 problem details.

use std::fmt;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

/// What follows it in a problem's `type` is the problem's code. A name, not an address: there is nothing to fetch.
const TYPE_PREFIX: &str = "urn:geopush:problem:";

/// One member of a request's body that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Invalid {
    /// Where it is: a JSON pointer (RFC 6901) into the body; of a missing member, where it should be.
    pub pointer: String,
    /// What is wrong, as a word for programs.
    pub code: &'static str,
    /// What is wrong and what would be right, in words for people.
    pub detail: String,
}

impl Invalid {
    /// A wrong member.
    pub fn new(pointer: impl Into<String>, code: &'static str, detail: impl Into<String>) -> Self {
        Self { pointer: pointer.into(), code, detail: detail.into() }
    }
}

/// Why a request failed. As a response it is `application/problem+json`; [`super::Edge`] adds the request's id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The HTTP status.
    pub status: StatusCode,
    /// The problem's kind, as a word for programs.
    pub code: &'static str,
    /// The kind in words; the same for every problem of the code.
    pub title: &'static str,
    /// What went wrong this time, and what to do next.
    pub detail: String,
    /// The members that are wrong, for a body of the wrong shape.
    pub errors: Vec<Invalid>,
    /// When trying again may help: the `Retry-After` header, in whole seconds, at least one.
    pub retry_after: Option<Duration>,
    /// The request's id.
    pub request_id: Option<Box<str>>,
}

macro_rules! problems {
    ($($(#[$doc:meta])* $name:ident = $status:ident, $code:literal, $title:literal;)+) => {$(
        $(#[$doc])*
        pub fn $name(detail: impl Into<String>) -> Self {
            Self::new(StatusCode::$status, $code, $title, detail)
        }
    )+};
}

impl Problem {
    problems! {
        /// 400: the body, or the query, can't be read at all.
        malformed = BAD_REQUEST, "malformed", "Malformed request";
        /// 401: no credentials, or wrong ones.
        unauthorized = UNAUTHORIZED, "unauthorized", "Credentials needed";
        /// 403: right credentials, of the wrong kind for this.
        forbidden = FORBIDDEN, "forbidden", "Not allowed with these credentials";
        /// 404: nothing there, or nothing that the caller may see.
        not_found = NOT_FOUND, "not_found", "Not found";
        /// 405: the path knows other methods, which the `Allow` header names.
        method_not_allowed = METHOD_NOT_ALLOWED, "method_not_allowed", "Method not allowed";
        /// 408: the request came too slowly.
        request_timeout = REQUEST_TIMEOUT, "request_timeout", "Request came too slowly";
        /// 409: it contradicts what is there.
        conflict = CONFLICT, "conflict", "Conflict";
        /// 412: the resource has changed since the version named in `If-Match`.
        precondition_failed = PRECONDITION_FAILED, "precondition_failed", "Changed since it was read";
        /// 413: the body is too large, as sent or when decompressed.
        too_large = PAYLOAD_TOO_LARGE, "too_large", "Body too large";
        /// 415: a body of another media type than those read here.
        unsupported_media_type = UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", "Unsupported media type";
        /// 415: a body compressed in a way that is not read here; `Accept-Encoding` names the ways.
        unsupported_encoding = UNSUPPORTED_MEDIA_TYPE, "unsupported_encoding", "Unsupported content encoding";
        /// 428: the change needs an `If-Match`.
        precondition_required = PRECONDITION_REQUIRED, "precondition_required", "If-Match needed";
    }

    /// Any other kind. The title is the same for every problem of a code.
    pub fn new(
        status: StatusCode,
        code: &'static str,
        title: &'static str,
        detail: impl Into<String>,
    ) -> Self {
        let detail = detail.into();
        Self { status, code, title, detail, errors: Vec::new(), retry_after: None, request_id: None }
    }

    /// 422: well-formed, but these members are wrong.
    pub fn invalid(errors: Vec<Invalid>) -> Self {
        let detail = match errors.as_slice() {
            [] => "the request is invalid".to_owned(),
            [only] => only.to_string(),
            [first, rest @ ..] => format!("{first} (and {} more, see errors)", rest.len()),
        };
        let problem = Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", "Invalid request", detail);
        Self { errors, ..problem }
    }

    /// 429: this caller asks too often.
    pub fn too_many_requests(detail: impl Into<String>, retry_after: Duration) -> Self {
        let title = "Too many requests";
        Self::new(StatusCode::TOO_MANY_REQUESTS, "too_many_requests", title, detail).retry_after(retry_after)
    }

    /// 500: our fault. The cause is logged and not told: it must hold no secret, token or position.
    pub fn internal(cause: impl fmt::Display) -> Self {
        tracing::error!(error = %cause, "a request failed for a reason of our own");
        let detail = "something went wrong here; try again, and tell us the request_id if it goes on";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "Internal error", detail)
    }

    /// 503: not now.
    pub fn unavailable(detail: impl Into<String>, retry_after: Duration) -> Self {
        let title = "Unavailable for the moment";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", title, detail).retry_after(retry_after)
    }

    /// 503: no answer was found in time; what was asked may still happen.
    pub fn timeout(retry_after: Duration) -> Self {
        let detail =
            "there was no answer in time; whether the request took effect is not known, so try it again";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "timeout", "No answer in time", detail)
            .retry_after(retry_after)
    }

    /// The problem of a status that some library answered with.
    pub(super) fn of_status(status: StatusCode, said: String) -> Self {
        let problem = match status {
            StatusCode::BAD_REQUEST => Self::malformed,
            StatusCode::UNAUTHORIZED => Self::unauthorized,
            StatusCode::FORBIDDEN => Self::forbidden,
            StatusCode::NOT_FOUND => Self::not_found,
            StatusCode::METHOD_NOT_ALLOWED => Self::method_not_allowed,
            StatusCode::PAYLOAD_TOO_LARGE => Self::too_large,
            StatusCode::UNSUPPORTED_MEDIA_TYPE => Self::unsupported_media_type,
            _ if status.is_server_error() => {
                |detail| Self::new(StatusCode::OK, "internal", "Internal error", detail)
            }
            _ => |detail| Self::new(StatusCode::OK, "refused", "Request refused", detail),
        };
        let said =
            if said.is_empty() { status.canonical_reason().unwrap_or("refused").to_owned() } else { said };
        Self { status, ..problem(said) }
    }

    /// The same problem under a narrower code of its own.
    #[must_use]
    pub fn coded(self, code: &'static str, title: &'static str) -> Self {
        Self { code, title, ..self }
    }

    /// The same problem, to be tried again after this long.
    #[must_use]
    pub fn retry_after(self, retry_after: Duration) -> Self {
        Self { retry_after: Some(retry_after), ..self }
    }

    /// The same problem, with the members that are wrong.
    #[must_use]
    pub fn with_errors(self, errors: Vec<Invalid>) -> Self {
        Self { errors, ..self }
    }

    /// The problem's body.
    pub(super) fn to_json(&self) -> Vec<u8> {
        #[derive(Serialize)]
        struct Told<'a> {
            r#type: String,
            title: &'a str,
            status: u16,
            code: &'a str,
            detail: &'a str,
            request_id: Option<&'a str>,
            errors: &'a [Invalid],
        }
        let told = Told {
            r#type: format!("{TYPE_PREFIX}{}", self.code),
            title: self.title,
            status: self.status.as_u16(),
            code: self.code,
            detail: &self.detail,
            request_id: self.request_id.as_deref(),
            errors: &self.errors,
        };
        serde_json::to_vec(&told).expect("strings and numbers are always JSON")
    }
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = if self.pointer.is_empty() { "the body" } else { &self.pointer };
        write!(f, "{at}: {}", self.detail)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}", self.status.as_u16(), self.code, self.detail)
    }
}

impl std::error::Error for Problem {}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::from(self.to_json()));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(wait) = self.retry_after {
            let seconds = wait.as_millis().div_ceil(1000).clamp(1, u128::from(u32::MAX));
            headers
                .insert(header::RETRY_AFTER, HeaderValue::from(u32::try_from(seconds).unwrap_or(u32::MAX)));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if self.code == "unsupported_encoding" {
            headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("gzip, zstd"));
        }
        response.extensions_mut().insert(self);
        response
    }
}
