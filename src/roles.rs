//! Starts each role with what it works with.

use std::sync::Arc;

use geopush_control_api::ApiConfig;
use geopush_dispatcher::expand::{self, ExpandConfig, ExpandDependencies};
use geopush_dispatcher::plan::{self, PlanConfig, PlanDependencies};
use geopush_dispatcher::record::{self, RecordConfig, RecordDependencies};
use geopush_dispatcher::send::{self, SendConfig, SendDependencies};
use geopush_geofence::GeofenceConfig;
use geopush_ingest::IngestConfig;
use geopush_log::SharedLog;
use geopush_registry::{Devices, Directory, Publisher, Sealer};
use geopush_service::BoxError;
use geopush_service::clock::SystemClock;
use geopush_service::health::Health;
use geopush_service::shutdown::{Running, Shutdown};
use geopush_store::Store;
use tokio::net::TcpListener;

use crate::Role;
use crate::storage::publisher;

impl Role {
    /// The parts of `/readyz` that it answers for.
    pub(crate) fn parts(self) -> &'static [&'static str] {
        match self {
            Self::Ingest => &["ingest"],
            Self::Geofence => &["geofence"],
            Self::Dispatcher => &["plan", "expand", "record"],
            Self::ControlApi => &["api"],
        }
    }
}

/// The roles that run in this process.
pub(crate) struct Roles {
    pub health: Health,
    pub shutdown: Shutdown,
    pub running: Running,
}

/// What the roles that work with tables share.
pub(crate) struct Shared {
    log: SharedLog,
    store: Store,
    publisher: Publisher,
    sealer: Option<Sealer>,
    directory: Arc<Directory>,
    devices: Devices,
}

impl Shared {
    pub fn new(log: SharedLog, store: Store, sealer: Option<Sealer>, directory: Directory) -> Self {
        let publisher = publisher(&store, &log);
        let devices = Devices::new(store.clone(), Arc::clone(&log), directory.known_devices());
        Self { log, store, publisher, sealer, directory: Arc::new(directory), devices }
    }

    fn log(&self) -> SharedLog {
        Arc::clone(&self.log)
    }
}

impl Roles {
    pub fn geofence(&mut self, config: GeofenceConfig, log: &SharedLog) {
        let dependencies = geopush_geofence::Dependencies {
            log: Arc::clone(log),
            clock: SystemClock::shared(),
            health: self.health.clone(),
        };
        let shutdown = self.shutdown.clone();
        self.running.spawn("geofence", geopush_geofence::serve(config, dependencies, shutdown));
    }

    pub fn plan(&mut self, config: PlanConfig, shared: &Shared) {
        let dependencies = PlanDependencies {
            log: shared.log(),
            store: shared.store.clone(),
            devices: shared.devices.clone(),
            directory: Arc::clone(&shared.directory),
            clock: SystemClock::shared(),
            readiness: self.health.register("plan"),
        };
        let shutdown = self.shutdown.token();
        self.running.spawn("plan", async move { Ok(plan::serve(config, dependencies, shutdown).await?) });
    }

    pub fn expand(&mut self, config: ExpandConfig, shared: &Shared) {
        let dependencies = ExpandDependencies {
            log: shared.log(),
            store: shared.store.clone(),
            devices: shared.devices.clone(),
            directory: Arc::clone(&shared.directory),
            clock: SystemClock::shared(),
            readiness: self.health.register("expand"),
        };
        let shutdown = self.shutdown.token();
        self.running.spawn("expand", async move { Ok(expand::serve(config, dependencies, shutdown).await?) });
    }

    pub fn send(&mut self, config: SendConfig, shared: &Shared) {
        let dependencies = SendDependencies {
            log: shared.log(),
            apps: Arc::clone(&shared.directory) as _,
            clock: SystemClock::shared(),
        };
        let shutdown = self.shutdown.token();
        self.running.spawn("send", async move { Ok(send::serve(config, dependencies, shutdown).await?) });
    }

    pub fn record(&mut self, config: RecordConfig, shared: &Shared) {
        let dependencies = RecordDependencies {
            log: shared.log(),
            store: shared.store.clone(),
            devices: shared.devices.clone(),
            clock: SystemClock::shared(),
            readiness: self.health.register("record"),
        };
        let shutdown = self.shutdown.token();
        self.running.spawn("record", async move { Ok(record::serve(config, dependencies, shutdown).await?) });
    }

    pub fn control_api(
        &mut self,
        config: ApiConfig,
        shared: &Shared,
        listener: TcpListener,
    ) -> Result<(), BoxError> {
        let dependencies = geopush_control_api::Dependencies {
            log: shared.log(),
            store: shared.store.clone(),
            publisher: shared.publisher.clone(),
            directory: Arc::clone(&shared.directory),
            devices: shared.devices.clone(),
            sealer: shared.sealer.clone().ok_or("control-api needs secrets_key")?,
            clock: SystemClock::shared(),
        };
        let (health, shutdown) = (self.health.clone(), self.shutdown.clone());
        let served = geopush_control_api::serve(config, dependencies, listener, health, shutdown);
        self.running.spawn("control-api", served);
        Ok(())
    }

    pub fn ingest(&mut self, config: IngestConfig, shared: &Shared, listener: TcpListener) {
        let dependencies = geopush_ingest::Dependencies {
            log: shared.log(),
            store: shared.store.clone(),
            directory: Arc::clone(&shared.directory),
            devices: shared.devices.clone(),
            clock: SystemClock::shared(),
        };
        let (health, shutdown) = (self.health.clone(), self.shutdown.clone());
        let served = geopush_ingest::serve(config, dependencies, listener, health, shutdown);
        self.running.spawn("ingest", served);
    }
}
