//! A router over a log and a store of its own.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Request, Response};
use geopush_embedded::Database;
use geopush_ingest::{Dependencies, IngestConfig, router};
use geopush_log::{Cursor, EmbeddedLog, SharedLog, Topic, TraceId, Until};
use geopush_model::{DeviceId, Ping, UnixMillis, Wire as _};
use geopush_registry::{Devices, Directory, KnownDevices, NewTenant, Publisher, Sealer, create_tenant};
use geopush_service::clock::TestClock;
use geopush_service::config::{Reader, Sources};
use geopush_store::{EmbeddedStore, Store};
use serde_json::Value;
use tower::ServiceExt as _;

pub const NOW: i64 = 1_767_225_600_000; // 2026-01-01T00:00:00Z

pub struct House {
    router: Router,
    pub log: SharedLog,
    pub store: Store,
    pub devices: Devices,
    pub tenant: NewTenant,
    _dir: tempfile::TempDir,
}

pub async fn house(flags: &[(&str, &str)]) -> House {
    let dir = tempfile::tempdir().unwrap();
    let database = Database::open(dir.path()).unwrap();
    let log: SharedLog = Arc::new(EmbeddedLog::open(database.clone(), 8).await.unwrap());
    let store = Store::new(Arc::new(EmbeddedStore::new(database)));
    store.migrate().await.unwrap();
    let sealer = Sealer::from_hex(&"07".repeat(32)).unwrap();
    let directory = Arc::new(Directory::follow(Arc::clone(&log), sealer).await.unwrap());
    let publisher = Publisher::new(store.clone(), Arc::clone(&log), || UnixMillis(NOW));
    let tenant = create_tenant(&publisher, "Shop", UnixMillis(NOW)).await.unwrap();
    directory.barrier().await.unwrap();
    let devices = Devices::new(store.clone(), Arc::clone(&log), KnownDevices::new(100));
    let flags = flags.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    let mut reader = Reader::new(Sources { flags, ..Sources::default() });
    let config = IngestConfig::read(&mut reader);
    reader.finish().unwrap();
    let clock = Arc::new(TestClock::at(NOW));
    let dependencies = Dependencies {
        log: Arc::clone(&log),
        store: store.clone(),
        directory,
        devices: devices.clone(),
        clock,
    };
    House { router: router(config, dependencies), log, store, devices, tenant, _dir: dir }
}

impl House {
    pub async fn ask(&self, request: Request<Body>) -> Response<Body> {
        self.router.clone().oneshot(request).await.unwrap()
    }

    pub fn post(&self) -> axum::http::request::Builder {
        self.request("POST", "/v1/pings", &self.tenant.publishable_key)
    }

    pub fn request(&self, method: &str, path: &str, key: &str) -> axum::http::request::Builder {
        Request::builder()
            .method(method)
            .uri(path)
            .header("authorization", format!("Bearer {key}"))
            .header("content-type", "application/json")
    }

    pub async fn pings(&self) -> Vec<(Ping, Option<TraceId>)> {
        let mut all = Vec::new();
        for partition in 0..8 {
            let from = vec![Cursor { topic: Topic::Pings, partition, offset: 0 }];
            let mut reader = self.log.read(from, Until::Now).await.unwrap();
            while !reader.done() {
                if let Some((_, records)) = reader.next(Duration::from_secs(5)).await.unwrap() {
                    let ping = |r: geopush_log::Received| {
                        (Ping::decode(r.value.as_ref().unwrap()).unwrap(), r.trace)
                    };
                    all.extend(records.into_iter().map(ping));
                }
            }
        }
        all
    }
}

pub async fn json_of(response: Response<Body>) -> Value {
    serde_json::from_slice(&to_bytes(response.into_body(), 1 << 20).await.unwrap()).unwrap()
}

pub fn device(id: &str) -> DeviceId {
    DeviceId::new(id).unwrap()
}
