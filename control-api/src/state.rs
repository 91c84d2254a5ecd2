//! What every handler shares.

use std::sync::Arc;

use axum::extract::{Request, State};
use geopush_log::SharedLog;
use geopush_model::UnixMillis;
use geopush_registry::{Devices, Directory, Publisher, Sealer};
use geopush_service::clock::Clock;
use geopush_service::config::ByteSize;
use geopush_service::http::{BodyLimits, json_body};
use geopush_store::Store;
use serde_json::Value;

use crate::ApiConfig;
use crate::error::ApiError;
use crate::rate::Limiter;
use crate::zones::Imports;

/// What the API works with.
#[derive(Clone)]
pub struct Dependencies {
    /// Where sends' jobs go.
    pub log: SharedLog,
    /// Everything that is read.
    pub store: Store,
    /// Changes configuration.
    pub publisher: Publisher,
    /// Who holds which key.
    pub directory: Arc<Directory>,
    /// The devices.
    pub devices: Devices,
    /// Seals apps' credentials.
    pub sealer: Sealer,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
}

/// What every handler shares.
pub(crate) struct Api {
    pub config: ApiConfig,
    pub deps: Dependencies,
    pub limiter: Limiter,
    pub imports: Imports,
}

pub(crate) type Shared = State<Arc<Api>>;

impl Api {
    pub fn new(config: ApiConfig, deps: Dependencies) -> Self {
        let limiter = Limiter::new(config.requests_per_second);
        Self { config, deps, limiter, imports: Imports::new() }
    }

    pub fn now(&self) -> UnixMillis {
        UnixMillis(self.deps.clock.now_ms())
    }

    pub fn store(&self) -> &Store {
        &self.deps.store
    }

    /// How the bodies of most calls are read.
    pub fn limits(&self) -> BodyLimits {
        limits(self.config.max_body)
    }

    /// How a send's body is read.
    pub fn send_limits(&self) -> BodyLimits {
        limits(self.config.max_send_body)
    }

    /// How an import's body is read.
    pub fn import_limits(&self) -> BodyLimits {
        let usual = limits(self.config.max_import_body);
        BodyLimits { within: usual.within * 10, ..usual }
    }

    /// A JSON body within the usual limits.
    pub async fn body(&self, request: Request) -> Result<Value, ApiError> {
        Ok(json_body(request, self.limits()).await?)
    }
}

fn limits(size: ByteSize) -> BodyLimits {
    BodyLimits::new(size, size)
}
