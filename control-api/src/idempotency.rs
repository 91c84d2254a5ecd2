//! `Idempotency-Key`: a POST that is sent again is answered again, not done again
//! (IETF draft `httpapi-idempotency-key-header`).
//!
//! The first request under a key claims it, with a hash of itself; its answer is kept there for a day. Failures of
//! ours (5xx) are not kept: the claim is given back. A claim whose request died is taken over when no request can
//! still be at it. What a request makes under a key has an id derived from the key, so whoever takes over finds what
//! was made already ([`Creation`]).

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::{FromRequestParts, MatchedPath, Request, State};
use axum::http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, ETAG, LOCATION, RETRY_AFTER};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use geopush_model::TenantId;
use geopush_service::http::{BodyLimits, Problem, RequestId, read_body};
use geopush_store::Timestamp;
use geopush_store::tables::IdempotencyRow;
use ring::digest;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use crate::auth::Tenant;
use crate::error::ApiError;
use crate::state::Api;

const KEY: HeaderName = HeaderName::from_static("idempotency-key");
const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");
/// The longest key, in bytes.
const MOST_KEY: usize = 255;
/// The largest answer that is kept, in bytes.
const MOST_ANSWER: usize = 8 << 20;
/// Statuses of a claim that are no answer's.
const UNDER_WAY: i32 = 0;
const GIVEN_BACK: i32 = -1;
/// A claim is given up this long after its request must have been answered.
const GRACE: Duration = Duration::from_secs(30);
/// Answers' headers that are kept.
const KEPT: [HeaderName; 4] = [CONTENT_TYPE, ETAG, LOCATION, RETRY_AFTER];

/// How ids of what a request makes are chosen.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Creation {
    name_space: Option<Uuid>,
    /// Whether an earlier try, of which nobody knows how far it came, had the same ids.
    pub resumed: bool,
}

impl Creation {
    fn under(tenant: TenantId, key: &str, resumed: bool) -> Self {
        let name = format!("idempotency\n{key}");
        Self { name_space: Some(Uuid::new_v5(&tenant.0, name.as_bytes())), resumed }
    }

    /// The id of the `index`th thing of this kind that the request makes.
    pub fn id(&self, kind: &str, index: usize) -> Uuid {
        match self.name_space {
            Some(name_space) => Uuid::new_v5(&name_space, format!("{kind}\n{index}").as_bytes()),
            None => Uuid::new_v4(),
        }
    }
}

impl<S: Sync> FromRequestParts<S> for Creation {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        Ok(parts.extensions.get().copied().unwrap_or_default())
    }
}

/// An answer as it is kept.
#[derive(Serialize, Deserialize)]
struct Kept {
    headers: Vec<(String, String)>,
    body: String,
}

/// Answers POSTs that carry a key; lets everything else pass.
pub(crate) async fn replay(
    State(api): State<Arc<Api>>,
    Tenant(tenant): Tenant,
    request: Request,
    next: Next,
) -> Response {
    if request.method() != Method::POST || !request.headers().contains_key(KEY) {
        return next.run(request).await;
    }
    answer(&api, tenant, request, next).await.unwrap_or_else(axum::response::IntoResponse::into_response)
}

async fn answer(api: &Api, tenant: TenantId, request: Request, next: Next) -> Result<Response, ApiError> {
    let key = key_of(request.headers())?;
    let (limits, timeout) = bounds(api, &request);
    let path = request.uri().to_string();
    let (mut parts, body) = request.into_parts();
    let decoded = read_body(Request::from_parts(parts.clone(), body), limits).await?;
    let hash = digest::digest(&digest::SHA256, &[path.as_bytes(), b"\n", &decoded].concat());

    let patience = timeout + GRACE;
    let claim = match claim(api, tenant, &key, hash.as_ref(), patience).await? {
        Claimed::Mine(claim) => claim,
        Claimed::Answered(kept) => return replayed(&kept, parts.extensions.get()),
    };
    parts.extensions.insert(Creation::under(tenant, &key, claim.version > 1));
    parts.headers.remove(CONTENT_ENCODING);
    parts.headers.remove(CONTENT_LENGTH);
    let response = next.run(Request::from_parts(parts, Body::from(decoded))).await;
    keep(api, claim, response).await
}

enum Claimed {
    Mine(IdempotencyRow),
    Answered(IdempotencyRow),
}

async fn claim(
    api: &Api,
    tenant: TenantId,
    key: &str,
    hash: &[u8],
    patience: Duration,
) -> Result<Claimed, ApiError> {
    let now = api.now();
    let mut claim = IdempotencyRow {
        tenant: tenant.0,
        key: key.to_owned(),
        request_hash: hash.to_vec(),
        status: UNDER_WAY,
        body: String::new(),
        created_at: Timestamp(now.0),
        version: 1,
    };
    if api.store().put_if_absent(claim.clone()).await? {
        return Ok(Claimed::Mine(claim));
    }
    let Some(known) = api.store().get::<IdempotencyRow>(&(tenant.0, key.to_owned()), &()).await? else {
        // It ran out between the two looks.
        return Err(under_way());
    };
    if known.request_hash != hash {
        let problem = Problem::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "idempotency_key_reused",
            "Idempotency-Key used for another request",
            "this key belongs to a request with another path or body; draw a new key for each new request",
        );
        return Err(problem.into());
    }
    let patience_ms = i64::try_from(patience.as_millis()).unwrap_or(i64::MAX);
    match known.status {
        UNDER_WAY if now.0.saturating_sub(known.created_at.0) < patience_ms => Err(under_way()),
        UNDER_WAY | GIVEN_BACK => {
            claim.version = known.version + 1;
            if api.store().put_if_version(claim.clone(), known.version).await? {
                Ok(Claimed::Mine(claim))
            } else {
                Err(under_way())
            }
        }
        _ => Ok(Claimed::Answered(known)),
    }
}

fn under_way() -> ApiError {
    Problem::conflict("a request with this Idempotency-Key is still being worked on; ask again later")
        .coded("idempotency_key_in_use", "Request still under way")
        .retry_after(Duration::from_secs(1))
        .into()
}

/// Keeps the answer under the claim; one of ours gives the claim back.
async fn keep(api: &Api, claim: IdempotencyRow, response: Response) -> Result<Response, ApiError> {
    let (parts, body) = response.into_parts();
    let bytes = to_bytes(body, usize::MAX).await.map_err(Problem::internal)?;
    let version = claim.version;
    let mut row = IdempotencyRow { version: version + 1, status: GIVEN_BACK, ..claim };
    let text = std::str::from_utf8(&bytes).ok().filter(|_| bytes.len() <= MOST_ANSWER);
    if let Some(text) = text.filter(|_| !parts.status.is_server_error()) {
        let header = |name: &HeaderName| {
            let value = parts.headers.get(name)?.to_str().ok()?;
            Some((name.to_string(), value.to_owned()))
        };
        let kept = Kept { headers: KEPT.iter().filter_map(header).collect(), body: text.to_owned() };
        row.body = serde_json::to_string(&kept).expect("texts are always JSON");
        row.status = i32::from(parts.status.as_u16());
    }
    // Whatever becomes of this, the request was done: a later try finds what it made by its ids.
    match api.store().put_if_version(row, version).await {
        Ok(true) => {}
        Ok(false) => tracing::warn!("an answer came too late to be kept under its idempotency key"),
        Err(error) => tracing::warn!(%error, "an answer could not be kept under its idempotency key"),
    }
    Ok(Response::from_parts(parts, Body::from(bytes)))
}

/// The answer again; a problem names the request that it answers now.
fn replayed(row: &IdempotencyRow, id: Option<&RequestId>) -> Result<Response, ApiError> {
    let corrupt = || Problem::internal("a kept answer can't be read");
    let mut kept: Kept = serde_json::from_str(&row.body).map_err(|_| corrupt())?;
    let status = u16::try_from(row.status).ok().and_then(|status| StatusCode::from_u16(status).ok());
    let status = status.ok_or_else(corrupt)?;
    if let (true, Some(id)) = (status.is_client_error(), id)
        && let Ok(Value::Object(mut problem)) = serde_json::from_str(&kept.body)
    {
        problem.insert("request_id".to_owned(), Value::from(&*id.0));
        kept.body = Value::Object(problem).to_string();
    }
    let mut response = (status, kept.body).into_response();
    let headers = response.headers_mut();
    headers.remove(CONTENT_TYPE);
    for (name, value) in kept.headers {
        if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), HeaderValue::from_str(&value)) {
            headers.insert(name, value);
        }
    }
    headers.insert(REPLAYED, HeaderValue::from_static("true"));
    Ok(response)
}

fn key_of(headers: &HeaderMap) -> Result<String, ApiError> {
    let mut given = headers.get_all(KEY).iter();
    let text = given.next().filter(|_| given.next().is_none()).and_then(|value| value.to_str().ok());
    let fits = |key: &&str| (1..=MOST_KEY).contains(&key.len()) && key.bytes().all(|b| b.is_ascii_graphic());
    let detail = "send one Idempotency-Key of 1 to 255 visible ASCII characters, such as a UUID";
    Ok(text.filter(fits).ok_or_else(|| Problem::malformed(detail))?.to_owned())
}

/// How the route's body is read, and how long its handler may take.
fn bounds(api: &Api, request: &Request) -> (BodyLimits, Duration) {
    match request.extensions().get::<MatchedPath>().map(MatchedPath::as_str) {
        Some(crate::zones::IMPORT) => (api.import_limits(), api.config.timeout * 10),
        Some(crate::sends::SENDS) => (api.send_limits(), api.config.timeout),
        _ => (api.limits(), api.config.timeout),
    }
}
