//! The HTTP server that phones talk to.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{any, post, put};
use geopush_log::{AppendError, SharedLog};
use geopush_model::{KeyKind, TenantId, UnixMillis};
use geopush_registry::{Devices, Directory, Principal};
use geopush_service::BoxError;
use geopush_service::clock::Clock;
use geopush_service::health::Health;
use geopush_service::http::{BodyLimits, Edge, Problem, ServeLimits, bearer, serve_http};
use geopush_service::shutdown::Shutdown;
use geopush_store::{Store, StoreError};
use governor::{Quota, RateLimiter};
use tokio::net::TcpListener;

use crate::{EarlyReceipts, IngestConfig, devices, pings, receipts};

/// What ingest works with.
#[derive(Clone)]
pub struct Dependencies {
    /// Where pings go.
    pub log: SharedLog,
    /// Where receipts go.
    pub store: Store,
    /// Who holds which key.
    pub directory: Arc<Directory>,
    /// The devices.
    pub devices: Devices,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
}

type TenantLimiter = governor::DefaultKeyedRateLimiter<TenantId>;

/// What every handler shares.
pub(crate) struct Ingest {
    pub config: IngestConfig,
    pub dependencies: Dependencies,
    limiter: Option<TenantLimiter>,
}

pub(crate) type Shared = State<Arc<Ingest>>;

/// How often receipts are looked at that came before their pushes' rows.
const JOIN_EVERY: Duration = Duration::from_secs(20);
/// After a refusal for overload, how long a phone should wait.
const WAIT: Duration = Duration::from_secs(1);

impl Ingest {
    pub fn now(&self) -> UnixMillis {
        UnixMillis(self.dependencies.clock.now_ms())
    }

    /// Who asks.
    pub async fn principal(&self, headers: &HeaderMap) -> Result<Principal, Problem> {
        let key = bearer(headers)?;
        let known = self.dependencies.directory.principal(key).await;
        known.ok_or_else(|| {
            Problem::unauthorized("this key is unknown or revoked; use one of the tenant's keys")
        })
    }

    /// How bodies are read.
    pub fn limits(&self) -> BodyLimits {
        BodyLimits::new(self.config.max_body, self.config.max_decoded)
    }

    /// Counts fixes, or receipts, against the tenant's bound.
    pub fn admit(&self, tenant: TenantId, fixes: usize) -> Result<(), Problem> {
        let (Some(limiter), Some(fixes)) =
            (&self.limiter, u32::try_from(fixes).ok().and_then(NonZeroU32::new))
        else {
            return Ok(());
        };
        match limiter.check_key_n(&tenant, fixes) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => {
                metrics::counter!("geopush_ingest_rate_limited_total").increment(1);
                let detail =
                    "this tenant sends more fixes and receipts a second than it may; send them again later";
                Err(Problem::too_many_requests(detail, Duration::from_secs(5)))
            }
        }
    }
}

/// A problem of the log, as phones are told of it.
pub(crate) fn log_problem(error: &AppendError) -> Problem {
    tracing::warn!(%error, "pings could not be appended");
    Problem::unavailable("nothing was accepted for certain; send the same request again", WAIT)
}

/// A problem of the store, as phones are told of it.
pub(crate) fn store_problem(error: &StoreError) -> Problem {
    tracing::warn!(%error, "the store could not be used");
    Problem::unavailable("nothing was accepted for certain; send the same request again", WAIT)
}

/// The routes.
pub fn router(config: IngestConfig, dependencies: Dependencies) -> Router {
    let limiter = NonZeroU32::new(config.tenant_pings_per_second).map(|rate| {
        let burst = rate.saturating_mul(NonZeroU32::new(10).expect("ten is not zero"));
        RateLimiter::keyed(Quota::per_second(rate).allow_burst(burst))
    });
    let edge = Edge::new("ingest").timeout(config.timeout);
    let ingest = Arc::new(Ingest { config, dependencies, limiter });
    let router = Router::new()
        .route("/v1/pings", post(pings::post).fallback(other))
        .route("/v1/receipts", post(receipts::post).fallback(other))
        .route("/v1/devices/{device_id}", put(devices::put).delete(devices::delete).fallback(other))
        .route("/v1/{*rest}", any(other))
        .with_state(ingest);
    edge.apply(router)
}

/// Everything else on this port: nothing that a publishable key opens.
async fn other(State(ingest): Shared, request: Request) -> Response {
    match ingest.principal(request.headers()).await {
        Err(problem) => problem.into_response(),
        Ok(Principal { kind: KeyKind::Publishable, .. }) => Problem::forbidden(
            "a publishable key may post pings and receipts, and put and delete a device; use the control API with a secret key for the rest",
        )
        .into_response(),
        Ok(Principal { kind: KeyKind::Secret, .. }) => {
            Problem::not_found("phones' requests alone are answered here; the rest is at the control API's address").into_response()
        }
    }
}

/// Serves phones until shutdown; meanwhile joins receipts that came before their pushes' rows.
///
/// # Errors
/// None at present.
pub async fn serve(
    config: IngestConfig,
    dependencies: Dependencies,
    listener: TcpListener,
    health: Health,
    shutdown: Shutdown,
) -> Result<(), BoxError> {
    let ready = health.register("ingest");
    let (store, clock) = (dependencies.store.clone(), Arc::clone(&dependencies.clock));
    let joining = tokio::spawn(join_early(store, clock, shutdown.clone()));
    let router = router(config, dependencies);
    ready.ready();
    let served = serve_http(listener, router, shutdown, ServeLimits::named("ingest")).await;
    joining.await?;
    served
}

/// Joins receipts that came before their pushes' rows, until shutdown.
async fn join_early(store: Store, clock: Arc<dyn Clock>, shutdown: Shutdown) {
    let mut early = EarlyReceipts::default();
    let mut every = tokio::time::interval(JOIN_EVERY);
    loop {
        tokio::select! {
            () = shutdown.requested() => return,
            _ = every.tick() => match early.join(&store, UnixMillis(clock.now_ms())).await {
                Ok(0) => {}
                Ok(joined) => tracing::debug!(joined, "receipts that had come early were joined"),
                Err(error) => tracing::warn!(%error, "early receipts could not be joined; tried again soon"),
            },
        }
    }
}
