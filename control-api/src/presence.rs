//! `GET /v1/devices/{device_id}/presence`: where a device is now, as far as is known.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use geopush_service::time::format_rfc3339_ms;
use geopush_store::tables::{DevicePositionRow, PresenceByDeviceRow};
use geopush_store::{Direction, Page};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::auth::Tenant;
use crate::devices;
use crate::error::ApiError;
use crate::state::{Api, Shared};

/// The routes.
pub(crate) fn routes() -> OpenApiRouter<Arc<Api>> {
    OpenApiRouter::new().routes(routes!(presence))
}

/// Where a device is.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Presence {
    /// The zones that it is in.
    data: Vec<PresentZone>,
    /// Its last position, which may be a few minutes old; `null` if there is none yet.
    #[schema(required)]
    last_fix: Option<FixAnswer>,
}

/// A zone that a device is in.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PresentZone {
    zone_id: Uuid,
    #[schema(required)]
    zone_external_id: Option<String>,
    /// When it came in (RFC 3339).
    #[schema(format = DateTime)]
    since: String,
}

/// A position with its time.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Fix)]
pub(crate) struct FixAnswer {
    /// Degrees north.
    pub lat: f64,
    /// Degrees east.
    pub lon: f64,
    /// When it was measured (RFC 3339).
    #[schema(format = DateTime)]
    pub time: String,
    /// The radius that the true position is probably in, in metres.
    #[schema(required)]
    pub accuracy_m: Option<f64>,
}

const PAGE: usize = 1_000;

/// The zones that a device is in now, and its last position.
#[utoipa::path(get, path = "/v1/devices/{device_id}/presence", tag = "devices", operation_id = "read_presence",
    params(("device_id" = String, Path, description = "The device's id, percent-encoded")),
    responses((status = 200, description = "Where it is", body = Presence)))]
async fn presence(
    State(api): Shared,
    Tenant(tenant): Tenant,
    Path(id): Path<String>,
) -> Result<Json<Presence>, ApiError> {
    devices::current(&api, tenant, &id).await?;
    let partition = (tenant.0, id);
    let mut page = Page::first(PAGE, Direction::Ascending);
    let mut data = Vec::new();
    loop {
        let rows: Vec<PresenceByDeviceRow> = api.store().page(&partition, &page).await?;
        page.after = rows.last().map(|row| (row.zone,));
        let more = rows.len() == PAGE;
        data.extend(rows.into_iter().map(|row| PresentZone {
            zone_id: row.zone,
            zone_external_id: row.zone_external_id,
            since: format_rfc3339_ms(row.since.0),
        }));
        if !more {
            break;
        }
    }
    let position = api.store().get::<DevicePositionRow>(&partition, &()).await?;
    let last_fix = position.map(|row| FixAnswer {
        lat: row.lat,
        lon: row.lon,
        time: format_rfc3339_ms(row.time.0),
        accuracy_m: row.accuracy_m,
    });
    Ok(Json(Presence { data, last_fix }))
}
