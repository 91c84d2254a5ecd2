//! A router over a log and a store of its own, with two tenants.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request};
use geopush_control_api::{ApiConfig, Dependencies, openapi, router};
use geopush_embedded::Database;
use geopush_log::{Cursor, EmbeddedLog, Received, SharedLog, Topic, Until};
use geopush_model::UnixMillis;
use geopush_registry::{Devices, Directory, KnownDevices, NewTenant, Publisher, Sealer, create_tenant};
use geopush_service::clock::TestClock;
use geopush_service::config::{Reader, Sources};
use geopush_store::{EmbeddedStore, Store};
use serde_json::Value;
use tower::ServiceExt as _;

pub const NOW: i64 = 1_767_225_600_000; // 2026-01-01T00:00:00Z
pub const NOW_TEXT: &str = "2026-01-01T00:00:00.000Z";

/// The codes of wrong members, by the document.
static CODES: LazyLock<Vec<Value>> = LazyLock::new(|| {
    let document = openapi();
    let error = "/components/schemas/Problem/properties/errors/items/properties/code/enum";
    document.pointer(error).and_then(Value::as_array).unwrap().clone()
});

pub struct House {
    pub router: Router,
    pub config: ApiConfig,
    pub dependencies: Dependencies,
    pub store: Store,
    pub log: SharedLog,
    pub clock: TestClock,
    pub tenant: NewTenant,
    pub other: NewTenant,
    _dir: tempfile::TempDir,
}

/// An answer.
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub text: String,
}

pub async fn house() -> House {
    house_with(&[]).await
}

pub async fn house_with(flags: &[(&str, &str)]) -> House {
    let dir = tempfile::tempdir().unwrap();
    let database = Database::open(dir.path()).unwrap();
    let log: SharedLog = Arc::new(EmbeddedLog::open(database.clone(), 8).await.unwrap());
    let store = Store::new(Arc::new(EmbeddedStore::new(database)));
    store.migrate().await.unwrap();
    let sealer = Sealer::from_hex(&"07".repeat(32)).unwrap();
    let directory = Arc::new(Directory::follow(Arc::clone(&log), sealer.clone()).await.unwrap());
    let publisher = Publisher::new(store.clone(), Arc::clone(&log), || UnixMillis(NOW));
    let tenant = create_tenant(&publisher, "Shop", UnixMillis(NOW)).await.unwrap();
    let other = create_tenant(&publisher, "Other", UnixMillis(NOW)).await.unwrap();
    directory.barrier().await.unwrap();
    let devices = Devices::new(store.clone(), Arc::clone(&log), KnownDevices::new(100));
    let flags = flags.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    let mut reader = Reader::new(Sources { flags, ..Sources::default() });
    let config = ApiConfig::read(&mut reader);
    reader.finish().unwrap();
    let clock = TestClock::at(NOW);
    let dependencies = Dependencies {
        log: Arc::clone(&log),
        store: store.clone(),
        publisher,
        directory,
        devices,
        sealer,
        clock: Arc::new(clock.clone()),
    };
    let router = router(config.clone(), dependencies.clone());
    House { router, config, dependencies, store, log, clock, tenant, other, _dir: dir }
}

impl House {
    pub async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = to_bytes(body, usize::MAX).await.unwrap();
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        Answer { status: parts.status.as_u16(), headers: parts.headers, text }
    }

    /// Asks with the tenant's secret key and these headers.
    pub async fn ask(&self, call: &str, headers: &[(&str, &str)], body: impl Into<String>) -> Answer {
        self.ask_with(&self.tenant.secret_key, call, headers, body).await
    }

    /// `call` is a method and a path.
    pub async fn ask_with(
        &self,
        key: &str,
        call: &str,
        headers: &[(&str, &str)],
        body: impl Into<String>,
    ) -> Answer {
        let (method, path) = call.split_once(' ').unwrap();
        let mut request = Request::builder().method(method).uri(path);
        request = request.header("authorization", format!("Bearer {key}"));
        let body = body.into();
        if !body.is_empty() {
            request = request.header("content-type", "application/json");
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.send(request.body(Body::from(body)).unwrap()).await
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.ask(&format!("GET {path}"), &[], "").await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.ask(&format!("POST {path}"), &[], body.to_string()).await
    }

    pub async fn put(&self, path: &str, body: &Value) -> Answer {
        self.ask(&format!("PUT {path}"), &[], body.to_string()).await
    }

    /// Every item of a list, page by page, and how many pages there were.
    pub async fn pages(&self, path: &str, limit: usize, order: &str) -> (Vec<Value>, usize) {
        let joint = if path.contains('?') { '&' } else { '?' };
        let (mut items, mut cursor, mut pages) = (Vec::new(), String::new(), 0);
        loop {
            let page = self.get(&format!("{path}{joint}limit={limit}&order={order}{cursor}")).await.ok();
            pages += 1;
            let data = page["data"].as_array().unwrap();
            assert!(data.len() <= limit, "{path}");
            items.extend(data.iter().cloned());
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return (items, pages),
            }
            assert!(pages < 10_000, "{path} never ends");
        }
    }

    /// Asserts that a list of `count` is whole at every cut in both orders, by the ids under `id`.
    pub async fn whole_at_every_cut(&self, path: &str, count: usize, id: &str) {
        let ids = |items: &[Value]| items.iter().map(|item| item[id].clone()).collect::<Vec<_>>();
        let (all, pages) = self.pages(path, 1000, "asc").await;
        assert_eq!((all.len(), pages), (count, 1), "{path}");
        for limit in 1..=count + 1 {
            let (up, pages) = self.pages(path, limit, "asc").await;
            assert_eq!(ids(&up), ids(&all), "{path} by {limit}");
            assert!(pages <= count / limit + 1, "{path} by {limit}: {pages}");
            let (mut down, _) = self.pages(path, limit, "desc").await;
            down.reverse();
            assert_eq!(ids(&down), ids(&all), "{path} backwards by {limit}");
        }
    }

    /// The current records of a topic.
    pub async fn records(&self, topic: Topic) -> Vec<Received> {
        let mut all = Vec::new();
        for partition in 0..self.log.partitions(topic) {
            let from = vec![Cursor { topic, partition, offset: 0 }];
            let mut reader = self.log.read(from, Until::Now).await.unwrap();
            while !reader.done() {
                all.extend(
                    reader.next(Duration::from_secs(5)).await.unwrap().into_iter().flat_map(|(_, r)| r),
                );
            }
        }
        all
    }
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("{}: {}", self.status, self.text))
    }

    /// The body of a 200.
    pub fn ok(&self) -> Value {
        assert_eq!(self.status, 200, "{}", self.text);
        self.json()
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// Status and code of a problem, which must be a whole one.
    pub fn problem(&self) -> (u16, String) {
        assert_eq!(self.header("content-type"), "application/problem+json", "{}", self.text);
        let problem = self.json();
        for member in ["type", "title", "code", "detail", "request_id"] {
            assert!(problem[member].as_str().is_some_and(|text| !text.is_empty()), "{member}: {problem}");
        }
        assert_eq!(problem["status"], self.status);
        (self.status, problem["code"].as_str().unwrap().to_owned())
    }

    /// The pointers of a 422.
    pub fn pointers(&self) -> Vec<String> {
        assert_eq!(self.problem().0, 422, "{}", self.text);
        let errors = self.json()["errors"].as_array().unwrap().clone();
        for error in &errors {
            assert!(error["detail"].is_string(), "{error}");
            assert!(CODES.contains(&error["code"]), "the document does not name this code: {error}");
        }
        errors.iter().map(|error| error["pointer"].as_str().unwrap().to_owned()).collect()
    }
}
