//! `POST /v1/sends/{id}/pause`, `…/resume` and `…/cancel`.
//!
//! The jobs of a send that is paused end, and its shards' rows say how far they were; to resume it is to tell the
//! dispatcher of new jobs from there. A send that is cancelled asks for no more devices of its audience; the listed ones
//! that are left are counted as suppressed, one by one, for which it needs its jobs.

use std::collections::HashMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Extension, Path, State};
use geopush_log::TraceId;
use geopush_model::{DeviceId, Job, SendId, TenantId, Work};
use geopush_service::http::Problem;
use geopush_store::tables::{SendRow, SendShardRow};
use geopush_store::{Direction, Store, StoreError, Timestamp};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::answer::{SendAnswer, progress};
use super::{append, current};
use crate::auth::Tenant;
use crate::error::ApiError;
use crate::months::every;
use crate::state::{Api, Shared};

/// How often a change that lost a race is tried again.
const MOST_TRIES: usize = 8;

pub(super) fn routes() -> OpenApiRouter<Arc<Api>> {
    OpenApiRouter::new().routes(routes!(pause)).routes(routes!(resume)).routes(routes!(cancel))
}

/// A send's new status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    Running,
    Paused,
    Cancelled,
}

impl Turn {
    fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Cancelled => "cancelled",
        }
    }

    /// Whether the dispatcher needs jobs for it: again even if it is so already, since an earlier try may have died
    /// before it told of them.
    fn needs_jobs(self, row: &SendRow) -> bool {
        match self {
            Self::Running => true,
            Self::Paused => false,
            Self::Cancelled => row.audience.is_none(),
        }
    }
}

/// Asks for no more devices until the send is resumed. Pushes that are decided on go out. One that is paused stays so.
#[utoipa::path(post, path = "/v1/sends/{id}/pause", tag = "sends",
    params(("id" = Uuid, Path, description = "The send's id")),
    responses((status = 200, description = "How far it is", body = SendAnswer)))]
async fn pause(
    State(api): Shared,
    Tenant(tenant): Tenant,
    Path(id): Path<String>,
    Extension(trace): Extension<TraceId>,
) -> Result<Json<SendAnswer>, ApiError> {
    turn(&api, tenant, &id, Turn::Paused, trace).await
}

/// Lets a paused send go on from where it was. One that is running stays so.
#[utoipa::path(post, path = "/v1/sends/{id}/resume", tag = "sends",
    params(("id" = Uuid, Path, description = "The send's id")),
    responses((status = 200, description = "How far it is", body = SendAnswer)))]
async fn resume(
    State(api): Shared,
    Tenant(tenant): Tenant,
    Path(id): Path<String>,
    Extension(trace): Extension<TraceId>,
) -> Result<Json<SendAnswer>, ApiError> {
    turn(&api, tenant, &id, Turn::Running, trace).await
}

/// Ends a send: devices that nothing was decided about get no push, and are counted as suppressed with the reason
/// `cancelled`; those of an audience that were not found yet are not counted. It can't be taken back.
#[utoipa::path(post, path = "/v1/sends/{id}/cancel", tag = "sends",
    params(("id" = Uuid, Path, description = "The send's id")),
    responses((status = 200, description = "How far it is", body = SendAnswer)))]
async fn cancel(
    State(api): Shared,
    Tenant(tenant): Tenant,
    Path(id): Path<String>,
    Extension(trace): Extension<TraceId>,
) -> Result<Json<SendAnswer>, ApiError> {
    turn(&api, tenant, &id, Turn::Cancelled, trace).await
}

async fn turn(
    api: &Api,
    tenant: TenantId,
    id: &str,
    turn: Turn,
    trace: TraceId,
) -> Result<Json<SendAnswer>, ApiError> {
    for _ in 0..MOST_TRIES {
        let row = current(api.store(), tenant, id).await?;
        if row.status == "cancelled" && turn != Turn::Cancelled {
            let problem = Problem::conflict("the send is cancelled for good; make a new one");
            return Err(problem.coded("send_cancelled", "Send cancelled").into());
        }
        if progress(api.store(), row.clone()).await?.status == "done" {
            let problem =
                Problem::conflict("all of the send's pushes have ended; there is nothing left to change");
            return Err(problem.coded("send_done", "Send done").into());
        }
        let turned = SendRow {
            status: turn.as_str().to_owned(),
            updated_at: Timestamp(api.now().0.max(row.updated_at.0)),
            version: row.version + 1,
            ..row.clone()
        };
        if row.status != turned.status && !api.store().put_if_version(turned.clone(), row.version).await? {
            continue;
        }
        if turn.needs_jobs(&turned) {
            append(api, jobs_left(api.store(), tenant, &turned).await?.into_iter(), trace).await?;
        }
        return Ok(Json(progress(api.store(), turned).await?));
    }
    Err(ApiError::contended())
}

/// A job for each shard that is not done, from where it is.
async fn jobs_left(store: &Store, tenant: TenantId, row: &SendRow) -> Result<Vec<Job>, StoreError> {
    let shards: Vec<SendShardRow> = every(store, &(row.tenant, row.send), Direction::Ascending).await?;
    let mut shards: HashMap<i32, SendShardRow> = shards.into_iter().map(|row| (row.shard, row)).collect();
    let job = |shard: i32| {
        let known = shards.remove(&shard);
        let (cursor, expanded) = match &known {
            Some(row) if row.state == "done" => return None,
            Some(row) => (row.cursor.as_deref().and_then(|id| DeviceId::new(id).ok()), row.expanded),
            None => (None, 0),
        };
        Some(Job {
            tenant,
            work: Work::Send(SendId(row.send)),
            shard: shard.unsigned_abs(),
            cursor,
            expanded: expanded.max(0).unsigned_abs(),
            not_before: None,
        })
    };
    Ok((0..row.shards).filter_map(job).collect())
}
