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
        self.set(&Word::Ready);
    }

    /// It can't, and why, in words for an operator.
    pub fn not_ready(&self, why: impl Into<String>) {
        self.set(&Word::NotReady(why.into()));
    }

    /// The same for a caller that writes the log line itself.
    pub fn not_ready_unlogged(&self, why: impl Into<String>) {
        self.put(Word::NotReady(why.into()));
    }

    fn set(&self, state: &Word) {
        if self.put(state.clone()) {
            match state {
                Word::Ready => tracing::info!(part = self.name, "ready"),
                Word::NotReady(why) => tracing::info!(part = self.name, why, "not ready"),
            }
        }
    }

    /// Returns whether this is news.
    fn put(&self, state: Word) -> bool {
        let mut parts = self.health.parts.write().unwrap_or_else(PoisonError::into_inner);
        let ready = if state == Word::Ready { 1.0 } else { 0.0 };
        metrics::gauge!("geopush_health_ready", "part" => self.name.clone()).set(ready);
        let news = parts.get(&self.name) != Some(&state);
        if news {
            parts.insert(self.name.clone(), state);
        }
        news
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

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::http::Request;
    use http_body_util::BodyExt;
    use serde_json::Value;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tower::ServiceExt;

    use super::*;
    use crate::telemetry::{LogFormat, init};

    async fn ask(health: &Health, path: &str) -> (u16, String) {
        let router = admin_router(health.clone(), init(LogFormat::Text, "off").unwrap());
        let response = router.oneshot(Request::get(path).body(Body::empty()).unwrap()).await.unwrap();
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    async fn readyz(health: &Health) -> (u16, Value) {
        let (status, body) = ask(health, "/readyz").await;
        (status, serde_json::from_str(&body).unwrap())
    }

    #[tokio::test]
    async fn a_process_is_ready_when_all_its_parts_are_and_until_it_shuts_down() {
        let shutdown = Shutdown::new();
        let health = Health::new(shutdown.clone());
        assert_eq!(readyz(&health).await.0, 503, "nothing has registered yet");

        let (ingest, geofence) = (health.register("ingest"), health.register("geofence"));
        ingest.ready();
        geofence.not_ready("waiting for the log");
        let parts = json!({"ingest": {"status": "ready"},
            "geofence": {"status": "not_ready", "reason": "waiting for the log"}});
        assert_eq!(readyz(&health).await, (503, json!({"status": "not_ready", "parts": parts})));

        geofence.ready();
        let parts = json!({"ingest": {"status": "ready"}, "geofence": {"status": "ready"}});
        assert_eq!(readyz(&health).await, (200, json!({"status": "ready", "parts": parts})));

        shutdown.request();
        assert_eq!(readyz(&health).await.0, 503);
        assert_eq!(ask(&health, "/livez").await, (200, "ok".into()));
    }

    #[tokio::test]
    async fn the_admin_port_serves_metrics_until_its_own_shutdown() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (addr, shutdown) = (listener.local_addr().unwrap(), Shutdown::new());
        let metrics = init(LogFormat::Text, "off").unwrap();
        let health = Health::default();
        health.register("scraped").ready();
        health.register("waiting");
        let serving = tokio::spawn(serve_admin(listener, health, metrics, shutdown.clone()));
        let mut stream = tokio::net::TcpStream::connect(addr).await.unwrap();
        stream.write_all(b"GET /metrics HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n").await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.contains("200 OK") && answer.contains("geopush_build_info"), "{answer}");
        for line in [r#"geopush_health_ready{part="scraped"} 1"#, r#"geopush_health_ready{part="waiting"} 0"#]
        {
            assert!(answer.contains(line), "{line} in\n{answer}");
        }
        shutdown.request();
        serving.await.unwrap().unwrap();
    }
}
