//! What became of pushes, by device and by the campaign or send that they came from.

mod filter;
mod receipts;

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Query, State};
use geopush_service::time::format_rfc3339_ms;
use geopush_store::tables::{
    CampaignRow, DeliveryByDeviceRow, DeliveryBySourceRow, SHARDS, SendRow, SourceHourRow, hour_of,
};
use geopush_store::{Table, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::auth::Tenant;
use crate::devices;
use crate::error::ApiError;
use crate::listing::{Group, Listed, PageQuery, RangeQuery, Wanted, list, list_matching};
use crate::months::{Range, every, last_before, months_of};
use crate::state::{Api, Shared};
use filter::{Filter, FilterQuery, outcome_schema, reason_or_none_schema};
use receipts::ReceiptsAnswer;

/// The routes.
pub(crate) fn routes() -> OpenApiRouter<Arc<Api>> {
    OpenApiRouter::new().routes(routes!(of_source)).routes(routes!(of_device))
}

/// A finished push, or the decision not to push.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Delivery)]
pub(crate) struct DeliveryAnswer {
    /// The phone finds it as `data.geopush_push_id`.
    push_id: Uuid,
    /// The campaign that it came from, if one did.
    #[schema(required)]
    campaign_id: Option<Uuid>,
    /// The send that it came from, if one did.
    #[schema(required)]
    send_id: Option<Uuid>,
    device_id: String,
    /// The transition or send that caused it.
    cause_id: Uuid,
    /// `fcm` or `apns`; `null` if it never came to that.
    #[schema(required)]
    provider: Option<String>,
    #[schema(schema_with = outcome_schema)]
    outcome: String,
    #[schema(schema_with = reason_or_none_schema, required)]
    reason: Option<String>,
    /// How often it was sent.
    attempts: i32,
    /// When it was decided on (RFC 3339).
    #[schema(format = DateTime)]
    created_at: String,
    /// When it ended (RFC 3339).
    #[schema(format = DateTime)]
    finished_at: String,
    /// The provider's name for it.
    #[schema(required)]
    provider_message_id: Option<String>,
    /// Which of the campaign's variants it was, if it has any.
    #[schema(required)]
    variant: Option<String>,
    receipts: ReceiptsAnswer,
}

macro_rules! answer_of {
    ($row:ident) => {
        impl From<$row> for DeliveryAnswer {
            fn from(row: $row) -> Self {
                Self {
                    push_id: row.push,
                    campaign_id: row.campaign,
                    send_id: row.send,
                    device_id: row.device,
                    cause_id: row.cause,
                    provider: row.provider,
                    outcome: row.outcome,
                    reason: row.reason,
                    attempts: row.attempts,
                    created_at: format_rfc3339_ms(row.created_at.0),
                    finished_at: format_rfc3339_ms(row.finished_at.0),
                    provider_message_id: row.provider_message_id,
                    variant: row.variant,
                    receipts: ReceiptsAnswer::default(),
                }
            }
        }
    };
}
answer_of!(DeliveryByDeviceRow);
answer_of!(DeliveryBySourceRow);

#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct SourceQuery {
    /// The campaign; either this or `send_id`.
    #[param(value_type = Option<Uuid>)]
    campaign_id: Option<String>,
    /// The send; either this or `campaign_id`.
    #[param(value_type = Option<Uuid>)]
    send_id: Option<String>,
}

enum Source {
    Campaign(Uuid),
    Send(Uuid),
}

impl SourceQuery {
    fn read(&self) -> Result<Source, ApiError> {
        let id = |name: &str, text: &str| {
            text.parse::<Uuid>().map_err(|_| ApiError::query(name, "an id is a UUID"))
        };
        match (self.campaign_id.as_deref(), self.send_id.as_deref()) {
            (Some(campaign), None) => Ok(Source::Campaign(id("campaign_id", campaign)?)),
            (None, Some(send)) => Ok(Source::Send(id("send_id", send)?)),
            _ => Err(ApiError::query("campaign_id", "give either campaign_id or send_id")),
        }
    }
}

/// A device's deliveries by time; `from` and `to` are about `created_at`.
#[utoipa::path(get, path = "/v1/devices/{device_id}/deliveries", tag = "deliveries",
    operation_id = "list_deliveries_of_device",
    params(("device_id" = String, Path, description = "The device's id, percent-encoded"), PageQuery, RangeQuery,
        FilterQuery),
    responses((status = 200, description = "A page of deliveries", body = Listed<DeliveryAnswer>)))]
async fn of_device(
    State(api): Shared,
    Tenant(tenant): Tenant,
    Path(id): Path<String>,
    Query(page): Query<PageQuery>,
    Query(range): Query<RangeQuery>,
    Query(filter): Query<FilterQuery>,
) -> Result<Json<Listed<DeliveryAnswer>>, ApiError> {
    let (wanted, range, filter) = (page.read()?, range.read()?, filter.read()?);
    let device = devices::once_known(&api, tenant, &id).await?;
    let months = months_of(api.store(), tenant, &device, "deliveries", range, wanted.direction).await?;
    let month = |row: &DeliveryByDeviceRow| i64::from(row.month);
    Ok(Json(page_of(&api, tenant.0, months, &wanted, range, filter, month).await?))
}

/// The deliveries of a campaign or a send by time; `from` and `to` are about `created_at`.
#[utoipa::path(get, path = "/v1/deliveries", tag = "deliveries", operation_id = "list_deliveries_of_source",
    params(SourceQuery, PageQuery, RangeQuery, FilterQuery),
    responses((status = 200, description = "A page of deliveries", body = Listed<DeliveryAnswer>)))]
async fn of_source(
    State(api): Shared,
    Tenant(tenant): Tenant,
    Query(query): Query<SourceQuery>,
    Query(page): Query<PageQuery>,
    Query(range): Query<RangeQuery>,
    Query(filter): Query<FilterQuery>,
) -> Result<Json<Listed<DeliveryAnswer>>, ApiError> {
    let (wanted, (from, to), filter) = (page.read()?, range.read()?, filter.read()?);
    let (source, known) = match query.read()? {
        Source::Campaign(id) => (id, api.store().get::<CampaignRow>(&(tenant.0,), &(id,)).await?.is_some()),
        Source::Send(id) => (id, api.store().get::<SendRow>(&(tenant.0,), &(id,)).await?.is_some()),
    };
    if !known {
        return Err(ApiError::not_found("campaign or send"));
    }
    let hours: Vec<SourceHourRow> = every(api.store(), &(tenant.0, source), wanted.direction).await?;
    let [first, last] = [from.map(hour_of), to.map(|to| hour_of(last_before(to)))];
    let within =
        |hour: &i64| first.is_none_or(|first| first <= *hour) && last.is_none_or(|last| *hour <= last);
    let shards = |hour| (0..SHARDS).map(|shard| (tenant.0, source, hour, shard)).collect();
    let groups: Vec<Group<_>> =
        hours.into_iter().map(|row| row.hour).filter(within).map(|hour| (hour, shards(hour))).collect();
    let hour = |row: &DeliveryBySourceRow| row.hour;
    Ok(Json(page_of(&api, tenant.0, groups, &wanted, (from, to), filter, hour).await?))
}

/// A page of either table, with its receipts.
async fn page_of<T>(
    api: &Api,
    tenant: Uuid,
    groups: Vec<Group<T::Partition>>,
    wanted: &Wanted,
    (from, to): Range,
    filter: Option<Filter>,
    group_of: impl Fn(&T) -> i64,
) -> Result<Listed<DeliveryAnswer>, ApiError>
where
    T: Table<Clustering = (Timestamp, Uuid)> + Into<DeliveryAnswer>,
{
    let range = [bound(from), bound(to)];
    let mut page = match filter {
        None => list(api.store(), groups, wanted, range, |row: T| Ok(Some(row.into()))).await?,
        Some(filter) => {
            let keep = |row: T| Some(row.into()).filter(|delivery| filter.keeps(delivery));
            list_matching(api.store(), groups, wanted, range, group_of, keep).await?
        }
    };
    receipts::join(api.store(), tenant, &mut page.data).await?;
    Ok(page)
}

/// The bound of a page at this time.
pub(crate) fn bound(ms: Option<i64>) -> Option<(Timestamp, Uuid)> {
    ms.map(|ms| (Timestamp(ms), Uuid::nil()))
}
