//! Imports that go on after they were answered: `GET /v1/jobs/{id}`.
//!
//! A job lives in the process that took it and says every few seconds that it is alive. One that has fallen silent
//! was interrupted; since imports may be sent again, it is not gone on with by itself.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{Path, State};
use geopush_model::TenantId;
use geopush_service::time::format_rfc3339_ms;
use geopush_store::Timestamp;
use geopush_store::tables::ImportJobRow;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::import::ImportResult;
use crate::auth::Tenant;
use crate::error::ApiError;
use crate::state::{Api, Shared};

const ALIVE_EVERY: Duration = Duration::from_secs(5);
/// A running job that has been silent for this long was interrupted.
const SILENT_MS: i64 = 20_000;
const RUNNING: &str = "running";
const DONE: &str = "done";
const FAILED: &str = "failed";
const INTERRUPTED: &str = "interrupted: import again";

/// A job that was taken.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct JobStarted {
    /// Ask for it at `/v1/jobs/{id}`.
    job_id: Uuid,
    /// `running`
    status: &'static str,
}

/// An import that goes on after it was answered.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Job {
    id: Uuid,
    /// `running`, `done` or `failed`.
    status: String,
    /// What the import did; `null` until it is done.
    #[schema(required)]
    result: Option<ImportResult>,
    /// Why it failed; `null` if it did not.
    #[schema(required)]
    detail: Option<String>,
    /// When it was taken (RFC 3339).
    #[schema(format = DateTime)]
    created_at: String,
}

/// An import that goes on after it was answered.
#[utoipa::path(get, path = "/v1/jobs/{id}", tag = "zones", operation_id = "read_job",
    params(("id" = Uuid, Path, description = "The `job_id` of the answer")),
    responses((status = 200, description = "The job", body = Job)))]
pub(super) async fn read(
    State(api): Shared,
    Tenant(tenant): Tenant,
    Path(id): Path<String>,
) -> Result<Json<Job>, ApiError> {
    let row = match id.parse::<Uuid>() {
        Ok(id) => api.store().get::<ImportJobRow>(&(tenant.0,), &(id,)).await?,
        Err(_) => None,
    };
    let row = row.ok_or_else(|| ApiError::not_found("job"))?;
    Ok(Json(told(row, api.now().0)))
}

fn told(row: ImportJobRow, now_ms: i64) -> Job {
    let silent = row.status == RUNNING && now_ms.saturating_sub(row.updated_at.0) > SILENT_MS;
    let (status, detail) =
        if silent { (FAILED.to_owned(), Some(INTERRUPTED.to_owned())) } else { (row.status, row.detail) };
    Job {
        id: row.job,
        status,
        result: row.result.as_deref().and_then(|json| serde_json::from_str(json).ok()),
        detail,
        created_at: format_rfc3339_ms(row.created_at.0),
    }
}

/// Starts a job; it is answered as soon as it is known.
pub(super) async fn start(
    api: &Arc<Api>,
    tenant: TenantId,
    id: Uuid,
    work: impl Future<Output = Result<ImportResult, ApiError>> + Send + 'static,
) -> Result<JobStarted, ApiError> {
    let now = Timestamp(api.now().0);
    let row = ImportJobRow {
        tenant: tenant.0,
        job: id,
        status: RUNNING.to_owned(),
        result: None,
        detail: None,
        created_at: now,
        updated_at: now,
    };
    api.store().put(row.clone()).await?;
    api.imports.jobs.spawn(watch(Arc::clone(api), row, work));
    Ok(JobStarted { job_id: id, status: RUNNING })
}

/// Says that the job is alive until it has ended, and then how.
async fn watch(
    api: Arc<Api>,
    mut row: ImportJobRow,
    work: impl Future<Output = Result<ImportResult, ApiError>>,
) {
    let mut work = std::pin::pin!(work);
    let mut alive = tokio::time::interval(ALIVE_EVERY);
    let ended = loop {
        tokio::select! {
            ended = &mut work => break Some(ended),
            () = api.imports.stop.cancelled() => break None,
            _ = alive.tick() => say(&api, &mut row).await,
        }
    };
    match ended {
        Some(Ok(result)) => {
            row.status = DONE.to_owned();
            row.result = Some(serde_json::to_string(&result).expect("counts and texts are always JSON"));
        }
        Some(Err(error)) => {
            row.status = FAILED.to_owned();
            row.detail = Some(error.0.detail.clone());
        }
        None => {
            row.status = FAILED.to_owned();
            row.detail = Some(INTERRUPTED.to_owned());
        }
    }
    metrics::counter!("geopush_api_import_jobs_total", "status" => row.status.clone()).increment(1);
    say(&api, &mut row).await;
}

async fn say(api: &Api, row: &mut ImportJobRow) {
    row.updated_at = Timestamp(api.now().0);
    if let Err(error) = api.store().put(row.clone()).await {
        tracing::warn!(%error, job = %row.job, "a job's state could not be written");
    }
}
