//! `/v1/campaigns`: on which transitions to push what to whom.

mod input;

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Query, Request, State};
use axum::http::header::LOCATION;
use axum::http::{HeaderMap, HeaderName, StatusCode};
use geopush_model::{Campaign, CampaignId, CampaignStatus, Message, TenantId, Trigger, UnixMillis};
use geopush_registry::{ChangeError, campaign_of, campaign_row};
use geopush_service::time::format_rfc3339_ms;
use geopush_store::Store;
use geopush_store::tables::CampaignRow;
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

pub(crate) use input::{read_app, read_message};

use crate::auth::Tenant;
use crate::error::ApiError;
use crate::etag::{IfMatch, etag};
use crate::idempotency::Creation;
use crate::listing::{Listed, PageQuery, list};
use crate::state::{Api, Shared};
use input::CampaignInput;

/// The routes.
pub(crate) fn routes() -> OpenApiRouter<Arc<Api>> {
    OpenApiRouter::new()
        .routes(routes!(list_campaigns, create))
        .routes(routes!(read, replace, delete))
        .routes(routes!(activate))
        .routes(routes!(pause))
}

/// How often a change that lost a race is tried again, where the caller named no version.
const MOST_TRIES: usize = 8;

/// A campaign. What is read only may be sent back in a request and is ignored there.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Campaign, example = example)]
pub(crate) struct CampaignAnswer {
    #[schema(read_only)]
    id: Uuid,
    /// For people.
    #[schema(min_length = 1, max_length = 256)]
    name: String,
    /// The app that its pushes go to.
    #[schema(min_length = 1, max_length = 64)]
    app: String,
    /// `draft`, `active` or `paused`; changed by `activate` and `pause`.
    #[schema(read_only)]
    status: &'static str,
    #[schema(value_type = TriggerAnswer)]
    trigger: Trigger,
    /// The least time between two pushes to one device, in seconds.
    #[schema(minimum = 0, maximum = 31_536_000, required = false)]
    cooldown_s: i64,
    /// To whom; `null` or left out: everyone.
    #[schema(schema_with = audience_schema, required = false)]
    audience: Option<Value>,
    message: MessageAnswer,
    /// Counts its changes; its ETag.
    #[schema(read_only)]
    version: i64,
    /// When it was made (RFC 3339).
    #[schema(read_only, format = DateTime)]
    created_at: String,
    /// When it was changed last (RFC 3339).
    #[schema(read_only, format = DateTime)]
    updated_at: String,
}

/// What makes a campaign push. With neither `zone_ids` nor `zone_tags`: every zone.
#[derive(ToSchema)]
#[schema(as = Trigger)]
#[allow(dead_code, reason = "it describes what the model's type says in JSON")]
pub(crate) struct TriggerAnswer {
    /// `zone`
    #[schema(schema_with = trigger_type_schema)]
    r#type: &'static str,
    /// What a device does there.
    #[schema(schema_with = trigger_on_schema)]
    on: &'static str,
    /// These zones.
    #[schema(max_items = 1000, required = false)]
    zone_ids: Vec<Uuid>,
    /// And those with any of these tags.
    #[schema(max_items = 50, required = false)]
    zone_tags: Vec<String>,
    /// Older transitions are not pushed about, in seconds; left out: 900; `null`: however old.
    #[schema(minimum = 0, maximum = 31_536_000, required = false)]
    max_age_s: Option<i64>,
    /// Whether the enters at a device's first position count; left out: they do not.
    #[schema(required = false)]
    on_initial: bool,
}

/// What a phone shows: a title, a body or both.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Message)]
pub(crate) struct MessageAnswer {
    #[schema(required = false)]
    title: String,
    #[schema(required = false)]
    body: String,
    /// For the app: strings by name.
    #[schema(required = false)]
    data: std::collections::BTreeMap<String, String>,
}

fn trigger_type_schema() -> utoipa::openapi::schema::Schema {
    schema(json!({"type": "string", "enum": ["zone"]}))
}

fn trigger_on_schema() -> utoipa::openapi::schema::Schema {
    schema(json!({"type": "string", "enum": ["enter", "exit", "dwell"]}))
}

fn audience_schema() -> utoipa::openapi::schema::Schema {
    schema(json!({
        "type": ["object", "null"],
        "description": "A condition: {\"all\":[…]}, {\"any\":[…]}, {\"not\":…}, \
            {\"attr\":\"plan\",\"op\":\"eq|ne|gt|lt|in|exists\",\"value\":…}, {\"tag\":\"vip\"}, \
            {\"platform\":\"ios\"} or {\"visited\":{\"zone_id\":\"…\",\"within_s\":86400}}.",
        "minProperties": 1,
        "maxProperties": 3
    }))
}

fn schema(json: Value) -> utoipa::openapi::schema::Schema {
    serde_json::from_value(json).expect("this is a schema")
}

fn example() -> Value {
    json!({
        "name": "Welcome",
        "app": "shop",
        "trigger": {"type": "zone", "on": "enter", "zone_tags": ["shops"]},
        "cooldown_s": 86_400,
        "audience": {"all": [{"tag": "vip"}, {"attr": "plan", "op": "eq", "value": "gold"}]},
        "message": {"title": "Hello", "body": "Good to see you again", "data": {"screen": "offers"}}
    })
}

impl From<Message> for MessageAnswer {
    fn from(Message { title, body, data, .. }: Message) -> Self {
        Self { title, body, data }
    }
}

impl From<Campaign> for CampaignAnswer {
    fn from(campaign: Campaign) -> Self {
        Self {
            id: campaign.id.0,
            name: campaign.name,
            app: campaign.app,
            status: campaign.status.as_str(),
            trigger: campaign.trigger,
            cooldown_s: campaign.cooldown_s,
            audience: campaign.audience,
            message: campaign.message.into(),
            version: campaign.version,
            created_at: format_rfc3339_ms(campaign.created_at.0),
            updated_at: format_rfc3339_ms(campaign.updated_at.0),
        }
    }
}

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
