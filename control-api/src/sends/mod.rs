//! `/v1/sends`: one message to many devices at once, listed or of an audience.
//!
//! A send is its listed devices, in shards, and its row; then a job for each shard tells the dispatcher to begin. To an
//! audience, its shards are the buckets of the tenant's devices. How far it is, is counted from what became of its
//! pushes.

mod answer;
mod input;
mod turn;

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Extension, Path, Query, Request, State};
use axum::http::header::LOCATION;
use axum::http::{HeaderName, StatusCode};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use geopush_log::{Record, Topic, TraceId};
use geopush_model::{DeviceId, Job, Message, SendId, TenantId, Wire as _, Work};
use geopush_registry::message_json;
use geopush_service::http::json_body;
use geopush_store::tables::{
    DEVICE_BUCKETS, SendByTimeRow, SendMonthRow, SendRow, SendTargetRow, device_shard, month_of,
};
use geopush_store::{Store, StoreError, Timestamp};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::auth::Tenant;
use crate::error::ApiError;
use crate::idempotency::Creation;
use crate::listing::{Group, Listed, PageQuery, RangeQuery, list};
use crate::months::{every, last_before};
use crate::state::{Api, Shared};
use answer::{SendAnswer, progress};
use input::{SendBody, SendInput, To};

/// The route.
pub(crate) const SENDS: &str = "/v1/sends";
/// As many listed devices as a shard should have, and the most shards.
const SHARD: usize = 1_000;
const MOST_SHARDS: usize = 16;
/// Targets that are written at a time, and how many writes go at once.
const CHUNK: usize = 500;
const WRITES: usize = 8;
/// Sends whose counts are read at once.
const READS: usize = 16;

/// The routes.
pub(crate) fn routes() -> OpenApiRouter<Arc<Api>> {
    OpenApiRouter::new().routes(routes!(list_sends, create)).routes(routes!(read)).merge(turn::routes())
}

/// A send that was taken.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SendTaken {
    /// Ask for it at `/v1/sends/{id}`.
    pub id: Uuid,
}

/// Sends a message to up to 100,000 listed devices, or to all of an audience.
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

/// Takes a send of a message to one device: what a dead letter is sent anew by.
pub(crate) async fn take_one(
    api: &Api,
    tenant: TenantId,
    send: SendId,
    (app, device): (String, DeviceId),
    message: Message,
    trace: TraceId,
) -> Result<(), ApiError> {
    let input = SendInput { app, to: To::Listed([device].into()), spread_s: None, message };
    take(api, tenant, send, input, trace).await
}

/// Writes the devices, then the send, then its jobs. A try that died on the way can be made again under the same id:
/// of two jobs of one shard, one goes on.
async fn take(
    api: &Api,
    tenant: TenantId,
    send: SendId,
    input: SendInput,
    trace: TraceId,
) -> Result<(), ApiError> {
    let (shards, targeted, audience) = match &input.to {
        To::Listed(devices) => {
            let shards = devices.len().div_ceil(SHARD).clamp(1, MOST_SHARDS);
            let shards = i32::try_from(shards).expect("at most 16");
            write_targets(api.store(), tenant, send, devices, shards).await?;
            (shards, devices.len(), None)
        }
        To::Audience(audience) => (DEVICE_BUCKETS, 0, Some(audience.to_string())),
    };
    let now = Timestamp(api.now().0);
    let mut row = SendRow {
        tenant: tenant.0,
        send: send.0,
        app: input.app,
        audience,
        message: message_json(&input.message),
        targeted: i64::try_from(targeted).expect("at most 100,000"),
        shards,
        spread_s: input.spread_s,
        status: "running".to_owned(),
        created_at: now,
        updated_at: now,
        version: 1,
    };
    if !api.store().put_if_absent(row.clone()).await?
        && let Some(earlier) = api.store().get::<SendRow>(&(tenant.0,), &(send.0,)).await?
    {
        row = earlier;
    }
    let month = month_of(row.created_at.0);
    api.store().put(SendMonthRow { tenant: tenant.0, month }).await?;
    let by_time = SendByTimeRow { tenant: tenant.0, month, created_at: row.created_at, send: send.0 };
    api.store().put(by_time).await?;
    let job = |shard: i32| Job {
        tenant,
        work: Work::Send(send),
        shard: shard.unsigned_abs(),
        cursor: None,
        expanded: 0,
        not_before: None,
    };
    append(api, (0..row.shards).map(job), trace).await?;
    metrics::counter!("geopush_api_sends_total").increment(1);
    metrics::counter!("geopush_api_send_devices_total").increment(targeted as u64);
    Ok(())
}

async fn write_targets(
    store: &Store,
    tenant: TenantId,
    send: SendId,
    devices: &BTreeSet<DeviceId>,
    shards: i32,
) -> Result<(), StoreError> {
    let target = |device: &DeviceId| SendTargetRow {
        tenant: tenant.0,
        send: send.0,
        shard: device_shard(device.as_str(), shards),
        device: device.as_str().to_owned(),
    };
    let mut targets: Vec<SendTargetRow> = devices.iter().map(target).collect();
    targets.sort_by_key(|row| row.shard);
    let chunks: Vec<Vec<SendTargetRow>> = targets.chunks(CHUNK).map(<[_]>::to_vec).collect();
    stream::iter(chunks).map(|rows| store.put_all(rows)).buffer_unordered(WRITES).try_collect().await
}

/// Tells the dispatcher of jobs.
async fn append(api: &Api, jobs: impl Iterator<Item = Job>, trace: TraceId) -> Result<(), ApiError> {
    let record = |job: Job| Record::new(Topic::Jobs, job.key(), job.encode()).traced(Some(trace));
    Ok(api.deps.log.append(jobs.map(record).collect()).await?)
}

/// The tenant's sends by time; `from` and `to` are about `created_at`.
#[utoipa::path(get, path = "/v1/sends", tag = "sends", params(PageQuery, RangeQuery),
    responses((status = 200, description = "A page of sends", body = Listed<SendAnswer>)))]
async fn list_sends(
    State(api): Shared,
    Tenant(tenant): Tenant,
    Query(page): Query<PageQuery>,
    Query(range): Query<RangeQuery>,
) -> Result<Json<Listed<SendAnswer>>, ApiError> {
    let (wanted, (from, to)) = (page.read()?, range.read()?);
    let months: Vec<SendMonthRow> = every(api.store(), &(tenant.0,), wanted.direction).await?;
    let [first, last] = [from.map(month_of), to.map(|to| month_of(last_before(to)))];
    let within =
        |month: &i32| first.is_none_or(|first| first <= *month) && last.is_none_or(|last| *month <= last);
    let groups: Vec<Group<_>> = months
        .into_iter()
        .map(|row| row.month)
        .filter(within)
        .map(|month| (i64::from(month), vec![(tenant.0, month)]))
        .collect();
    let bound = |ms: Option<i64>| ms.map(|ms| (Timestamp(ms), Uuid::nil()));
    let keep = |row: SendByTimeRow| Ok(Some(row.send));
    let ids = list(api.store(), groups, &wanted, [bound(from), bound(to)], keep).await?;
    let keys: Vec<_> = ids.data.iter().map(|id| ((tenant.0,), (*id,))).collect();
    let rows = api.store().get_all::<SendRow>(&keys).await?;
    let data = stream::iter(rows.into_iter().flatten())
        .map(|row| progress(api.store(), row))
        .buffered(READS)
        .try_collect()
        .await?;
    Ok(Json(Listed { data, next_cursor: ids.next_cursor }))
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
    let row = current(api.store(), tenant, &id).await?;
    Ok(Json(progress(api.store(), row).await?))
}

/// The send that a path names.
async fn current(store: &Store, tenant: TenantId, id: &str) -> Result<SendRow, ApiError> {
    let row = match id.parse::<Uuid>() {
        Ok(id) => store.get::<SendRow>(&(tenant.0,), &(id,)).await?,
        Err(_) => None,
    };
    row.ok_or_else(|| ApiError::not_found("send"))
}
