//! The control address, plain HTTP: what was sent, and which faults wait.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::json;

use crate::fault::{Fault, Faults};
use crate::sent::{After, SentLog};

/// How many pushes `GET /sent` answers with when it isn't told.
const DEFAULT_LIMIT: usize = 100_000;

#[derive(Clone)]
pub(crate) struct Control {
    pub sent: Arc<SentLog>,
    pub faults: Arc<Faults>,
}

/// `GET /sent?after=&limit=`, and `GET`, `POST` and `DELETE /faults`.
pub(crate) fn routes(control: Control) -> Router {
    Router::new()
        .route("/sent", get(sent))
        .route("/faults", get(list_faults).post(add_fault).delete(clear_faults))
        .with_state(control)
}

#[derive(Deserialize)]
struct SentQuery {
    after: Option<String>,
    limit: Option<String>,
}

async fn sent(State(control): State<Control>, Query(query): Query<SentQuery>) -> Response {
    let given = query.after.unwrap_or_default();
    let Some(after) = after(&given) else {
        return problem(
            StatusCode::UNPROCESSABLE_ENTITY,
            "invalid_cursor",
            "`after` is not a `next_after` of an earlier page, a `seq`, or an RFC 3339 time; leave it out to start over",
        );
    };
    let limit = match query.limit.as_deref().map(str::parse::<usize>) {
        None => DEFAULT_LIMIT,
        Some(Ok(limit)) if limit > 0 => limit,
        Some(_) => {
            let detail = "`limit` must be a whole number from 1";
            return problem(StatusCode::UNPROCESSABLE_ENTITY, "invalid_limit", detail);
        }
    };
    let page = control.sent.page(after, limit);
    let next_after = page.sent.last().map_or(given, |last| last.seq.to_string());
    Json(json!({ "data": page.sent, "next_after": next_after, "forgotten": page.forgotten })).into_response()
}

fn after(given: &str) -> Option<After> {
    if given.is_empty() {
        return Some(After::Seq(0));
    }
    let seq = given.parse().ok().map(After::Seq);
    seq.or_else(|| given.parse::<Timestamp>().ok().map(After::Time))
}

async fn list_faults(State(control): State<Control>) -> Response {
    Json(json!({ "data": control.faults.list() })).into_response()
}

async fn add_fault(State(control): State<Control>, body: Bytes) -> Response {
    let fault: Fault = match serde_json::from_slice(&body) {
        Ok(fault) => fault,
        Err(error) if error.is_data() => {
            return problem(StatusCode::UNPROCESSABLE_ENTITY, "invalid_fault", &error.to_string());
        }
        Err(error) => {
            let detail = format!("the body is not JSON: {error}");
            return problem(StatusCode::BAD_REQUEST, "malformed_body", &detail);
        }
    };
    match control.faults.add(fault) {
        Ok(fault) => (StatusCode::CREATED, Json(fault)).into_response(),
        Err(bad) => problem(StatusCode::UNPROCESSABLE_ENTITY, "invalid_fault", &bad.to_string()),
    }
}

async fn clear_faults(State(control): State<Control>) -> StatusCode {
    control.faults.clear();
    StatusCode::NO_CONTENT
}

/// RFC 9457.
fn problem(status: StatusCode, code: &str, detail: &str) -> Response {
    let body = json!({
        "type": "about:blank",
        "title": status.canonical_reason(),
        "status": status.as_u16(),
        "code": code,
        "detail": detail,
    });
    let content_type = [("content-type", "application/problem+json")];
    (status, content_type, body.to_string()).into_response()
}
