//! `/v1/events`: what devices did, told by the merchant, for campaigns that wait for it.
//!
//! An event goes straight to the requests that plan decides on, in the order of its device's other causes.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Extension, Request, State};
use axum::http::StatusCode;
use geopush_log::{Record, Topic, TraceId};
use geopush_model::{CauseId, DeviceEvent, DeviceId, PushRequest, TenantId, UnixMillis, Wire as _};
use geopush_service::http::Invalid;
use serde::Serialize;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::auth::Tenant;
use crate::campaigns::MOST_EVENT_NAME;
use crate::error::ApiError;
use crate::idempotency::Creation;
use crate::json::{Members, invalid};
use crate::state::{Api, Shared};

/// The most events of a request.
const MOST_EVENTS: usize = 100;
/// The most that an event's properties may be as JSON, in bytes: a held push keeps them in its device's state.
const MOST_PROPERTIES: usize = 4_096;
/// How many values may be in one another there: they are read again wherever they are kept.
const MOST_DEPTH: usize = 16;
/// How old an event may be, and how far ahead the merchant's clock.
const MOST_AGE_MS: i64 = 7 * 86_400_000;
const MOST_AHEAD_MS: i64 = 300_000;

/// The route.
pub(crate) fn routes() -> OpenApiRouter<Arc<Api>> {
    OpenApiRouter::new().routes(routes!(tell))
}

/// Something that happened to a device.
#[derive(Serialize, ToSchema)]
#[schema(as = Event, example = example)]
#[allow(dead_code, reason = "it describes a body that is read member by member")]
struct EventBody {
    /// To which device; one that is not known gets nothing.
    #[schema(min_length = 1, max_length = 128)]
    device_id: String,
    /// What happened: the `name` that campaigns' triggers wait for.
    #[schema(min_length = 1, max_length = 64)]
    name: String,
    /// When (RFC 3339), up to seven days ago; left out: now.
    #[schema(format = DateTime, required = false)]
    at: Option<String>,
    /// What templates may say of it, as `event.properties`: at most 4,096 bytes of JSON.
    #[schema(required = false)]
    properties: Map<String, Value>,
}

/// An event, or 1 to 100 of them.
#[derive(Serialize, ToSchema)]
#[schema(as = Events)]
#[serde(untagged)]
#[allow(dead_code, reason = "it describes a body that is read member by member")]
enum EventsBody {
    One(EventBody),
    Many(Vec<EventBody>),
}

/// Events that were taken.
#[derive(Debug, Serialize, ToSchema)]
struct EventsTaken {
    /// How many: all that were sent.
    accepted: usize,
    /// Their ids, in order: the `cause_id` of the deliveries that come of them.
    ids: Vec<Uuid>,
}

fn example() -> Value {
    json!({"device_id": "d1", "name": "order_shipped", "at": "2026-01-01T00:00:00Z",
        "properties": {"order": "A-17", "carrier": "post"}})
}

/// Tells what devices did, to campaigns that wait for it. Of several events all are taken or none.
#[utoipa::path(post, path = "/v1/events", tag = "events", operation_id = "tell_events", request_body = EventsBody,
    responses((status = 202, description = "They are decided on soon", body = EventsTaken)))]
async fn tell(
    State(api): Shared,
    Tenant(tenant): Tenant,
    Extension(trace): Extension<TraceId>,
    creation: Creation,
    request: Request,
) -> Result<(StatusCode, Json<EventsTaken>), ApiError> {
    let now = api.now();
    let told = read(api.body(request).await?, now).map_err(ApiError::invalid)?;
    let ids: Vec<Uuid> = (0..told.len()).map(|i| creation.id("event", i)).collect();
    let record = |(event, id): (EventInput, &Uuid)| {
        let request = event.into_request(tenant, CauseId(*id), now);
        Record::new(Topic::PushRequests, request.key().to_bytes(), request.encode()).traced(Some(trace))
    };
    api.deps.log.append(told.into_iter().zip(&ids).map(record).collect()).await?;
    metrics::counter!("geopush_api_events_total").increment(ids.len() as u64);
    Ok((StatusCode::ACCEPTED, Json(EventsTaken { accepted: ids.len(), ids })))
}

/// What a merchant may say of an event.
struct EventInput {
    device: DeviceId,
    name: String,
    at: UnixMillis,
    properties: Map<String, Value>,
}

fn read(body: Value, now: UnixMillis) -> Result<Vec<EventInput>, Vec<Invalid>> {
    let Value::Array(events) = body else { return Ok(vec![EventInput::read(body, "", now)?]) };
    if !(1..=MOST_EVENTS).contains(&events.len()) {
        return Err(vec![invalid("", "too_many", &format!("give 1 to {MOST_EVENTS} events"))]);
    }
    let (mut told, mut wrong) = (Vec::new(), Vec::new());
    for (i, event) in events.into_iter().enumerate() {
        match EventInput::read(event, &format!("/{i}"), now) {
            Ok(event) => told.push(event),
            Err(errors) => wrong.extend(errors),
        }
    }
    if wrong.is_empty() { Ok(told) } else { Err(wrong) }
}

impl EventInput {
    fn read(event: Value, at: &str, now: UnixMillis) -> Result<Self, Vec<Invalid>> {
        let mut members = Members::of(event, at)?;
        let device = members.require("device_id", Members::device);
        let name = members.require("name", |m, name| m.text(name, MOST_EVENT_NAME));
        let time = members.time("at");
        if time.is_some_and(|time| !(-MOST_AHEAD_MS..=MOST_AGE_MS).contains(&now.since_ms(time))) {
            let detail = "give a time of the last seven days, at most five minutes ahead of now";
            members.fail("at", "out_of_range", detail);
        }
        let properties = read_properties(&mut members);
        members.finish(&[])?;
        match (device, name) {
            (Some(device), Some(name)) => Ok(Self { device, name, at: time.unwrap_or(now), properties }),
            _ => unreachable!("a member that is required and missing was noted, and finish refuses then"),
        }
    }

    fn into_request(self, tenant: TenantId, id: CauseId, now: UnixMillis) -> PushRequest {
        let Self { device, name, at, properties } = self;
        let event = DeviceEvent { id, name, at, properties: properties.into() };
        PushRequest { tenant, device, request: geopush_model::Request::Event(event), requested_at: now }
    }
}

/// Reads the properties of an event.
pub(crate) fn read_properties(members: &mut Members) -> Map<String, Value> {
    let properties = members.object("properties", MOST_PROPERTIES).unwrap_or_default();
    if properties.values().any(|value| is_deeper(value, MOST_DEPTH)) {
        members.fail("properties", "too_large", format!("nest at most {MOST_DEPTH} deep"));
    }
    properties
}

/// Whether there are more than so many values in one another.
fn is_deeper(value: &Value, depth: usize) -> bool {
    match value {
        _ if depth == 0 => true,
        Value::Array(values) => values.iter().any(|value| is_deeper(value, depth - 1)),
        Value::Object(members) => members.values().any(|value| is_deeper(value, depth - 1)),
        _ => false,
    }
}
