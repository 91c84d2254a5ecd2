//! The layer round a role's routes: ids, spans, counts, time limits, and problems for everything that fails.

use std::collections::HashMap;
use std::fmt;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use futures::FutureExt;
use geopush_log::TraceId;
use tokio::sync::Semaphore;
use tracing::Instrument;
use uuid::Uuid;

use super::Problem;

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const X_TRACE_ID: HeaderName = HeaderName::from_static("x-trace-id");
/// The longest request id that is taken over from a caller.
const LONGEST_ID: usize = 128;
/// As much of a library's error text as becomes a problem's detail.
const LONGEST_TEXT: usize = 4096;
/// When overload or slowness is answered, how long a client should wait.
const WAIT: Duration = Duration::from_secs(1);

/// A request's id: the caller's `x-request-id` if it is sane, else one of ours. In the request's extensions.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RequestId(pub Arc<str>);

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What is put round a role's router.
///
/// Each request gets a [`RequestId`] and a [`TraceId`] (of `traceparent`, or new) as extensions, as fields of a span,
/// and as the response headers `x-request-id` and `x-trace-id`. Requests are counted and timed by matched route as
/// `geopush_<role>_http_requests_total` and `geopush_<role>_http_request_seconds`; one whose client left counts as
/// status 499. Errors of any kind leave as [`Problem`]s: unknown paths, wrong methods, rejections, panics, overload.
#[derive(Clone, Debug)]
pub struct Edge {
    requests_total: Arc<str>,
    request_seconds: Arc<str>,
    in_flight: Arc<str>,
    timeout: Duration,
    timeouts: Arc<HashMap<&'static str, Duration>>,
    slots: Arc<Semaphore>,
}

impl Edge {
    /// For this role: 30 s a request, 2,048 requests at a time.
    pub fn new(role: &str) -> Self {
        let name = |what: &str| format!("geopush_{}_http_{what}", role.replace('-', "_")).into();
        Self {
            requests_total: name("requests_total"),
            request_seconds: name("request_seconds"),
            in_flight: name("requests_in_flight"),
            timeout: Duration::from_secs(30),
            timeouts: Arc::default(),
            slots: Arc::new(Semaphore::new(2048)),
        }
    }

    /// How long a handler may take to begin its answer, where [`Self::timeout_for`] says nothing else. Then: 503.
    #[must_use]
    pub fn timeout(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    /// How long for this route (as given to `Router::route`).
    #[must_use]
    pub fn timeout_for(mut self, route: &'static str, timeout: Duration) -> Self {
        Arc::make_mut(&mut self.timeouts).insert(route, timeout);
        self
    }

    /// How many requests are handled at a time; those above are answered 503 at once.
    #[must_use]
    pub fn at_most(self, requests: usize) -> Self {
        Self { slots: Arc::new(Semaphore::new(requests)), ..self }
    }

    /// Puts the layer round a router, with problems for unknown paths and wrong methods.
    pub fn apply(self, router: Router) -> Router {
        router
            .fallback(async || {
                Problem::not_found("there is nothing at this path; check it and the API's version")
            })
            .method_not_allowed_fallback(async || {
                Problem::method_not_allowed("this path has other methods; the Allow header names them")
            })
            .layer(from_fn_with_state(self, handle))
    }

    fn limit(&self, route: Option<&MatchedPath>) -> Duration {
        route.and_then(|route| self.timeouts.get(route.as_str())).copied().unwrap_or(self.timeout)
    }
}

async fn handle(State(edge): State<Edge>, mut request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>().cloned();
    let (id, trace) = identify(request.headers());
    request.extensions_mut().insert(id.clone());
    request.extensions_mut().insert(trace);
    let mut counted = Counted::begin(&edge, request.method(), route.as_ref());
    let span = tracing::info_span!(
        "request",
        request_id = %id,
        trace_id = %trace,
        method = counted.method,
        route = counted.route(),
    );
    let limit = edge.limit(route.as_ref());
    let answered = async {
        let Ok(_slot) = edge.slots.try_acquire() else {
            return Problem::unavailable("too many requests are being handled; try again in a moment", WAIT)
                .coded("overloaded", "Overloaded")
                .into_response();
        };
        match tokio::time::timeout(limit, AssertUnwindSafe(next.run(request)).catch_unwind()).await {
            Ok(Ok(response)) => response,
            Ok(Err(_)) => Problem::internal("a handler panicked").into_response(),
            Err(_) => {
                tracing::warn!(limit_s = limit.as_secs_f64(), "a handler took too long and was stopped");
                Problem::timeout(WAIT).into_response()
            }
        }
    };
    let mut response = answered.instrument(span.clone()).await;
    if response.status().is_client_error() || response.status().is_server_error() {
        response = told(response, &id).await;
    }
    let headers = response.headers_mut();
    if let Ok(id) = HeaderValue::from_str(&id.0) {
        headers.insert(X_REQUEST_ID, id);
    }
    if let Ok(trace) = HeaderValue::from_str(&trace.to_string()) {
        headers.insert(X_TRACE_ID, trace);
    }
    counted.status = Some(response.status());
    span.in_scope(|| tracing::debug!(status = response.status().as_u16(), "answered"));
    response
}

fn identify(headers: &HeaderMap) -> (RequestId, TraceId) {
    let given = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let sane = |id: &&str| {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b':');
        (1..=LONGEST_ID).contains(&id.len()) && id.bytes().all(fits)
    };
    let trace = given("traceparent").and_then(TraceId::of_traceparent);
    let id = given(X_REQUEST_ID.as_str()).filter(sane);
    let id = match id {
        Some(id) => id.into(),
        None => Uuid::new_v4().simple().to_string().into(),
    };
    (RequestId(id), trace.unwrap_or_else(|| TraceId(*Uuid::new_v4().as_bytes())))
}

/// A failed response as a problem that names its request. What was written for people or programs otherwise (a page,
/// a JSON body) stays as it is; a library's plain text becomes the detail.
async fn told(mut response: Response, id: &RequestId) -> Response {
    let mut problem = match response.extensions_mut().remove::<Problem>() {
        Some(problem) => problem,
        None => {
            let plain = match response.headers().get(header::CONTENT_TYPE) {
                None => true,
                Some(kind) => kind.as_bytes().starts_with(b"text/plain"),
            };
            if !plain {
                return response;
            }
            let body = std::mem::replace(response.body_mut(), Body::empty());
            let text = to_bytes(body, LONGEST_TEXT).await.unwrap_or_default();
            let text = if response.status().is_server_error() { String::new() } else { lossy(&text) };
            Problem::of_status(response.status(), text)
        }
    };
    problem.request_id.get_or_insert_with(|| Box::from(&*id.0));
    *response.body_mut() = Body::from(problem.to_json());
    let headers = response.headers_mut();
    headers.remove(header::CONTENT_LENGTH);
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    if problem.status == StatusCode::UNAUTHORIZED && !headers.contains_key(header::WWW_AUTHENTICATE) {
        headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}

fn lossy(text: &[u8]) -> String {
    String::from_utf8_lossy(text).into_owned()
}

/// Counts a request when it ends, also when it ends by being dropped.
struct Counted {
    edge: Edge,
    method: &'static str,
    route: Option<MatchedPath>,
    began: Instant,
    status: Option<StatusCode>,
}

impl Counted {
    fn begin(edge: &Edge, method: &Method, route: Option<&MatchedPath>) -> Self {
        metrics::gauge!(Arc::clone(&edge.in_flight)).increment(1);
        let method = known_method(method);
        Self { edge: edge.clone(), method, route: route.cloned(), began: Instant::now(), status: None }
    }

    fn route(&self) -> &str {
        self.route.as_ref().map_or("unmatched", MatchedPath::as_str)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let route = self.route().to_owned();
        let status = self.status.map_or("499".to_owned(), |status| status.as_u16().to_string());
        let labels = [("route", route.clone()), ("method", self.method.into()), ("status", status)];
        metrics::counter!(Arc::clone(&self.edge.requests_total), &labels).increment(1);
        let labels = [("route", route), ("method", self.method.to_owned())];
        metrics::histogram!(Arc::clone(&self.edge.request_seconds), &labels).record(self.began.elapsed());
        metrics::gauge!(Arc::clone(&self.edge.in_flight)).decrement(1);
    }
}

/// A label must not be the caller's choice.
fn known_method(method: &Method) -> &'static str {
    const KNOWN: [&str; 7] = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"];
    KNOWN.into_iter().find(|known| *known == method.as_str()).unwrap_or("OTHER")
}

#[cfg(test)]
#[path = "edge_tests.rs"]
mod tests;
