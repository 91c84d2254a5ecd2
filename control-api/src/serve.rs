//! The HTTP server that merchants talk to, and the upkeep of what they configure.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::middleware::from_fn_with_state;
use geopush_service::BoxError;
use geopush_service::health::Health;
use geopush_service::http::{Edge, ServeLimits, serve_http};
use geopush_service::shutdown::Shutdown;
use tokio::net::TcpListener;
use utoipa_axum::router::OpenApiRouter;

use crate::state::{Api, Dependencies};
use crate::zones::IMPORT;
use crate::{
    ApiConfig, apps, auth, campaigns, dead_letters, deliveries, devices, docs, events, idempotency, presence,
    sends, settings, totals, transitions, zones,
};

/// How often changes that died half way are looked for.
const SWEEP_EVERY: Duration = Duration::from_secs(30);
/// How often rows whose time ran out are removed.
const EXPIRE_EVERY: Duration = Duration::from_secs(3_600);

/// Every route that needs a key.
fn routes() -> OpenApiRouter<Arc<Api>> {
    OpenApiRouter::new()
        .merge(zones::routes())
        .merge(devices::routes())
        .merge(presence::routes())
        .merge(transitions::routes())
        .merge(deliveries::routes())
        .merge(totals::routes())
        .merge(dead_letters::routes())
        .merge(apps::routes())
        .merge(campaigns::routes())
        .merge(sends::routes())
        .merge(events::routes())
        .merge(settings::routes())
}

/// The OpenAPI 3.1 document.
pub fn openapi() -> serde_json::Value {
    docs::complete(&routes().into_openapi())
}

/// The routes.
pub fn router(config: ApiConfig, dependencies: Dependencies) -> Router {
    router_of(Arc::new(Api::new(config, dependencies)))
}

fn router_of(api: Arc<Api>) -> Router {
    let edge = Edge::new("api").timeout(api.config.timeout).timeout_for(IMPORT, api.config.timeout * 10);
    let (router, document) = routes().split_for_parts();
    let router = router
        .route_layer(from_fn_with_state(Arc::clone(&api), idempotency::replay))
        .route_layer(from_fn_with_state(Arc::clone(&api), auth::authenticate))
        .with_state(api)
        .merge(docs::routes(&docs::complete(&document)));
    edge.apply(router)
}

/// Serves merchants until shutdown; meanwhile publishes what died half way and removes what ran out.
///
/// # Errors
/// None at present.
pub async fn serve(
    config: ApiConfig,
    dependencies: Dependencies,
    listener: TcpListener,
    health: Health,
    shutdown: Shutdown,
) -> Result<(), BoxError> {
    let ready = health.register("api");
    let api = Arc::new(Api::new(config, dependencies));
    let upkeep = tokio::spawn(keep_up(Arc::clone(&api), shutdown.clone()));
    let router = router_of(Arc::clone(&api));
    ready.ready();
    let served = serve_http(listener, router, shutdown, ServeLimits::named("api")).await;
    // Jobs that go on now could not be finished: they say so themselves.
    api.imports.stop.cancel();
    api.imports.jobs.close();
    api.imports.jobs.wait().await;
    upkeep.await?;
    served
}

/// The regular work, until shutdown.
async fn keep_up(api: Arc<Api>, shutdown: Shutdown) {
    let mut sweep = tokio::time::interval(SWEEP_EVERY);
    let mut expire = tokio::time::interval(EXPIRE_EVERY);
    loop {
        tokio::select! {
            () = shutdown.requested() => return,
            _ = sweep.tick() => match api.deps.publisher.sweep().await {
                Ok(0) => {}
                Ok(swept) => tracing::info!(swept, "changes that had died half way were published"),
                Err(error) => tracing::warn!(%error, "changes could not be swept; tried again soon"),
            },
            _ = expire.tick() => match api.store().expire(api.now().0).await {
                Ok(expired) => tracing::debug!(expired, "rows whose time ran out were removed"),
                Err(error) => tracing::warn!(%error, "rows could not be expired; tried again in an hour"),
            },
        }
    }
}
