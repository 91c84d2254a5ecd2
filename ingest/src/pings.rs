//! `POST /v1/pings`.

use axum::Json;
use axum::extract::{Extension, Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use futures::future::try_join_all;
use geopush_log::{Record, Topic, TraceId};
use geopush_model::{DeviceId, Fix, Ping, PingKind, TenantId, UnixMillis, Wire as _};
use geopush_service::http::{Invalid, Problem, json_body};
use serde::Serialize;

use crate::body::{self, Accepted, BodyError, Rejection};
use crate::serve::{Shared, log_problem, store_problem};

/// A record holds at most this many fixes, so that no request makes one that the log refuses, or that makes more
/// transitions than the geofence stage should commit at once.
const FIXES_A_RECORD: usize = 100;

/// What a phone is told.
#[derive(Serialize)]
struct Answer {
    accepted: usize,
    rejected: Vec<RejectedFix>,
}

#[derive(Serialize)]
struct RejectedFix {
    index: usize,
    code: &'static str,
    detail: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
}

pub(crate) async fn post(
    State(ingest): Shared,
    Extension(trace): Extension<TraceId>,
    request: Request,
) -> Result<Response, Problem> {
    let tenant = ingest.principal(request.headers()).await?.tenant;
    let body = json_body(request, ingest.limits()).await?;
    let now = ingest.now();
    let accepted =
        body::read(body, ingest.config.max_pings, now).map_err(|e| refusal(e, ingest.config.max_pings))?;
    ingest.admit(tenant, accepted.count)?;

    let Accepted { devices, count, rejected } = accepted;
    let known = devices.keys().map(|device| ingest.dependencies.devices.ensure(tenant, device, now));
    try_join_all(known).await.map_err(|e| store_problem(&e))?;
    let records: Vec<Record> = devices
        .into_iter()
        .flat_map(|(device, fixes)| records_of(tenant, &device, fixes, now, trace))
        .collect();
    if !records.is_empty() {
        ingest.dependencies.log.append(records).await.map_err(|e| log_problem(&e))?;
    }

    tracing::debug!(%tenant, accepted = count, rejected = rejected.len(), "pings accepted");
    metrics::counter!("geopush_ingest_fixes_total", "outcome" => "accepted").increment(count as u64);
    for rejection in &rejected {
        metrics::counter!("geopush_ingest_fixes_total", "outcome" => rejection.code.as_str()).increment(1);
    }
    let rejected = rejected.into_iter().map(told).collect();
    Ok((StatusCode::ACCEPTED, Json(Answer { accepted: count, rejected })).into_response())
}

fn told(Rejection { index, code, id }: Rejection) -> RejectedFix {
    RejectedFix { index, code: code.as_str(), detail: code.detail(), id }
}

fn refusal(error: BodyError, most: usize) -> Problem {
    match error {
        BodyError::Shape { pointer, detail } => {
            Problem::invalid(vec![Invalid::new(pointer, "wrong_shape", detail)])
        }
        BodyError::TooMany => {
            Problem::too_large(format!("a request has at most {most} fixes; send the rest in another"))
                .coded("too_many_pings", "Too many fixes")
        }
    }
}

fn records_of(
    tenant: TenantId,
    device: &DeviceId,
    fixes: Vec<Fix>,
    received_at: UnixMillis,
    trace: TraceId,
) -> Vec<Record> {
    let mut records = Vec::with_capacity(1);
    let mut fixes = fixes.into_iter().peekable();
    while fixes.peek().is_some() {
        let kind = PingKind::Fixes(fixes.by_ref().take(FIXES_A_RECORD).collect());
        let ping = Ping { tenant, device: device.clone(), received_at, kind };
        records.push(Record::new(Topic::Pings, ping.key().to_bytes(), ping.encode()).traced(Some(trace)));
    }
    records
}
