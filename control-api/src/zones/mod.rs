//! `/v1/zones`: what merchants draw on the map.

mod answer;
mod export;
mod feature;
mod import;
mod input;
mod jobs;
mod write;

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Query, Request, State};
use axum::http::header::LOCATION;
use axum::http::{HeaderMap, HeaderName, StatusCode};
use geopush_model::{TenantId, ZoneId};
use geopush_store::tables::{ZONE_BUCKETS, ZoneRow, zone_bucket};
use geopush_store::{Direction, Store, StoreError};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

pub(crate) use import::{IMPORT, Imports};

use crate::auth::Tenant;
use crate::error::ApiError;
use crate::etag::{IfMatch, etag};
use crate::idempotency::Creation;
use crate::listing::{Group, Listed, PageQuery, list};
use crate::state::{Api, Shared};
use answer::ZoneAnswer;
use input::ZoneInput;

/// The routes.
pub(crate) fn routes() -> OpenApiRouter<Arc<Api>> {
    OpenApiRouter::new()
        .routes(routes!(list_zones, create))
        .routes(routes!(read, replace, delete))
        .routes(routes!(upsert))
        .routes(routes!(import::import))
        .routes(routes!(export::export))
        .routes(routes!(jobs::read))
}

type Tagged<T> = ([(HeaderName, String); 1], Json<T>);

/// The zones of the tenant, by id.
#[utoipa::path(get, path = "/v1/zones", tag = "zones", params(PageQuery),
    responses((status = 200, description = "A page of zones", body = Listed<ZoneAnswer>)))]
async fn list_zones(
    State(api): Shared,
    Tenant(tenant): Tenant,
    Query(page): Query<PageQuery>,
) -> Result<Json<Listed<ZoneAnswer>>, ApiError> {
    let wanted = page.read()?;
    let groups = buckets(tenant, wanted.direction);
    let keep = |row: ZoneRow| if row.deleted { Ok(None) } else { ZoneAnswer::of_row(row).map(Some) };
    Ok(Json(list(api.store(), groups, &wanted, [None, None], keep).await?))
}

/// Creates a zone. With an `external_id` there must be no zone of that name yet.
#[utoipa::path(post, path = "/v1/zones", tag = "zones", request_body = ZoneAnswer,
    responses((status = 201, description = "The zone", body = ZoneAnswer,
        headers(("ETag" = String, description = "Its version"), ("Location" = String, description = "Its path")))))]
async fn create(
    State(api): Shared,
    Tenant(tenant): Tenant,
    creation: Creation,
    request: Request,
) -> Result<(StatusCode, [(HeaderName, String); 1], Tagged<ZoneAnswer>), ApiError> {
    let input = ZoneInput::read(api.body(request).await?).map_err(ApiError::invalid)?;
    let row = write::create(&api, tenant, input, creation).await?;
    let location = [(LOCATION, format!("/v1/zones/{}", row.zone))];
    Ok((StatusCode::CREATED, location, tagged(row)?))
}

/// A zone.
#[utoipa::path(get, path = "/v1/zones/{id}", tag = "zones", params(("id" = Uuid, Path, description = "The zone's id")),
    responses((status = 200, description = "The zone", body = ZoneAnswer,
        headers(("ETag" = String, description = "Its version")))))]
async fn read(
    State(api): Shared,
    Tenant(tenant): Tenant,
    Path(id): Path<String>,
) -> Result<Tagged<ZoneAnswer>, ApiError> {
    tagged(current(api.store(), tenant, &id).await?)
}

/// Replaces a zone. Its `external_id` can't be changed, and stays if it is left out.
#[utoipa::path(put, path = "/v1/zones/{id}", tag = "zones", request_body = ZoneAnswer,
    params(("id" = Uuid, Path, description = "The zone's id"),
        ("If-Match" = String, Header, description = "The ETag of the version to replace, or `*`")),
    responses((status = 200, description = "The zone", body = ZoneAnswer,
        headers(("ETag" = String, description = "Its version")))))]
async fn replace(
    State(api): Shared,
    Tenant(tenant): Tenant,
    Path(id): Path<String>,
    headers: HeaderMap,
    request: Request,
) -> Result<Tagged<ZoneAnswer>, ApiError> {
    let current = current(api.store(), tenant, &id).await?;
    let demand = IfMatch::required(&headers)?;
    let input = ZoneInput::read(api.body(request).await?).map_err(ApiError::invalid)?;
    tagged(write::replace(&api, current, demand, input).await?)
}

/// Deletes a zone: every device inside leaves it, with the reason `zone_removed`.
#[utoipa::path(delete, path = "/v1/zones/{id}", tag = "zones",
    params(("id" = Uuid, Path, description = "The zone's id"),
        ("If-Match" = String, Header, description = "The ETag of the version to delete, or `*`")),
    responses((status = 204, description = "It is deleted")))]
async fn delete(
    State(api): Shared,
    Tenant(tenant): Tenant,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<StatusCode, ApiError> {
    let current = current(api.store(), tenant, &id).await?;
    let demand = IfMatch::required(&headers)?;
    write::delete(&api, current, demand).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Creates or replaces the zone of this external id.
#[utoipa::path(put, path = "/v1/zones/external/{external_id}", tag = "zones", request_body = ZoneAnswer,
    params(("external_id" = String, Path, description = "The merchant's own name of the zone, percent-encoded"),
        ("If-Match" = Option<String>, Header, description = "The ETag of the version to replace, or `*`")),
    responses(
        (status = 200, description = "The zone, replaced", body = ZoneAnswer,
            headers(("ETag" = String, description = "Its version"))),
        (status = 201, description = "The zone, created", body = ZoneAnswer,
            headers(("ETag" = String, description = "Its version"), ("Location" = String, description = "Its path")))))]
async fn upsert(
    State(api): Shared,
    Tenant(tenant): Tenant,
    Path(external_id): Path<String>,
    headers: HeaderMap,
    request: Request,
) -> Result<(StatusCode, [(HeaderName, String); 1], Tagged<ZoneAnswer>), ApiError> {
    input::check_external_id(&external_id)?;
    let demand = IfMatch::of(&headers);
    let input = ZoneInput::read(api.body(request).await?).map_err(ApiError::invalid)?;
    let (row, made) = write::upsert(&api, tenant, &external_id, demand, input).await?;
    let status = if made { StatusCode::CREATED } else { StatusCode::OK };
    let location = [(LOCATION, format!("/v1/zones/{}", row.zone))];
    Ok((status, location, tagged(row)?))
}

fn tagged(row: ZoneRow) -> Result<Tagged<ZoneAnswer>, ApiError> {
    let tag = etag(row.version);
    Ok((tag, Json(ZoneAnswer::of_row(row)?)))
}

/// The zone that a path names.
async fn current(store: &Store, tenant: TenantId, id: &str) -> Result<ZoneRow, ApiError> {
    let row = match id.parse() {
        Ok(id) => row(store, tenant, id).await?,
        Err(_) => None,
    };
    row.filter(|row| !row.deleted).ok_or_else(|| ApiError::not_found("zone"))
}

/// The row of a zone, which may be its deletion.
pub(crate) async fn row(
    store: &Store,
    tenant: TenantId,
    ZoneId(id): ZoneId,
) -> Result<Option<ZoneRow>, StoreError> {
    store.get(&(tenant.0, zone_bucket(id)), &(id,)).await
}

/// All partitions of a tenant's zones, by id.
fn buckets(tenant: TenantId, direction: Direction) -> Vec<Group<(Uuid, i32)>> {
    let mut groups: Vec<_> =
        (0..ZONE_BUCKETS).map(|bucket| (i64::from(bucket), vec![(tenant.0, bucket)])).collect();
    if direction == Direction::Descending {
        groups.reverse();
    }
    groups
}
