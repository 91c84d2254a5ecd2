//! `PUT` and `DELETE /v1/devices/{device_id}`: what a phone says of itself.

use axum::Json;
use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use geopush_model::{DeviceId, KeyKind};
use geopush_registry::{DeviceError, Registration};
use geopush_service::http::{Invalid, Problem, json_body};
use serde_json::json;

use crate::serve::{Shared, log_problem, store_problem};

pub(crate) async fn put(
    State(ingest): Shared,
    Path(device): Path<String>,
    request: Request,
) -> Result<Response, Problem> {
    let principal = ingest.principal(request.headers()).await?;
    let body = json_body(request, ingest.limits()).await?;
    let device = device_id(&device)?;
    let registration = Registration::from_json(&body).map_err(|errors| {
        let invalid = errors.into_iter().map(|e| Invalid::new(e.pointer, e.code, e.detail));
        Problem::invalid(invalid.collect())
    })?;
    if principal.kind == KeyKind::Publishable && registration.touches_attributes_or_tags() {
        return Err(Problem::forbidden(
            "attributes and tags are the merchant's: set them by the control API with a secret key",
        ));
    }
    let apply = |device: &mut _| registration.apply(device);
    let devices = &ingest.dependencies.devices;
    let (device, made) =
        devices.upsert(principal.tenant, &device, None, ingest.now(), apply).await.map_err(problem)?;
    // What merchants know of the device is not for the phone's key.
    let told = json!({"device_id": device.device.as_str(), "version": device.version});
    Ok((if made { StatusCode::CREATED } else { StatusCode::OK }, Json(told)).into_response())
}

pub(crate) async fn delete(
    State(ingest): Shared,
    Path(device): Path<String>,
    request: Request,
) -> Result<StatusCode, Problem> {
    let principal = ingest.principal(request.headers()).await?;
    let device = device_id(&device)?;
    let gone = ingest.dependencies.devices.delete(principal.tenant, &device, None, ingest.now()).await;
    if gone.map_err(problem)? {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(Problem::not_found("there is no such device"))
    }
}

fn device_id(text: &str) -> Result<DeviceId, Problem> {
    DeviceId::new(text)
        .map_err(|e| Problem::invalid(vec![Invalid::new("", "invalid_device_id", e.to_string())]))
}

fn problem(error: DeviceError) -> Problem {
    match error {
        DeviceError::Conflict => Problem::conflict(error.to_string()),
        DeviceError::Store(e) => store_problem(&e),
        DeviceError::Log(e) => log_problem(&e),
    }
}
