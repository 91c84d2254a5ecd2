//! `GET /v1/zones/export`: every zone of the tenant, as a GeoJSON FeatureCollection that imports as the same zones.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse as _, Response};
use futures::stream;
use geopush_model::TenantId;
use geopush_store::tables::{ZONE_BUCKETS, ZoneRow};
use geopush_store::{Direction, Page, StoreError};
use uuid::Uuid;

use super::feature::feature_json;
use super::import::FeatureCollectionBody;
use crate::auth::Tenant;
use crate::error::ApiError;
use crate::state::{Api, Shared};

/// Zones that are in memory at a time.
const PAGE: usize = 50;

/// Every zone, as a GeoJSON FeatureCollection that imports as the same zones.
#[utoipa::path(get, path = "/v1/zones/export", tag = "zones", operation_id = "export_zones",
    responses((status = 200, description = "The zones", content((FeatureCollectionBody = "application/geo+json")))))]
pub(super) async fn export(State(api): Shared, Tenant(tenant): Tenant) -> Result<Response, ApiError> {
    let mut walk = Walk { api, tenant, bucket: 0, after: None, first: true };
    // What fails at once is a problem; what fails later cuts the answer off.
    let head = walk.next().await?;
    let body = stream::try_unfold((Some(head), walk), |(ready, mut walk)| async move {
        let text = match ready {
            Some(text) => text,
            None => walk.next().await.inspect_err(|error| tracing::warn!(%error, "an export was cut off"))?,
        };
        Ok::<_, StoreError>(text.map(|text| (Bytes::from(text), (None, walk))))
    });
    Ok(([(CONTENT_TYPE, "application/geo+json")], Body::from_stream(body)).into_response())
}

struct Walk {
    api: Arc<Api>,
    tenant: TenantId,
    bucket: i32,
    after: Option<(Uuid,)>,
    first: bool,
}

impl Walk {
    /// The next piece of the text; none after the last.
    async fn next(&mut self) -> Result<Option<String>, StoreError> {
        let mut text = String::new();
        if self.first {
            text.push_str("{\"type\":\"FeatureCollection\",\"features\":[");
        }
        let mut comma = !self.first;
        self.first = false;
        if self.bucket > ZONE_BUCKETS {
            return Ok(None);
        }
        while self.bucket < ZONE_BUCKETS {
            let page = Page { after: self.after, ..Page::first(PAGE, Direction::Ascending) };
            let rows: Vec<ZoneRow> = self.api.store().page(&(self.tenant.0, self.bucket), &page).await?;
            match rows.last() {
                Some(last) => self.after = Some((last.zone,)),
                None => (self.bucket, self.after) = (self.bucket + 1, None),
            }
            let zones = rows.iter().filter(|row| !row.deleted);
            for row in zones {
                if comma {
                    text.push(',');
                }
                comma = true;
                text.push('\n');
                text.push_str(&feature_json(row)?.to_string());
            }
            if text.len() > 1 && comma {
                return Ok(Some(text));
            }
        }
        self.bucket += 1;
        text.push_str("\n]}\n");
        Ok(Some(text))
    }
}
