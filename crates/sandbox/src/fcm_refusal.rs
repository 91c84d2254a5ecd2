//! FCM's refusals: status, body and headers as Google's API front end writes them.
//!
//! After the FCM reference "ErrorCode" and Google's API error model (`google.rpc.Status` and its details).

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use hyper::{Response, StatusCode};
use serde_json::{Value, json};

use crate::credentials::PROJECT_ID;
use crate::fault::Fault;
use crate::listener::Answer;

pub(crate) const JSON: HeaderValue = HeaderValue::from_static("application/json; charset=UTF-8");
const FCM_ERROR: &str = "type.googleapis.com/google.firebase.fcm.v1.FcmError";
const BAD_REQUEST: &str = "type.googleapis.com/google.rpc.BadRequest";
const QUOTA_FAILURE: &str = "type.googleapis.com/google.rpc.QuotaFailure";
const ERROR_INFO: &str = "type.googleapis.com/google.rpc.ErrorInfo";
const CREDENTIAL_HELP: &str = "Expected OAuth 2 access token, login cookie or other valid authentication credential. \
     See https://developers.google.com/identity/sign-in/web/devconsole-project.";

/// FCM's error codes: the HTTP status and the message that each comes with.
const CODES: [(&str, u16, &str); 8] = [
    ("INVALID_ARGUMENT", 400, "Request contains an invalid argument."),
    ("THIRD_PARTY_AUTH_ERROR", 401, "Auth error from APNS or Web Push Service"),
    ("SENDER_ID_MISMATCH", 403, "SenderId mismatch"),
    ("UNREGISTERED", 404, "Requested entity was not found."),
    ("QUOTA_EXCEEDED", 429, "Resource has been exhausted (e.g. check quota)."),
    ("INTERNAL", 500, "Internal error encountered."),
    ("UNSPECIFIED_ERROR", 500, "Internal error encountered."),
    ("UNAVAILABLE", 503, "The service is currently unavailable."),
];

/// The canonical status of an HTTP status (`google.rpc.Code`), and its message when no FCM code says more.
const CANONICAL: [(u16, &str, &str); 11] = [
    (400, "INVALID_ARGUMENT", "Request contains an invalid argument."),
    (401, "UNAUTHENTICATED", "Request had invalid authentication credentials."),
    (403, "PERMISSION_DENIED", "The caller does not have permission"),
    (404, "NOT_FOUND", "Requested entity was not found."),
    (409, "ABORTED", "The operation was aborted."),
    (429, "RESOURCE_EXHAUSTED", "Resource has been exhausted (e.g. check quota)."),
    (499, "CANCELLED", "The operation was cancelled."),
    (500, "INTERNAL", "Internal error encountered."),
    (501, "UNIMPLEMENTED", "Operation is not implemented, or supported, or enabled."),
    (503, "UNAVAILABLE", "The service is currently unavailable."),
    (504, "DEADLINE_EXCEEDED", "Deadline expired before operation could complete."),
];

/// The HTTP status that one of FCM's error codes comes with.
pub(crate) fn status_of_code(code: &str) -> Option<u16> {
    let fcm = CODES.iter().find(|row| row.0 == code).map(|row| row.1);
    fcm.or_else(|| CANONICAL.iter().find(|row| row.1 == code).map(|row| row.0))
}

/// A refused request.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Refusal {
    status: u16,
    message: String,
    details: Vec<Value>,
    challenge: Option<&'static str>,
    retry_after_s: Option<u32>,
}

impl Refusal {
    fn new(status: u16, message: impl Into<String>, details: Vec<Value>) -> Self {
        Self { status, message: message.into(), details, challenge: None, retry_after_s: None }
    }

    /// One of FCM's own error codes.
    pub(crate) fn code(code: &str) -> Self {
        let (status, message) =
            CODES.iter().find(|row| row.0 == code).map_or((500, CODES[5].2), |row| (row.1, row.2));
        let mut details = vec![fcm_error(code)];
        if code == "QUOTA_EXCEEDED" {
            let violation = json!({ "subject": format!("project:{PROJECT_ID}"), "description": message });
            details.push(json!({ "@type": QUOTA_FAILURE, "violations": [violation] }));
        }
        Self::new(status, message, details)
    }

    /// An argument that FCM itself finds wrong, with its field.
    pub(crate) fn argument(field: &str, description: &str) -> Self {
        let violation = json!({ "field": field, "description": description });
        let bad_request = json!({ "@type": BAD_REQUEST, "fieldViolations": [violation] });
        Self::new(400, description, vec![fcm_error("INVALID_ARGUMENT"), bad_request])
    }

    /// Fields that don't fit the API's schema, each as (path, description); the path of the root is empty.
    pub(crate) fn schema(violations: &[(String, String)]) -> Self {
        let message = violations.iter().map(|(_, text)| text.as_str()).collect::<Vec<_>>().join("\n");
        let violations: Vec<_> = violations
            .iter()
            .map(|(field, text)| match field.as_str() {
                "" => json!({ "description": text }),
                field => json!({ "field": field, "description": text }),
            })
            .collect();
        Self::new(400, message, vec![json!({ "@type": BAD_REQUEST, "fieldViolations": violations })])
    }

    pub(crate) fn malformed(why: &str) -> Self {
        Self::new(400, format!("Invalid JSON payload received. {why}"), Vec::new())
    }

    pub(crate) fn missing_credential() -> Self {
        let message = format!("Request is missing required authentication credential. {CREDENTIAL_HELP}");
        Self {
            challenge: Some(r#"Bearer realm="https://accounts.google.com/""#),
            ..Self::new(401, message, vec![error_info("CREDENTIALS_MISSING", "googleapis.com")])
        }
    }

    pub(crate) fn invalid_credential() -> Self {
        let message = format!("Request had invalid authentication credentials. {CREDENTIAL_HELP}");
        Self {
            challenge: Some(r#"Bearer realm="https://accounts.google.com/", error="invalid_token""#),
            ..Self::new(401, message, vec![error_info("ACCESS_TOKEN_TYPE_UNSUPPORTED", "googleapis.com")])
        }
    }

    pub(crate) fn insufficient_scope() -> Self {
        Self {
            challenge: Some(
                r#"Bearer realm="https://accounts.google.com/", error="insufficient_scope", scope="https://www.googleapis.com/auth/cloud-platform https://www.googleapis.com/auth/firebase.messaging""#,
            ),
            ..Self::new(
                403,
                "Request had insufficient authentication scopes.",
                vec![error_info("ACCESS_TOKEN_SCOPE_INSUFFICIENT", "googleapis.com")],
            )
        }
    }

    pub(crate) fn other_project(project: &str) -> Self {
        let message = format!(
            "Permission 'cloudmessaging.messages.create' denied on resource \
             '//cloudresourcemanager.googleapis.com/projects/{project}' (or it may not exist)."
        );
        Self::new(
            403,
            message,
            vec![error_info("IAM_PERMISSION_DENIED", "cloudresourcemanager.googleapis.com")],
        )
    }

    /// What a fault asks for: `status` is never 200 here.
    pub(crate) fn fault(status: u16, fault: &Fault) -> Self {
        let ours = |code: &str| CODES.iter().any(|row| row.0 == code);
        let canonical = CANONICAL.iter().find(|row| row.0 == status);
        let mut refusal = match fault.reason.as_deref() {
            Some("UNAUTHENTICATED") => Self::invalid_credential(),
            Some(code) if ours(code) || canonical.is_none_or(|row| row.1 != code) => Self::code(code),
            Some(_) => Self::new(status, canonical.map_or("", |row| row.2), Vec::new()),
            None if status == 401 => Self::invalid_credential(),
            // A bare 403 or 404 says nothing of the token: the project or the permission may be at fault.
            None => match CODES.iter().find(|row| row.1 == status && ![403, 404].contains(&status)) {
                Some(row) => Self::code(row.0),
                None => Self::new(status, canonical.map_or("Unknown Error.", |row| row.2), Vec::new()),
            },
        };
        refusal.status = status;
        refusal.retry_after_s = fault.retry_after_s;
        refusal
    }

    fn body(&self) -> Value {
        let canonical = CANONICAL.iter().find(|row| row.0 == self.status).map_or("UNKNOWN", |row| row.1);
        let mut error = json!({ "code": self.status, "message": self.message, "status": canonical });
        if !self.details.is_empty() {
            error["details"] = Value::Array(self.details.clone());
        }
        json!({ "error": error })
    }

    pub(crate) fn answer(&self) -> Answer {
        let mut answer = json_answer(self.status, &self.body());
        if let Some(challenge) = self.challenge {
            answer.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        }
        if let Some(seconds) = self.retry_after_s {
            answer.headers_mut().insert(RETRY_AFTER, seconds.into());
        }
        answer
    }
}

fn fcm_error(code: &str) -> Value {
    json!({ "@type": FCM_ERROR, "errorCode": code })
}

fn error_info(reason: &str, domain: &str) -> Value {
    let metadata = json!({
        "service": "fcm.googleapis.com",
        "method": "google.firebase.fcm.v1.FcmService.SendMessage",
    });
    json!({ "@type": ERROR_INFO, "reason": reason, "domain": domain, "metadata": metadata })
}

pub(crate) fn json_answer(status: u16, body: &Value) -> Answer {
    let mut answer = Response::new(Full::new(Bytes::from(body.to_string())));
    *answer.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    answer.headers_mut().insert(CONTENT_TYPE, JSON);
    answer
}

/// What Google's front end says to a path or method that it doesn't know: a page, not JSON.
pub(crate) fn not_found(path: &str) -> Answer {
    let path = path.replace('&', "&amp;").replace('<', "&lt;");
    let page = format!(
        "<!DOCTYPE html>\n<html lang=en>\n<title>Error 404 (Not Found)!!1</title>\n<p><b>404.</b> That’s an error.\n\
         <p>The requested URL <code>{path}</code> was not found on this server.\n"
    );
    let mut answer = Response::new(Full::new(Bytes::from(page)));
    *answer.status_mut() = StatusCode::NOT_FOUND;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=UTF-8"));
    answer
}
