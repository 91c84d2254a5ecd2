//! `/v1/campaigns`: when to push what to whom.

mod answer;
mod audience;
mod input;
mod message;
mod preview;
mod trigger;

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Query, Request, State};
use axum::http::header::LOCATION;
use axum::http::{HeaderMap, HeaderName, StatusCode};
use geopush_model::{Campaign, CampaignId, CampaignStatus, TenantId, UnixMillis};
use geopush_registry::{ChangeError, campaign_of, campaign_row};
use geopush_store::Store;
use geopush_store::tables::CampaignRow;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

pub(crate) use audience::{audience_schema, wrong_audience};
pub(crate) use input::read_app;
pub(crate) use message::{MessageAnswer, read_message};
pub(crate) use trigger::MOST_EVENT_NAME;

use crate::auth::Tenant;
use crate::error::ApiError;
use crate::etag::{IfMatch, etag};
use crate::idempotency::Creation;
use crate::listing::{Listed, PageQuery, list};
use crate::state::{Api, Shared};
use answer::CampaignAnswer;
use input::CampaignInput;

/// The routes.
pub(crate) fn routes() -> OpenApiRouter<Arc<Api>> {
    OpenApiRouter::new()
        .routes(routes!(list_campaigns, create))
        .routes(routes!(read, replace, delete))
        .routes(routes!(activate))
        .routes(routes!(pause))
        .merge(preview::routes())
}

/// How often a change that lost a race is tried again, where the caller named no version.
const MOST_TRIES: usize = 8;

type Tagged<T> = ([(HeaderName, String); 1], Json<T>);

fn tagged(campaign: Campaign) -> Tagged<CampaignAnswer> {
    (etag(campaign.version), Json(campaign.into()))
}

/// The campaigns of the tenant, by id.
#[utoipa::path(get, path = "/v1/campaigns", tag = "campaigns", params(PageQuery),
    responses((status = 200, description = "A page of campaigns", body = Listed<CampaignAnswer>)))]
async fn list_campaigns(
    State(api): Shared,
    Tenant(tenant): Tenant,
    Query(page): Query<PageQuery>,
) -> Result<Json<Listed<CampaignAnswer>>, ApiError> {
    let wanted = page.read()?;
    let keep = |row: CampaignRow| match row.deleted {
        true => Ok(None),
        false => campaign_of(row).map(|campaign| Some(campaign.into())),
    };
    Ok(Json(list(api.store(), vec![(0, vec![(tenant.0,)])], &wanted, [None, None], keep).await?))
}

/// Creates a campaign, as a draft.
#[utoipa::path(post, path = "/v1/campaigns", tag = "campaigns", request_body = CampaignAnswer,
    responses((status = 201, description = "The campaign", body = CampaignAnswer,
        headers(("ETag" = String, description = "Its version"), ("Location" = String, description = "Its path")))))]
async fn create(
    State(api): Shared,
    Tenant(tenant): Tenant,
    creation: Creation,
    request: Request,
) -> Result<(StatusCode, [(HeaderName, String); 1], Tagged<CampaignAnswer>), ApiError> {
    let input = CampaignInput::read(api.body(request).await?).map_err(ApiError::invalid)?;
    let id = CampaignId(creation.id("campaign", 0));
    let mut campaign = input.into_campaign(tenant, id, api.now());
    match api.deps.publisher.create(campaign_row(&campaign)).await {
        // An earlier try made it, and may have died before it was published.
        Err(ChangeError::Conflict) if creation.resumed => {
            campaign = current(api.store(), tenant, &id.to_string()).await?;
            api.deps.publisher.replace(campaign_row(&campaign), campaign.version).await?;
        }
        created => created?,
    }
    let location = [(LOCATION, format!("/v1/campaigns/{id}"))];
    Ok((StatusCode::CREATED, location, tagged(campaign)))
}

/// A campaign.
#[utoipa::path(get, path = "/v1/campaigns/{id}", tag = "campaigns",
    params(("id" = Uuid, Path, description = "The campaign's id")),
    responses((status = 200, description = "The campaign", body = CampaignAnswer,
        headers(("ETag" = String, description = "Its version")))))]
async fn read(
    State(api): Shared,
    Tenant(tenant): Tenant,
    Path(id): Path<String>,
) -> Result<Tagged<CampaignAnswer>, ApiError> {
    Ok(tagged(current(api.store(), tenant, &id).await?))
}

/// Replaces a campaign; its status stays.
#[utoipa::path(put, path = "/v1/campaigns/{id}", tag = "campaigns", request_body = CampaignAnswer,
    params(("id" = Uuid, Path, description = "The campaign's id"),
        ("If-Match" = String, Header, description = "The ETag of the version to replace, or `*`")),
    responses((status = 200, description = "The campaign", body = CampaignAnswer,
        headers(("ETag" = String, description = "Its version")))))]
async fn replace(
    State(api): Shared,
    Tenant(tenant): Tenant,
    Path(id): Path<String>,
    headers: HeaderMap,
    request: Request,
) -> Result<Tagged<CampaignAnswer>, ApiError> {
    let known = current(api.store(), tenant, &id).await?;
    let demand = IfMatch::required(&headers)?;
    let input = CampaignInput::read(api.body(request).await?).map_err(ApiError::invalid)?;
    let change = |known: &Campaign, now| {
        let fresh = input.clone().into_campaign(tenant, known.id, now);
        Campaign { status: known.status, created_at: known.created_at, ..fresh }
    };
    Ok(tagged(retried(&api, known, demand, change).await?))
}

/// Deletes a campaign: it pushes no more.
#[utoipa::path(delete, path = "/v1/campaigns/{id}", tag = "campaigns",
    params(("id" = Uuid, Path, description = "The campaign's id"),
        ("If-Match" = String, Header, description = "The ETag of the version to delete, or `*`")),
    responses((status = 204, description = "It is deleted")))]
async fn delete(
    State(api): Shared,
    Tenant(tenant): Tenant,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<StatusCode, ApiError> {
    let known = current(api.store(), tenant, &id).await?;
    let demand = IfMatch::required(&headers)?;
    retried(&api, known, demand, |known, _| Campaign { deleted: true, ..known.clone() }).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Lets a campaign push from now on. One that does already stays as it is.
#[utoipa::path(post, path = "/v1/campaigns/{id}/activate", tag = "campaigns",
    params(("id" = Uuid, Path, description = "The campaign's id"),
        ("If-Match" = Option<String>, Header, description = "The ETag of the version to change, or `*`")),
    responses((status = 200, description = "The campaign", body = CampaignAnswer,
        headers(("ETag" = String, description = "Its version")))))]
async fn activate(
    State(api): Shared,
    Tenant(tenant): Tenant,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Tagged<CampaignAnswer>, ApiError> {
    turn(&api, tenant, &id, &headers, CampaignStatus::Active).await
}

/// Stops a campaign from pushing until it is activated again. One that is paused stays as it is.
#[utoipa::path(post, path = "/v1/campaigns/{id}/pause", tag = "campaigns",
    params(("id" = Uuid, Path, description = "The campaign's id"),
        ("If-Match" = Option<String>, Header, description = "The ETag of the version to change, or `*`")),
    responses((status = 200, description = "The campaign", body = CampaignAnswer,
        headers(("ETag" = String, description = "Its version")))))]
async fn pause(
    State(api): Shared,
    Tenant(tenant): Tenant,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Tagged<CampaignAnswer>, ApiError> {
    turn(&api, tenant, &id, &headers, CampaignStatus::Paused).await
}

async fn turn(
    api: &Api,
    tenant: TenantId,
    id: &str,
    headers: &HeaderMap,
    status: CampaignStatus,
) -> Result<Tagged<CampaignAnswer>, ApiError> {
    let known = current(api.store(), tenant, id).await?;
    let demand = IfMatch::of(headers);
    let change = |known: &Campaign, _| Campaign { status, ..known.clone() };
    Ok(tagged(retried(api, known, demand, change).await?))
}

/// Makes a change of a campaign that was just read, as long as the demand holds and others are faster. What says the
/// same keeps its version, but is published again: it may be there because an earlier try died half way.
async fn retried(
    api: &Api,
    mut known: Campaign,
    demand: IfMatch,
    change: impl Fn(&Campaign, UnixMillis) -> Campaign,
) -> Result<Campaign, ApiError> {
    for _ in 0..MOST_TRIES {
        demand.check(Some(known.version))?;
        let now = api.now().max(known.updated_at);
        let changed =
            Campaign { version: known.version, updated_at: known.updated_at, ..change(&known, now) };
        let next = if changed == known {
            changed
        } else {
            Campaign { version: known.version + 1, updated_at: now, ..changed }
        };
        match api.deps.publisher.replace(campaign_row(&next), known.version).await {
            Err(ChangeError::Conflict) => {}
            written => {
                written?;
                return Ok(next);
            }
        }
        known = current(api.store(), known.tenant, &known.id.to_string()).await?;
    }
    Err(ApiError::contended())
}

/// The campaign that a path names.
async fn current(store: &Store, tenant: TenantId, id: &str) -> Result<Campaign, ApiError> {
    let row = match id.parse::<Uuid>() {
        Ok(id) => store.get::<CampaignRow>(&(tenant.0,), &(id,)).await?,
        Err(_) => None,
    };
    let row = row.filter(|row| !row.deleted).ok_or_else(|| ApiError::not_found("campaign"))?;
    Ok(campaign_of(row)?)
}
