//! `/v1/dead-letters`: pushes that failed though their tokens are good, to be looked at and sent anew.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Extension, Path, Query, State};
use axum::http::header::LOCATION;
use axum::http::{HeaderName, StatusCode};
use geopush_campaign::verbatim;
use geopush_log::TraceId;
use geopush_model::{DeviceId, Message, SendId, TenantId};
use geopush_registry::message_of;
use geopush_service::time::format_rfc3339_ms;
use geopush_store::tables::{DeadLetterHourRow, DeadLetterRow, PushRow, SHARDS, hour_of, id_shard};
use geopush_store::{Store, StoreError, Table};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::auth::Tenant;
use crate::campaigns::MessageAnswer;
use crate::deliveries::bound;
use crate::error::ApiError;
use crate::idempotency::Creation;
use crate::listing::{Group, Listed, PageQuery, RangeQuery, list};
use crate::months::{every, last_before};
use crate::sends::{SENDS, SendTaken, take_one};
use crate::state::{Api, Shared};

/// The routes.
pub(crate) fn routes() -> OpenApiRouter<Arc<Api>> {
    OpenApiRouter::new().routes(routes!(list_dead_letters)).routes(routes!(read)).routes(routes!(replay))
}

/// A push that failed for its message, its app's credentials or its provider, not for its token.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = DeadLetter)]
struct DeadLetterAnswer {
    push_id: Uuid,
    device_id: String,
    /// The campaign that it came from, if one did.
    #[schema(required)]
    campaign_id: Option<Uuid>,
    /// The send that it came from, if one did.
    #[schema(required)]
    send_id: Option<Uuid>,
    /// Which of the campaign's variants it was, if it has any.
    #[schema(required)]
    variant: Option<String>,
    app: String,
    /// `fcm` or `apns`.
    #[schema(required)]
    provider: Option<String>,
    /// `bad_message`, `too_large`, `bad_credentials` or `provider_error`.
    reason: String,
    /// How often it was sent.
    attempts: i32,
    /// When it was decided on (RFC 3339).
    #[schema(format = DateTime)]
    created_at: String,
    /// When it failed (RFC 3339).
    #[schema(format = DateTime)]
    finished_at: String,
    /// What it says: nothing in it is a template any more.
    #[schema(value_type = MessageAnswer)]
    message: Message,
}

impl DeadLetterAnswer {
    fn of(row: DeadLetterRow) -> Result<Self, StoreError> {
        let message = message(&row)?;
        Ok(Self {
            push_id: row.push,
            device_id: row.device,
            campaign_id: row.campaign,
            send_id: row.send,
            variant: row.variant,
            app: row.app,
            provider: row.provider,
            reason: row.reason,
            attempts: row.attempts,
            created_at: format_rfc3339_ms(row.created_at.0),
            finished_at: format_rfc3339_ms(row.finished_at.0),
            message,
        })
    }
}

fn message(row: &DeadLetterRow) -> Result<Message, StoreError> {
    let corrupt = StoreError::Corrupt { table: DeadLetterRow::SCHEMA.name, column: "message" };
    message_of(&row.message).ok_or(corrupt)
}

/// The dead letters of the last 30 days by time; `from` and `to` are about `created_at`.
#[utoipa::path(get, path = "/v1/dead-letters", tag = "dead-letters", operation_id = "list_dead_letters",
    params(PageQuery, RangeQuery),
    responses((status = 200, description = "A page of dead letters", body = Listed<DeadLetterAnswer>)))]
async fn list_dead_letters(
    State(api): Shared,
    Tenant(tenant): Tenant,
    Query(page): Query<PageQuery>,
    Query(range): Query<RangeQuery>,
) -> Result<Json<Listed<DeadLetterAnswer>>, ApiError> {
    let (wanted, (from, to)) = (page.read()?, range.read()?);
    let hours: Vec<DeadLetterHourRow> = every(api.store(), &(tenant.0,), wanted.direction).await?;
    let [first, last] = [from.map(hour_of), to.map(|to| hour_of(last_before(to)))];
    let within =
        |hour: &i64| first.is_none_or(|first| first <= *hour) && last.is_none_or(|last| *hour <= last);
    let shards = |hour| (0..SHARDS).map(|shard| (tenant.0, hour, shard)).collect();
    let groups: Vec<Group<_>> =
        hours.into_iter().map(|row| row.hour).filter(within).map(|hour| (hour, shards(hour))).collect();
    let keep = |row: DeadLetterRow| DeadLetterAnswer::of(row).map(Some);
    Ok(Json(list(api.store(), groups, &wanted, [bound(from), bound(to)], keep).await?))
}

/// A dead letter.
#[utoipa::path(get, path = "/v1/dead-letters/{push_id}", tag = "dead-letters", operation_id = "read_dead_letter",
    params(("push_id" = Uuid, Path, description = "The push's id")),
    responses((status = 200, description = "The dead letter", body = DeadLetterAnswer)))]
async fn read(
    State(api): Shared,
    Tenant(tenant): Tenant,
    Path(push): Path<String>,
) -> Result<Json<DeadLetterAnswer>, ApiError> {
    Ok(Json(DeadLetterAnswer::of(find(api.store(), tenant, &push).await?)?))
}

/// Sends a dead letter's message to its device once more, as a send of its own: with the credentials and the token of
/// now, and subject to all that a send is subject to. Mend what it failed for first.
#[utoipa::path(post, path = "/v1/dead-letters/{push_id}/replay", tag = "dead-letters",
    operation_id = "replay_dead_letter",
    params(("push_id" = Uuid, Path, description = "The push's id")),
    responses((status = 202, description = "It is on its way", body = SendTaken,
        headers(("Location" = String, description = "The send's path")))))]
async fn replay(
    State(api): Shared,
    Tenant(tenant): Tenant,
    Extension(trace): Extension<TraceId>,
    Path(push): Path<String>,
    creation: Creation,
) -> Result<(StatusCode, [(HeaderName, String); 1], Json<SendTaken>), ApiError> {
    let row = find(api.store(), tenant, &push).await?;
    let message = verbatim(&message(&row)?);
    let corrupt = StoreError::Corrupt { table: DeadLetterRow::SCHEMA.name, column: "device" };
    let device = DeviceId::new(&row.device).map_err(|_| corrupt)?;
    let send = SendId(creation.id("send", 0));
    take_one(&api, tenant, send, (row.app, device), message, trace).await?;
    metrics::counter!("geopush_api_dead_letters_replayed_total").increment(1);
    let location = [(LOCATION, format!("{SENDS}/{send}"))];
    Ok((StatusCode::ACCEPTED, location, Json(SendTaken { id: send.0 })))
}

async fn find(store: &Store, tenant: TenantId, push: &str) -> Result<DeadLetterRow, ApiError> {
    let not_found = || ApiError::not_found("dead letter");
    let push: Uuid = push.parse().map_err(|_| not_found())?;
    let at = store.get::<PushRow>(&(tenant.0, push), &()).await?.ok_or_else(not_found)?.created_at;
    let partition = (tenant.0, hour_of(at.0), id_shard(push));
    store.get::<DeadLetterRow>(&partition, &(at, push)).await?.ok_or_else(not_found)
}
