//! `/v1/sends`: one message to many devices at once.
//!
//! A send is its listed devices, in shards, and its row; then a job for each shard tells the dispatcher to begin. How
//! far it is, is counted from what became of its pushes.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Extension, Path, Request, State};
use axum::http::header::LOCATION;
use axum::http::{HeaderName, StatusCode};
use geopush_log::{Record, Topic, TraceId};
use geopush_model::{DeviceId, Job, Message, SendId, TenantId, Wire as _, Work};
use geopush_registry::message_json;
use geopush_service::http::{Invalid, json_body};
use geopush_service::time::format_rfc3339_ms;
use geopush_store::tables::{DeliveryTotalsRow, SendRow, SendTargetRow, device_shard};
use geopush_store::{Direction, Timestamp};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::auth::Tenant;
use crate::campaigns::{MessageAnswer, read_app, read_message};
use crate::error::ApiError;
use crate::idempotency::Creation;
use crate::json::{Members, invalid};
use crate::months::every;
use crate::state::{Api, Shared};

/// The route.
pub(crate) const SENDS: &str = "/v1/sends";
/// The most devices that a send lists.
const MOST_DEVICES: usize = 10_000;
/// As many devices as a shard should have, and the most shards.
const SHARD: usize = 1_000;
const MOST_SHARDS: usize = 16;
/// Targets that are written at a time.
const CHUNK: usize = 500;

/// The routes.
pub(crate) fn routes() -> OpenApiRouter<Arc<Api>> {
    OpenApiRouter::new().routes(routes!(create)).routes(routes!(read))
}

/// A send, as it is asked for.
#[derive(ToSchema)]
#[schema(as = NewSend, example = json!({"app": "shop", "device_ids": ["d1", "d2"],
    "message": {"title": "Hello", "body": "The sale begins today"}}))]
#[allow(dead_code, reason = "it describes a body that is read member by member")]
struct SendBody {
    /// The app that its pushes go to.
    #[schema(min_length = 1, max_length = 64)]
    app: String,
    /// The devices; one that is listed twice is pushed to once.
    #[schema(min_items = 1, max_items = 10_000)]
    device_ids: Vec<String>,
    message: MessageAnswer,
}

/// A send that was taken.
#[derive(Debug, Serialize, ToSchema)]
struct SendTaken {
    /// Ask for it at `/v1/sends/{id}`.
    id: Uuid,
}

/// How far a send is: `targeted` is the sum of the counts below it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Send)]
struct SendAnswer {
    id: Uuid,
    app: String,
    /// `running`, or `done` when nothing is pending.
    status: &'static str,
    /// To how many devices it goes.
    targeted: i64,
    /// Not decided or not finished yet.
    pending: i64,
    /// The provider took it.
    accepted: i64,
    /// It can't be sent.
    failed: i64,
    /// It was decided not to send it.
    suppressed: i64,
    /// Its time ran out.
    expired: i64,
    /// When it was asked for (RFC 3339).
    #[schema(format = DateTime)]
    created_at: String,
}

/// Sends a message to up to 10,000 listed devices.
#[utoipa::path(post, path = "/v1/sends", tag = "sends", request_body = SendBody,
    responses((status = 202, description = "It is on its way", body = SendTaken,
        headers(("Location" = String, description = "Its path")))))]
async fn create(
    State(api): Shared,
    Tenant(tenant): Tenant,
    Extension(trace): Extension<TraceId>,
    creation: Creation,
    request: Request,
) -> Result<(StatusCode, [(HeaderName, String); 1], Json<SendTaken>), ApiError> {
    let body = json_body(request, api.send_limits()).await?;
    let input = SendInput::read(body).map_err(ApiError::invalid)?;
    let send = SendId(creation.id("send", 0));
    take(&api, tenant, send, input, trace).await?;
    let location = [(LOCATION, format!("{SENDS}/{send}"))];
    Ok((StatusCode::ACCEPTED, location, Json(SendTaken { id: send.0 })))
}

/// Writes the devices, then the send, then its jobs. A try that died on the way can be made again under the same id:
/// a job that is done twice asks for the same pushes, which are decided once.
async fn take(
    api: &Api,
    tenant: TenantId,
    send: SendId,
    input: SendInput,
    trace: TraceId,
) -> Result<(), ApiError> {
    let targeted = input.devices.len();
    let shards = i32::try_from(targeted.div_ceil(SHARD).clamp(1, MOST_SHARDS)).expect("at most 16");
    let target = |device: &DeviceId| SendTargetRow {
        tenant: tenant.0,
        send: send.0,
        shard: device_shard(device.as_str(), shards),
        device: device.as_str().to_owned(),
    };
    let mut targets: Vec<SendTargetRow> = input.devices.iter().map(target).collect();
    targets.sort_by_key(|row| row.shard);
    for rows in targets.chunks(CHUNK) {
        api.store().put_all(rows.to_vec()).await?;
    }
    let now = Timestamp(api.now().0);
    let row = SendRow {
        tenant: tenant.0,
        send: send.0,
        app: input.app,
        audience: None,
        message: message_json(&input.message),
        targeted: i64::try_from(targeted).expect("at most 10,000"),
        shards,
        spread_s: None,
        status: "running".to_owned(),
        created_at: now,
        updated_at: now,
        version: 1,
    };
    api.store().put_if_absent(row).await?;
    let job = |shard: i32| Job {
        tenant,
        work: Work::Send(send),
        shard: shard.unsigned_abs(),
        cursor: None,
        expanded: 0,
        not_before: None,
    };
    let record = |job: Job| Record::new(Topic::Jobs, job.key(), job.encode()).traced(Some(trace));
    api.deps.log.append((0..shards).map(job).map(record).collect()).await?;
    metrics::counter!("geopush_api_sends_total").increment(1);
    metrics::counter!("geopush_api_send_devices_total").increment(targeted as u64);
    Ok(())
}

/// How far a send is.
#[utoipa::path(get, path = "/v1/sends/{id}", tag = "sends",
    params(("id" = Uuid, Path, description = "The send's id")),
    responses((status = 200, description = "How far it is", body = SendAnswer)))]
async fn read(
    State(api): Shared,
    Tenant(tenant): Tenant,
    Path(id): Path<String>,
) -> Result<Json<SendAnswer>, ApiError> {
    let row = match id.parse::<Uuid>() {
        Ok(id) => api.store().get::<SendRow>(&(tenant.0,), &(id,)).await?,
        Err(_) => None,
    };
    let row = row.ok_or_else(|| ApiError::not_found("send"))?;
    let totals = every(api.store(), &(tenant.0, row.send), Direction::Ascending).await?;
    Ok(Json(progress(row, &totals)))
}

fn progress(row: SendRow, totals: &[DeliveryTotalsRow]) -> SendAnswer {
    let sum = |count: fn(&DeliveryTotalsRow) -> i64| totals.iter().map(count).sum::<i64>();
    let (accepted, failed) = (sum(|row| row.accepted), sum(|row| row.failed));
    let (suppressed, expired) = (sum(|row| row.suppressed), sum(|row| row.expired));
    let pending = (row.targeted - accepted - failed - suppressed - expired).max(0);
    SendAnswer {
        id: row.send,
        app: row.app,
        status: if pending == 0 { "done" } else { "running" },
        targeted: row.targeted,
        pending,
        accepted,
        failed,
        suppressed,
        expired,
        created_at: format_rfc3339_ms(row.created_at.0),
    }
}

/// What a merchant asks for.
struct SendInput {
    app: String,
    devices: BTreeSet<DeviceId>,
    message: Message,
}

impl SendInput {
    fn read(body: Value) -> Result<Self, Vec<Invalid>> {
        let mut members = Members::of(body, "")?;
        let app = members.require("app", read_app);
        let (listed, audience) = (members.has("device_ids"), members.take("audience").is_some());
        let devices = match (listed, audience) {
            (true, false) => members.require("device_ids", read_devices),
            (true, true) => {
                members.take("device_ids");
                members.fail("audience", "conflicting", "give either device_ids or an audience");
                None
            }
            (false, true) => {
                let detail = "sends to an audience are not there yet; list up to 10,000 device_ids";
                members.fail("audience", "not_supported", detail);
                None
            }
            (false, false) => members.require("device_ids", read_devices),
        };
        let message = read_message(&mut members);
        members.finish(&[])?;
        match (app, devices, message) {
            (Some(app), Some(devices), Some(message)) => Ok(Self { app, devices, message }),
            _ => unreachable!("a member that is required and missing was noted, and finish refuses then"),
        }
    }
}

fn read_devices(members: &mut Members, name: &str) -> Option<BTreeSet<DeviceId>> {
    let Some(Value::Array(ids)) = members.take(name) else {
        members.fail(name, "wrong_type", "give an array of device ids");
        return None;
    };
    if !(1..=MOST_DEVICES).contains(&ids.len()) {
        members.fail(name, "out_of_range", format!("list 1 to {MOST_DEVICES} devices"));
        return None;
    }
    let mut devices = BTreeSet::new();
    for (i, id) in ids.iter().enumerate() {
        match id.as_str().map(DeviceId::new) {
            Some(Ok(id)) => {
                devices.insert(id);
            }
            _ => {
                let pointer = format!("{}/{i}", members.pointer(name));
                let detail = "give a string of 1 to 128 bytes without control characters";
                members.fail_all([invalid(&pointer, "invalid_value", detail)]);
            }
        }
    }
    Some(devices)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_targeted_is_the_sum_of_its_parts() {
        let row = SendRow {
            tenant: Uuid::nil(),
            send: Uuid::nil(),
            app: "shop".into(),
            audience: None,
            message: String::new(),
            targeted: 20,
            shards: 1,
            spread_s: None,
            status: "running".into(),
            created_at: Timestamp(0),
            updated_at: Timestamp(0),
            version: 1,
        };
        let totals = |hour, accepted, failed, suppressed, expired| DeliveryTotalsRow {
            tenant: Uuid::nil(),
            source: Uuid::nil(),
            hour,
            log_partition: 0,
            accepted,
            failed,
            suppressed,
            expired,
            counted_to: 0,
        };
        let some = progress(row.clone(), &[totals(1, 1, 2, 3, 4), totals(2, 5, 0, 0, 0)]);
        assert_eq!((some.status, some.pending, some.accepted, some.failed), ("running", 5, 6, 2));
        assert_eq!(
            some.pending + some.accepted + some.failed + some.suppressed + some.expired,
            some.targeted
        );
        assert_eq!(progress(row, &[totals(1, 20, 0, 0, 0)]).status, "done");
    }
}
