//! `/v1/settings`: what a tenant chooses for itself.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName};
use geopush_model::{TenantId, TenantSettings, UnixMillis};
use geopush_registry::{ChangeError, settings_of, with_settings};
use geopush_service::http::Invalid;
use geopush_service::time::format_rfc3339_ms;
use geopush_store::StoreError;
use geopush_store::tables::TenantRow;
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::auth::Tenant;
use crate::error::ApiError;
use crate::etag::{IfMatch, etag};
use crate::json::Members;
use crate::state::{Api, Shared};

/// The routes.
pub(crate) fn routes() -> OpenApiRouter<Arc<Api>> {
    OpenApiRouter::new().routes(routes!(read, replace))
}

/// The longest name of a tenant, in bytes.
const MOST_NAME: usize = 256;
/// Members of an answer that a request may send back.
const READ_ONLY: [&str; 3] = ["version", "created_at", "updated_at"];
/// How often a change that lost a race is tried again, where the caller named no version.
const MOST_TRIES: usize = 8;

/// A tenant's settings.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Settings, example = example)]
pub(crate) struct SettingsAnswer {
    /// The tenant's name, for people: 1 to 256 bytes. Left out: it stays.
    #[schema(required = false, max_length = 256)]
    name: String,
    /// Whether a zone that a device passes on the straight line between two fixes, at most 120 s and 70 m/s apart,
    /// gives an enter and an exit at interpolated times. At first it does not.
    detect_crossings: bool,
    /// Counts their changes; their ETag.
    #[schema(read_only)]
    version: i64,
    /// When the tenant was made (RFC 3339).
    #[schema(read_only, format = DateTime)]
    created_at: String,
    /// When they were changed last (RFC 3339).
    #[schema(read_only, format = DateTime)]
    updated_at: String,
}

fn example() -> Value {
    json!({"name": "Shop", "detect_crossings": true})
}

type Tagged = ([(HeaderName, String); 1], Json<SettingsAnswer>);

fn tagged(row: TenantRow) -> Tagged {
    let answer = SettingsAnswer {
        name: row.name,
        detect_crossings: row.detect_crossings.unwrap_or_default(),
        version: row.version,
        created_at: format_rfc3339_ms(row.created_at.0),
        updated_at: format_rfc3339_ms(row.updated_at.0),
    };
    (etag(row.version), Json(answer))
}

/// What a merchant may say of the settings.
struct SettingsInput {
    name: Option<String>,
    detect_crossings: bool,
}

impl SettingsInput {
    fn read(body: Value) -> Result<Self, Vec<Invalid>> {
        let mut members = Members::of(body, "")?;
        let name = members.text("name", MOST_NAME);
        let detect_crossings = members.require("detect_crossings", Members::flag);
        members.finish(&READ_ONLY)?;
        let detect_crossings = detect_crossings.unwrap_or_else(|| {
            unreachable!("a member that is required and missing was noted, and finish refuses then")
        });
        Ok(Self { name, detect_crossings })
    }

    /// The row that comes after `row`.
    fn over(&self, row: &TenantRow, now: UnixMillis) -> Result<TenantRow, StoreError> {
        let before = settings_of(row)?;
        let settings = TenantSettings {
            name: self.name.clone().unwrap_or_else(|| before.name.clone()),
            detect_crossings: self.detect_crossings,
            ..before
        };
        Ok(with_settings(row, &settings, now))
    }
}

/// The settings.
#[utoipa::path(get, path = "/v1/settings", tag = "settings", operation_id = "read_settings",
    responses((status = 200, description = "The settings", body = SettingsAnswer,
        headers(("ETag" = String, description = "Their version")))))]
async fn read(State(api): Shared, Tenant(tenant): Tenant) -> Result<Tagged, ApiError> {
    Ok(tagged(row_of(&api, tenant).await?))
}

/// Replaces the settings.
#[utoipa::path(put, path = "/v1/settings", tag = "settings", operation_id = "replace_settings",
    request_body = SettingsAnswer,
    params(("If-Match" = Option<String>, Header, description = "The ETag of the version to replace, or `*`")),
    responses((status = 200, description = "The settings, replaced", body = SettingsAnswer,
        headers(("ETag" = String, description = "Their version")))))]
async fn replace(
    State(api): Shared,
    Tenant(tenant): Tenant,
    headers: HeaderMap,
    request: Request,
) -> Result<Tagged, ApiError> {
    let demand = IfMatch::of(&headers);
    let input = SettingsInput::read(api.body(request).await?).map_err(ApiError::invalid)?;
    for _ in 0..MOST_TRIES {
        let row = row_of(&api, tenant).await?;
        demand.check(Some(row.version))?;
        let next = input.over(&row, api.now())?;
        match api.deps.publisher.replace(next.clone(), row.version).await {
            Err(ChangeError::Conflict) => {}
            written => {
                written?;
                return Ok(tagged(next));
            }
        }
    }
    Err(ApiError::contended())
}

async fn row_of(api: &Api, tenant: TenantId) -> Result<TenantRow, ApiError> {
    let row = api.store().get::<TenantRow>(&(tenant.0,), &()).await?;
    row.ok_or_else(|| ApiError::not_found("tenant"))
}
