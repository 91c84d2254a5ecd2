//! The roles of one process on the embedded default.

use std::sync::Arc;
use std::time::Duration;

use geopush_dispatcher::expand::{self, ExpandDependencies};
use geopush_dispatcher::plan::{self, PlanDependencies};
use geopush_dispatcher::record::{self, RecordDependencies};
use geopush_dispatcher::send::{self, SendDependencies};
use geopush_embedded::Database;
use geopush_log::{EmbeddedLog, SharedLog};
use geopush_model::UnixMillis;
use geopush_registry::{Devices, Directory, KnownDevices, Publisher, Sealer};
use geopush_service::BoxError;
use geopush_service::clock::{Clock as _, SystemClock};
use geopush_service::health::{Health, serve_admin};
use geopush_service::shutdown::{Finished, Running, Shutdown};
use geopush_service::telemetry::Metrics;
use geopush_store::{EmbeddedStore, Store};
use tokio::net::TcpListener;
use tracing::info;

use crate::{Addresses, Role, Settings};

/// What is under way may take this long to end once shutdown is asked for.
const DRAIN: Duration = Duration::from_secs(40);
/// A scrape under way may take this long.
const ADMIN_DRAIN: Duration = Duration::from_secs(2);
/// Devices that are known to exist; at some 150 bytes each.
const KNOWN_DEVICES: u64 = 1_000_000;

/// The log and the tables of the embedded default, in one file.
pub struct Storage {
    database: Database,
    /// The log.
    pub log: SharedLog,
    /// The tables.
    pub store: Store,
    /// Writes configuration to both.
    pub publisher: Publisher,
    /// Seals credentials.
    pub sealer: Sealer,
}

impl Storage {
    /// Opens, or makes, the file in the data directory; no other process may have it open.
    ///
    /// # Errors
    /// When the directory can't be used, or another process uses it.
    pub async fn open(settings: &Settings) -> Result<Self, BoxError> {
        let database = Database::open(&settings.data_dir)?;
        let log: SharedLog = Arc::new(EmbeddedLog::open(database.clone(), settings.partitions).await?);
        let store = Store::new(Arc::new(EmbeddedStore::new(database.clone())));
        store.migrate().await?;
        let sealer = match &settings.secrets_key {
            Some(key) => Sealer::from_hex(key.expose())?,
            None => Sealer::from_file(&settings.data_dir.join("secrets.key"))?,
        };
        let publisher = Publisher::new(store.clone(), Arc::clone(&log), || UnixMillis(SystemClock.now_ms()));
        Ok(Self { database, log, store, publisher, sealer })
    }

    /// Waits for what is being written, and closes the file.
    pub async fn close(self) {
        self.log.close().await;
        self.database.close().await;
    }
}

/// The roles that run in this process.
pub struct System {
    /// Where they listen.
    pub addresses: Addresses,
    /// What they say of themselves.
    pub health: Health,
    storage: Storage,
    running: Running,
    admin: (Shutdown, Running),
}

impl System {
    /// Starts the roles that the settings name, on an open storage, and writes `addresses.json`.
    ///
    /// # Errors
    /// When a port can't be had, or a role can't start.
    pub async fn start(
        settings: Settings,
        storage: Storage,
        metrics: Metrics,
        shutdown: Shutdown,
    ) -> Result<Self, BoxError> {
        Addresses::forget(&settings.data_dir)?;
        let health = Health::new(shutdown.clone());
        let mut roles = Roles::new(&storage, health.clone(), shutdown.clone()).await?;
        let mut addresses = Addresses::default();

        let admin = settings.admin_addr.bind().await?;
        addresses.admin = Some(listening("admin", &admin)?);
        // Operators see the drain, too: their port closes last.
        let admin_shutdown = Shutdown::new();
        let mut admin_running = Running::new(admin_shutdown.clone());
        admin_running.spawn("admin", serve_admin(admin, health.clone(), metrics, admin_shutdown.clone()));

        if settings.roles.contains(&Role::Geofence) {
            roles.geofence(settings.geofence);
        }
        if settings.roles.contains(&Role::Dispatcher) {
            roles.plan(settings.plan);
            roles.expand(settings.expand);
            roles.send(settings.send);
            roles.record(settings.record);
        }
        if settings.roles.contains(&Role::ControlApi) {
            let listener = settings.api.addr.bind().await?;
            addresses.api = Some(listening("control-api", &listener)?);
            roles.control_api(settings.api, listener);
        }
        if settings.roles.contains(&Role::Ingest) {
            let listener = settings.ingest.addr.bind().await?;
            addresses.ingest = Some(listening("ingest", &listener)?);
            roles.ingest(settings.ingest, listener);
        }
        addresses.write(&settings.data_dir)?;
        let running = roles.running;
        Ok(Self { addresses, health, storage, running, admin: (admin_shutdown, admin_running) })
    }

    /// Runs until shutdown is asked for or a role fails; then waits for what is under way and closes the file.
    pub async fn finish(self) -> Finished {
        let finished = self.running.finish(DRAIN).await;
        self.storage.close().await;
        info!("everything that was accepted is on disk");
        let (shutdown, admin) = self.admin;
        shutdown.request();
        admin.finish(ADMIN_DRAIN).await;
        finished
    }
}

fn listening(name: &str, listener: &TcpListener) -> Result<std::net::SocketAddr, BoxError> {
    let address = listener.local_addr()?;
    info!(server = name, %address, "listening");
    Ok(address)
}

/// What every role is started with.
struct Roles {
    log: SharedLog,
    store: Store,
    publisher: Publisher,
    sealer: Sealer,
    directory: Arc<Directory>,
    devices: Devices,
    health: Health,
    shutdown: Shutdown,
    running: Running,
}

impl Roles {
    async fn new(storage: &Storage, health: Health, shutdown: Shutdown) -> Result<Self, BoxError> {
        let (log, store, sealer) = (Arc::clone(&storage.log), storage.store.clone(), storage.sealer.clone());
        let directory = Arc::new(Directory::follow(Arc::clone(&log), sealer.clone()).await?);
        let devices = Devices::new(store.clone(), Arc::clone(&log), KnownDevices::new(KNOWN_DEVICES));
        let running = Running::new(shutdown.clone());
        let publisher = storage.publisher.clone();
        Ok(Self { log, store, publisher, sealer, directory, devices, health, shutdown, running })
    }

    fn log(&self) -> SharedLog {
        Arc::clone(&self.log)
    }

    fn geofence(&mut self, config: geopush_geofence::GeofenceConfig) {
        let dependencies = geopush_geofence::Dependencies {
            log: self.log(),
            clock: SystemClock::shared(),
            health: self.health.clone(),
        };
        let shutdown = self.shutdown.clone();
        self.running.spawn("geofence", geopush_geofence::serve(config, dependencies, shutdown));
    }

    fn plan(&mut self, config: plan::PlanConfig) {
        let dependencies = PlanDependencies {
            log: self.log(),
            store: self.store.clone(),
            devices: self.devices.clone(),
            directory: Arc::clone(&self.directory),
            clock: SystemClock::shared(),
            readiness: self.health.register("plan"),
        };
        let shutdown = self.shutdown.token();
        self.running.spawn("plan", async move { Ok(plan::serve(config, dependencies, shutdown).await?) });
    }

    fn expand(&mut self, config: expand::ExpandConfig) {
        let readiness = self.health.register("expand");
        let dependencies = ExpandDependencies { log: self.log(), store: self.store.clone(), readiness };
        let shutdown = self.shutdown.token();
        self.running.spawn("expand", async move { Ok(expand::serve(config, dependencies, shutdown).await?) });
    }

    fn send(&mut self, config: send::SendConfig) {
        let dependencies = SendDependencies {
            log: self.log(),
            apps: Arc::clone(&self.directory) as _,
            clock: SystemClock::shared(),
        };
        let shutdown = self.shutdown.token();
        self.running.spawn("send", async move { Ok(send::serve(config, dependencies, shutdown).await?) });
    }

    fn record(&mut self, config: record::RecordConfig) {
        let dependencies = RecordDependencies {
            log: self.log(),
            store: self.store.clone(),
            devices: self.devices.clone(),
            clock: SystemClock::shared(),
            readiness: self.health.register("record"),
        };
        let shutdown = self.shutdown.token();
        self.running.spawn("record", async move { Ok(record::serve(config, dependencies, shutdown).await?) });
    }

    fn control_api(&mut self, config: geopush_control_api::ApiConfig, listener: TcpListener) {
        let dependencies = geopush_control_api::Dependencies {
            log: self.log(),
            store: self.store.clone(),
            publisher: self.publisher.clone(),
            directory: Arc::clone(&self.directory),
            devices: self.devices.clone(),
            sealer: self.sealer.clone(),
            clock: SystemClock::shared(),
        };
        let (health, shutdown) = (self.health.clone(), self.shutdown.clone());
        let served = geopush_control_api::serve(config, dependencies, listener, health, shutdown);
        self.running.spawn("control-api", served);
    }

    fn ingest(&mut self, config: geopush_ingest::IngestConfig, listener: TcpListener) {
        let dependencies = geopush_ingest::Dependencies {
            log: self.log(),
            store: self.store.clone(),
            directory: Arc::clone(&self.directory),
            devices: self.devices.clone(),
            clock: SystemClock::shared(),
        };
        let (health, shutdown) = (self.health.clone(), self.shutdown.clone());
        let served = geopush_ingest::serve(config, dependencies, listener, health, shutdown);
        self.running.spawn("ingest", served);
    }
}
