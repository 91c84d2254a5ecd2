//! Transitions, by device and by zone.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Query, State};
use geopush_service::time::format_rfc3339_ms;
use geopush_store::Timestamp;
use geopush_store::tables::{SHARDS, TransitionByDeviceRow, TransitionByZoneRow, ZoneDayRow, day_of};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::auth::Tenant;
use crate::error::ApiError;
use crate::listing::{Group, Listed, PageQuery, RangeQuery, list};
use crate::months::{every, last_before, months_of};
use crate::presence::FixAnswer;
use crate::state::{Api, Shared};
use crate::{devices, zones};

/// The routes.
pub(crate) fn routes() -> OpenApiRouter<Arc<Api>> {
    OpenApiRouter::new().routes(routes!(of_zone)).routes(routes!(of_device))
}

/// A device crossed a zone's border, or stayed.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Transition)]
pub(crate) struct TransitionAnswer {
    id: Uuid,
    /// Counts the device's transitions, from 1 on; their order.
    seq: i64,
    device_id: String,
    zone_id: Uuid,
    #[schema(required)]
    zone_external_id: Option<String>,
    /// `enter`, `exit` or `dwell`.
    kind: String,
    /// When it happened (RFC 3339).
    #[schema(format = DateTime)]
    at: String,
    /// Of exits: `left`, `zone_removed`, `zone_changed`, `device_removed` or `expired`.
    #[schema(required)]
    reason: Option<String>,
    /// Whether it was at the first position ever seen of the device.
    initial: bool,
    /// Of exits and dwells: seconds since the enter.
    #[schema(required)]
    dwell_s: Option<i64>,
    /// The version of the zone that it was judged by.
    zone_version: i64,
    /// The position that showed it.
    fix: FixAnswer,
}

macro_rules! answer_of {
    ($row:ident) => {
        impl From<$row> for TransitionAnswer {
            fn from(row: $row) -> Self {
                Self {
                    id: row.id,
                    seq: row.seq,
                    device_id: row.device,
                    zone_id: row.zone,
                    zone_external_id: row.zone_external_id,
                    kind: row.kind,
                    at: format_rfc3339_ms(row.at.0),
                    reason: row.reason,
                    initial: row.initial,
                    dwell_s: row.dwell_s,
                    zone_version: row.zone_version,
                    fix: FixAnswer {
                        lat: row.fix_lat,
                        lon: row.fix_lon,
                        time: format_rfc3339_ms(row.fix_time.0),
                        accuracy_m: row.fix_accuracy_m,
                    },
                }
            }
        }
    };
}
answer_of!(TransitionByDeviceRow);
answer_of!(TransitionByZoneRow);

#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct ZoneQuery {
    /// The zone.
    #[param(value_type = Uuid)]
    zone_id: Option<String>,
}

/// A device's transitions in the order in which they happened; `from` and `to` are about `at`.
#[utoipa::path(get, path = "/v1/devices/{device_id}/transitions", tag = "transitions",
    operation_id = "list_transitions_of_device",
    params(("device_id" = String, Path, description = "The device's id, percent-encoded"), PageQuery, RangeQuery),
    responses((status = 200, description = "A page of transitions", body = Listed<TransitionAnswer>)))]
async fn of_device(
    State(api): Shared,
    Tenant(tenant): Tenant,
    Path(id): Path<String>,
    Query(page): Query<PageQuery>,
    Query(range): Query<RangeQuery>,
) -> Result<Json<Listed<TransitionAnswer>>, ApiError> {
    let (wanted, range) = (page.read()?, range.read()?);
    let device = devices::once_known(&api, tenant, &id).await?;
    let months = months_of(api.store(), tenant, &device, "transitions", range, wanted.direction).await?;
    let (from, to) = range;
    let keep = |row: TransitionByDeviceRow| {
        let within = from.is_none_or(|from| from <= row.at.0) && to.is_none_or(|to| row.at.0 < to);
        Ok(within.then(|| row.into()))
    };
    Ok(Json(list(api.store(), months, &wanted, [None, None], keep).await?))
}

/// A zone's transitions by time; `from` and `to` are about `at`.
#[utoipa::path(get, path = "/v1/transitions", tag = "transitions", operation_id = "list_transitions_of_zone",
    params(ZoneQuery, PageQuery, RangeQuery),
    responses((status = 200, description = "A page of transitions", body = Listed<TransitionAnswer>)))]
async fn of_zone(
    State(api): Shared,
    Tenant(tenant): Tenant,
    Query(query): Query<ZoneQuery>,
    Query(page): Query<PageQuery>,
    Query(range): Query<RangeQuery>,
) -> Result<Json<Listed<TransitionAnswer>>, ApiError> {
    let (wanted, (from, to)) = (page.read()?, range.read()?);
    let zone = query.zone_id.as_deref().filter(|id| !id.is_empty());
    let zone = zone.ok_or_else(|| ApiError::query("zone_id", "give the zone's id"))?;
    let zone = zone.parse().map_err(|_| ApiError::query("zone_id", "a zone's id is a UUID"))?;
    if zones::row(api.store(), tenant, zone).await?.is_none() {
        return Err(ApiError::not_found("zone"));
    }
    let days: Vec<ZoneDayRow> = every(api.store(), &(tenant.0, zone.0), wanted.direction).await?;
    let [first, last] = [from.map(day_of), to.map(|to| day_of(last_before(to)))];
    let within = |day: &i32| first.is_none_or(|first| first <= *day) && last.is_none_or(|last| *day <= last);
    let shards = |day| (0..SHARDS).map(|shard| (tenant.0, zone.0, day, shard)).collect();
    let groups: Vec<Group<_>> =
        days.into_iter().map(|row| row.day).filter(within).map(|day| (i64::from(day), shards(day))).collect();
    let bound = |ms: Option<i64>| ms.map(|ms| (Timestamp(ms), Uuid::nil()));
    let keep = |row: TransitionByZoneRow| Ok(Some(row.into()));
    Ok(Json(list(api.store(), groups, &wanted, [bound(from), bound(to)], keep).await?))
}
