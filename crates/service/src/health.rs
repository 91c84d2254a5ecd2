//! What a process says of itself: alive, ready, and its metrics, on the admin port.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::json;
use tokio::net::TcpListener;

use crate::BoxError;
use crate::http::{ServeLimits, serve_http};
use crate::shutdown::Shutdown;
use crate::telemetry::Metrics;

/// How often metrics are brought up to date when nobody asks for them, so that histograms don't pile up.
const UPKEEP: Duration = Duration::from_secs(5);

/// What the parts of a process say of their readiness. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Health {
    parts: Arc<RwLock<BTreeMap<String, Word>>>,
    shutdown: Shutdown,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Word {
    Ready,
    NotReady(String),
}

impl Health {
    /// A registry that is not ready from the moment this shutdown is asked for, so that no new work is sent.
    pub fn new(shutdown: Shutdown) -> Self {
        Self { parts: Arc::default(), shutdown }
    }

    /// Adds a part, not ready until it says so. A name registered again starts anew.
    pub fn register(&self, name: impl Into<String>) -> Readiness {
        let part = Readiness { health: self.clone(), name: name.into() };
        part.not_ready("starting");
        part
    }

    /// Whether all parts are ready, and each one's word. With no parts nothing is ready.
    pub fn report(&self) -> Report {
        let parts = self.parts.read().unwrap_or_else(PoisonError::into_inner);
        let mut parts: BTreeMap<String, Option<String>> = parts
            .iter()
            .map(|(name, state)| match state {
                Word::Ready => (name.clone(), None),
                Word::NotReady(why) => (name.clone(), Some(why.clone())),
            })
            .collect();
        if self.shutdown.is_requested() {
            parts.insert("process".into(), Some("shutting down".into()));
        } else if parts.is_empty() {
            parts.insert("process".into(), Some("starting".into()));
        }
        Report { parts }
    }
}

/// One part's say.
#[derive(Clone, Debug)]
pub struct Readiness {
    health: Health,
    name: String,
}

impl Readiness {
    /// The part can do its work.
    pub fn ready(&self) {
        self.set(Word::Ready);
    }

    /// It can't, and why, in words for an operator.
    pub fn not_ready(&self, why: impl Into<String>) {
        self.set(Word::NotReady(why.into()));
    }

    fn set(&self, state: Word) {
        let mut parts = self.health.parts.write().unwrap_or_else(PoisonError::into_inner);
        if parts.get(&self.name) != Some(&state) {
            match &state {
                Word::Ready => tracing::info!(part = self.name, "ready"),
                Word::NotReady(why) => tracing::info!(part = self.name, why, "not ready"),
            }
            parts.insert(self.name.clone(), state);
        }
    }
}

/// What `/readyz` answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Each part, with the reason if it is not ready.
    pub parts: BTreeMap<String, Option<String>>,
}

impl Report {
    /// Whether every part is.
    pub fn is_ready(&self) -> bool {
        self.parts.values().all(Option::is_none)
    }
}

impl IntoResponse for Report {
    fn into_response(self) -> Response {
        let word = |ready| if ready { "ready" } else { "not_ready" };
        let ready = self.is_ready();
        let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        let parts: serde_json::Map<_, _> = self
            .parts
            .into_iter()
            .map(|(name, why)| {
                let part = match why {
                    None => json!({ "status": word(true) }),
                    Some(why) => json!({ "status": word(false), "reason": why }),
                };
                (name, part)
            })
            .collect();
        (status, Json(json!({ "status": word(ready), "parts": parts }))).into_response()
    }
}

/// The routes of the admin port: `/livez`, `/readyz`, `/metrics`.
pub fn admin_router(health: Health, metrics: Metrics) -> Router {
    let text = [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
    Router::new()
        .route("/livez", get(async || "ok"))
        .route("/readyz", get(async |State(health): State<Health>| health.report()))
        .with_state(health)
        .route("/metrics", get(async move || (text, metrics.render())))
}

/// Serves the admin port until `shutdown`.
///
/// Give it a shutdown of its own, asked for after the other tasks have ended, so that a process can be watched
/// while it drains; `health` already says "not ready" by then.
///
/// # Errors
/// When the server fails, as [`serve_http`].
pub async fn serve_admin(
    listener: TcpListener,
    health: Health,
    metrics: Metrics,
    shutdown: Shutdown,
) -> Result<(), BoxError> {
    let limits =
        ServeLimits { max_connections: 64, drain: Duration::from_secs(2), ..ServeLimits::named("admin") };
    let router = admin_router(health, metrics.clone());
    let serving = serve_http(listener, router, shutdown, limits);
    let upkeep = async {
        let mut ticks = tokio::time::interval(UPKEEP);
        loop {
            ticks.tick().await;
            metrics.upkeep();
        }
    };
    tokio::select! {
        served = serving => served,
        () = upkeep => Ok(()),
    }
}
