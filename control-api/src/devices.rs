//! `/v1/devices`: what merchants know and say of devices.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Query, Request, State};
use axum::http::{HeaderMap, HeaderName, StatusCode};
use geopush_model::{DeviceId, TenantId};
use geopush_registry::{Device, DeviceError, Registration};
use geopush_service::http::Invalid;
use geopush_service::time::format_rfc3339_ms;
use geopush_store::tables::{DEVICE_BUCKETS, DeviceRow, device_bucket};
use serde::Serialize;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::auth::Tenant;
use crate::error::ApiError;
use crate::etag::{IfMatch, etag};
use crate::listing::{Listed, PageQuery, list};
use crate::state::{Api, Shared};

/// The routes.
pub(crate) fn routes() -> OpenApiRouter<Arc<Api>> {
    OpenApiRouter::new().routes(routes!(list_devices)).routes(routes!(read, upsert, delete))
}

/// A device. In a request, what is left out stays as it is, and `null` clears.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Device, example = example)]
pub(crate) struct DeviceAnswer {
    /// The merchant's own name for it: 1 to 128 bytes.
    #[schema(read_only)]
    device_id: String,
    /// `android`, `ios` or `web`.
    #[schema(schema_with = platform_schema, required = false)]
    platform: Option<&'static str>,
    /// The app that is on it.
    #[schema(min_length = 1, max_length = 64, required = false)]
    app: Option<String>,
    /// Its address with the push provider.
    #[schema(min_length = 1, max_length = 4096, required = false)]
    push_token: Option<String>,
    /// BCP 47.
    #[schema(required = false)]
    locale: Option<String>,
    /// IANA.
    #[schema(required = false)]
    timezone: Option<String>,
    /// What audiences may ask about: strings, numbers, `true`, `false`, `null` and arrays of these.
    #[schema(required = false)]
    attributes: Map<String, Value>,
    /// What audiences may choose it by.
    #[schema(max_items = 100, required = false)]
    tags: Vec<String>,
    #[schema(required = false)]
    consents: Consents,
    /// When it was first seen (RFC 3339).
    #[schema(read_only, format = DateTime)]
    created_at: String,
    /// When it was changed last (RFC 3339).
    #[schema(read_only, format = DateTime)]
    updated_at: String,
    /// Counts its changes; its ETag.
    #[schema(read_only)]
    version: i64,
}

/// What its owner agreed to.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Consents {
    /// To be pushed to.
    #[schema(required = false)]
    push: bool,
    /// To be located.
    #[schema(required = false)]
    location: bool,
}

fn platform_schema() -> utoipa::openapi::schema::Schema {
    let schema = json!({"type": ["string", "null"], "enum": ["android", "ios", "web", null]});
    serde_json::from_value(schema).expect("this is a schema")
}

fn example() -> Value {
    json!({
        "platform": "android", "app": "shop", "push_token": "fcm-token", "locale": "en-GB",
        "timezone": "Europe/Madrid", "attributes": {"plan": "gold"}, "tags": ["vip"],
        "consents": {"push": true, "location": true}
    })
}

impl From<Device> for DeviceAnswer {
    fn from(device: Device) -> Self {
        Self {
            device_id: device.device.as_str().to_owned(),
            platform: device.platform.map(geopush_registry::Platform::as_str),
            app: device.app,
            push_token: device.push_token,
            locale: device.locale,
            timezone: device.timezone,
            attributes: device.attributes,
            tags: device.tags,
            consents: Consents { push: device.push_consent, location: device.location_consent },
            created_at: format_rfc3339_ms(device.created_at.0),
            updated_at: format_rfc3339_ms(device.updated_at.0),
            version: device.version,
        }
    }
}

type Tagged<T> = ([(HeaderName, String); 1], Json<T>);

fn tagged(device: Device) -> Tagged<DeviceAnswer> {
    (etag(device.version), Json(device.into()))
}

/// The devices of the tenant, by id.
#[utoipa::path(get, path = "/v1/devices", tag = "devices", params(PageQuery),
    responses((status = 200, description = "A page of devices", body = Listed<DeviceAnswer>)))]
async fn list_devices(
    State(api): Shared,
    Tenant(tenant): Tenant,
    Query(page): Query<PageQuery>,
) -> Result<Json<Listed<DeviceAnswer>>, ApiError> {
    let wanted = page.read()?;
    // Buckets are hashes; merged they are in the order of the ids.
    let buckets = (0..DEVICE_BUCKETS).map(|bucket| (tenant.0, bucket)).collect();
    let keep = |row: DeviceRow| match row.deleted {
        true => Ok(None),
        false => Device::of_row(row).map(|device| Some(device.into())),
    };
    Ok(Json(list(api.store(), vec![(0, buckets)], &wanted, [None, None], keep).await?))
}

/// A device.
#[utoipa::path(get, path = "/v1/devices/{device_id}", tag = "devices",
    params(("device_id" = String, Path, description = "The device's id, percent-encoded")),
    responses((status = 200, description = "The device", body = DeviceAnswer,
        headers(("ETag" = String, description = "Its version")))))]
async fn read(
    State(api): Shared,
    Tenant(tenant): Tenant,
    Path(id): Path<String>,
) -> Result<Tagged<DeviceAnswer>, ApiError> {
    Ok(tagged(current(&api, tenant, &id).await?))
}

/// Creates or changes a device. What is left out stays as it is, and `null` clears.
#[utoipa::path(put, path = "/v1/devices/{device_id}", tag = "devices", request_body = DeviceAnswer,
    params(("device_id" = String, Path, description = "The device's id, percent-encoded"),
        ("If-Match" = Option<String>, Header, description = "The ETag of the version to change, or `*`")),
    responses(
        (status = 200, description = "The device, changed", body = DeviceAnswer,
            headers(("ETag" = String, description = "Its version"))),
        (status = 201, description = "The device, created", body = DeviceAnswer,
            headers(("ETag" = String, description = "Its version")))))]
async fn upsert(
    State(api): Shared,
    Tenant(tenant): Tenant,
    Path(id): Path<String>,
    headers: HeaderMap,
    request: Request,
) -> Result<(StatusCode, Tagged<DeviceAnswer>), ApiError> {
    let device = device_id(&id)?;
    let demand = IfMatch::of(&headers);
    let registration = Registration::from_json(&api.body(request).await?).map_err(|errors| {
        ApiError::invalid(errors.into_iter().map(|e| Invalid::new(e.pointer, e.code, e.detail)).collect())
    })?;
    let version = demanded(&api, tenant, &device, demand).await?;
    let apply = |device: &mut Device| registration.apply(device);
    let changed = api.deps.devices.upsert(tenant, &device, version, api.now(), apply).await;
    let (device, made) = changed.map_err(|error| refusal(error, version))?;
    Ok((if made { StatusCode::CREATED } else { StatusCode::OK }, tagged(device)))
}

/// Deletes a device and forgets where it is: it leaves its zones, with the reason `device_removed`.
#[utoipa::path(delete, path = "/v1/devices/{device_id}", tag = "devices",
    params(("device_id" = String, Path, description = "The device's id, percent-encoded"),
        ("If-Match" = Option<String>, Header, description = "The ETag of the version to delete, or `*`")),
    responses((status = 204, description = "It is deleted")))]
async fn delete(
    State(api): Shared,
    Tenant(tenant): Tenant,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<StatusCode, ApiError> {
    let device = current(&api, tenant, &id).await?.device;
    let version = demanded(&api, tenant, &device, IfMatch::of(&headers)).await?;
    let gone = api.deps.devices.delete(tenant, &device, version, api.now()).await;
    if gone.map_err(|error| refusal(error, version))? {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(ApiError::not_found("device"))
    }
}

/// The version that a change must find, if it is named; what else is demanded is checked.
async fn demanded(
    api: &Api,
    tenant: TenantId,
    device: &DeviceId,
    demand: IfMatch,
) -> Result<Option<i64>, ApiError> {
    if demand == IfMatch::Absent {
        return Ok(None);
    }
    let current = api.deps.devices.get(tenant, device).await?.map(|device| device.version);
    demand.check(current)?;
    Ok(if let IfMatch::Version(version) = demand { Some(version) } else { None })
}

fn refusal(error: DeviceError, version: Option<i64>) -> ApiError {
    match error {
        DeviceError::Conflict if version.is_some() => ApiError::precondition_failed(),
        error => error.into(),
    }
}

/// The device that a path names.
pub(crate) async fn current(api: &Api, tenant: TenantId, id: &str) -> Result<Device, ApiError> {
    let found = match DeviceId::new(id) {
        Ok(id) => api.deps.devices.get(tenant, &id).await?,
        Err(_) => None,
    };
    found.ok_or_else(|| ApiError::not_found("device"))
}

/// The device of which a path asks what happened: it may be deleted.
pub(crate) async fn once_known(api: &Api, tenant: TenantId, id: &str) -> Result<DeviceId, ApiError> {
    let unknown = || ApiError::not_found("device");
    let device = DeviceId::new(id).map_err(|_| unknown())?;
    let row = api.store().get::<DeviceRow>(&(tenant.0, device_bucket(id)), &(id.to_owned(),)).await?;
    row.map(|_| device).ok_or_else(unknown)
}

fn device_id(id: &str) -> Result<DeviceId, ApiError> {
    DeviceId::new(id).map_err(|error| ApiError::path("device_id", error.to_string()))
}
