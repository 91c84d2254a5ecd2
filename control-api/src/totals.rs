//! `GET /v1/campaigns/{id}/totals`: how many of a campaign's pushes ended how, by the hour.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Query, State};
use geopush_service::time::format_rfc3339_ms;
use geopush_store::tables::{CampaignRow, DeliveryTotalsRow, hour_of};
use geopush_store::{Direction, Page, Table};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::auth::Tenant;
use crate::error::ApiError;
use crate::listing::RangeQuery;
use crate::months::last_before;
use crate::state::{Api, Shared};

const HOUR_MS: i64 = 60 * 60 * 1_000;
/// Rows read at once; there is one for each hour and partition of the log.
const PAGE: usize = 1_000;

/// The routes.
pub(crate) fn routes() -> OpenApiRouter<Arc<Api>> {
    OpenApiRouter::new().routes(routes!(of_campaign))
}

/// How pushes ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
struct Counts {
    /// The provider took them.
    accepted: i64,
    /// They can't be sent.
    failed: i64,
    /// It was decided not to send them.
    suppressed: i64,
    /// Their time ran out.
    expired: i64,
}

/// The counts of an hour.
#[derive(Debug, Serialize, ToSchema)]
struct HourCounts {
    /// When the hour began (RFC 3339). A push counts in the hour in which it was decided on.
    #[schema(format = DateTime)]
    hour: String,
    #[serde(flatten)]
    counts: Counts,
}

/// How a campaign's pushes ended.
#[derive(Debug, Serialize, ToSchema)]
struct CampaignTotals {
    campaign_id: Uuid,
    #[serde(flatten)]
    counts: Counts,
    /// The hours that have any, from the first on.
    hours: Vec<HourCounts>,
}

/// How many of a campaign's pushes ended how, within the last 90 days, in all and by the hour. Hours are counted whole:
/// those that `from` and `to` lie in, too.
#[utoipa::path(get, path = "/v1/campaigns/{id}/totals", tag = "deliveries", operation_id = "read_totals_of_campaign",
    params(("id" = Uuid, Path, description = "The campaign's id"), RangeQuery),
    responses((status = 200, description = "The counts", body = CampaignTotals)))]
async fn of_campaign(
    State(api): Shared,
    Tenant(tenant): Tenant,
    Path(id): Path<String>,
    Query(range): Query<RangeQuery>,
) -> Result<Json<CampaignTotals>, ApiError> {
    let (from, to) = range.read()?;
    let known = match id.parse::<Uuid>() {
        Ok(id) => api.store().get::<CampaignRow>(&(tenant.0,), &(id,)).await?.map(|_| id),
        Err(_) => None,
    };
    let campaign_id = known.ok_or_else(|| ApiError::not_found("campaign"))?;
    let mut page = Page {
        from: from.map(|from| (hour_of(from), i32::MIN)),
        to: to.map(|to| (hour_of(last_before(to)) + 1, i32::MIN)),
        ..Page::first(PAGE, Direction::Ascending)
    };
    let mut hours: BTreeMap<i64, Counts> = BTreeMap::new();
    loop {
        let rows: Vec<DeliveryTotalsRow> = api.store().page(&(tenant.0, campaign_id), &page).await?;
        page.after = rows.last().map(Table::clustering);
        let is_last = rows.len() < PAGE;
        for row in rows {
            hours.entry(row.hour).or_default().add(Counts::of(&row));
        }
        if is_last {
            break;
        }
    }
    let mut counts = Counts::default();
    hours.values().for_each(|hour| counts.add(*hour));
    let told = |(hour, counts): (i64, Counts)| HourCounts {
        hour: format_rfc3339_ms(hour.saturating_mul(HOUR_MS)),
        counts,
    };
    Ok(Json(CampaignTotals { campaign_id, counts, hours: hours.into_iter().map(told).collect() }))
}

impl Counts {
    fn of(row: &DeliveryTotalsRow) -> Self {
        let DeliveryTotalsRow { accepted, failed, suppressed, expired, .. } = *row;
        Self { accepted, failed, suppressed, expired }
    }

    fn add(&mut self, more: Self) {
        self.accepted += more.accepted;
        self.failed += more.failed;
        self.suppressed += more.suppressed;
        self.expired += more.expired;
    }
}
