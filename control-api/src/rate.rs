//! How often a tenant may ask, and the headers that say how much is left (IETF draft
//! `httpapi-ratelimit-headers`, <https://datatracker.ietf.org/doc/draft-ietf-httpapi-ratelimit-headers/>).

use std::num::NonZeroU32;

use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use geopush_model::TenantId;
use geopush_service::http::Problem;
use governor::clock::{Clock as _, DefaultClock};
use governor::middleware::StateInformationMiddleware;
use governor::state::keyed::DefaultKeyedStateStore;
use governor::{Quota, RateLimiter};

const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const LIMIT: HeaderName = HeaderName::from_static("ratelimit");

type Keyed =
    RateLimiter<TenantId, DefaultKeyedStateStore<TenantId>, DefaultClock, StateInformationMiddleware>;

/// Bounds each tenant's requests a second. It remembers tenants that have asked, of which there are as many as keys.
pub(crate) struct Limiter {
    keyed: Option<(Keyed, HeaderValue)>,
}

impl Limiter {
    /// So many a second; 0: any number, and no headers.
    pub fn new(per_second: u32) -> Self {
        let keyed = NonZeroU32::new(per_second).map(|rate| {
            let keyed = RateLimiter::keyed(Quota::per_second(rate)).with_middleware();
            (keyed, header(&format!("\"tenant\";q={rate};w=1")))
        });
        Self { keyed }
    }

    /// Answers a request of this tenant, or refuses it.
    pub async fn run(&self, tenant: TenantId, request: Request, next: Next) -> Response {
        let Some((keyed, policy)) = &self.keyed else { return next.run(request).await };
        let (mut response, left) = match keyed.check_key(&tenant) {
            Ok(state) => (next.run(request).await, state.remaining_burst_capacity()),
            Err(refused) => {
                metrics::counter!("geopush_api_rate_limited_total").increment(1);
                let wait = refused.wait_time_from(DefaultClock::default().now());
                let detail = "this tenant asks more often than it may; wait as long as Retry-After says";
                (Problem::too_many_requests(detail, wait).into_response(), 0)
            }
        };
        let headers = response.headers_mut();
        headers.insert(POLICY, policy.clone());
        headers.insert(LIMIT, header(&format!("\"tenant\";r={left};t=1")));
        response
    }
}

fn header(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).expect("digits, letters and quotes make a header")
}
