//! One process: its ports, and the roles that the settings name, on one directory or on a fleet's servers.

use std::sync::Arc;
use std::time::Duration;

use geopush_embedded::Database;
use geopush_log::SharedLog;
use geopush_registry::Directory;
use geopush_service::BoxError;
use geopush_service::health::{Health, serve_admin};
use geopush_service::http::Door;
use geopush_service::shutdown::{Finished, Running, Shutdown};
use geopush_service::telemetry::Metrics;
use tokio::net::TcpListener;
use tracing::info;

use crate::Addresses;
use crate::fleet;
use crate::roles::{Roles, Shared};
use crate::settings::{Backend, Role, Settings};
use crate::storage::{self, Storage};

/// What is under way may take this long to end once shutdown is asked for.
const DRAIN: Duration = Duration::from_secs(40);
/// A scrape under way may take this long.
const ADMIN_DRAIN: Duration = Duration::from_secs(2);

/// The roles that run in this process.
pub struct System {
    /// Where they listen.
    pub addresses: Addresses,
    /// What they say of themselves.
    pub health: Health,
    pub(crate) roles: Roles,
    /// Once there is one.
    pub(crate) log: Option<SharedLog>,
    file: Option<Database>,
    admin: (Shutdown, Running),
    doors: Doors,
}

/// The ports of roles that have not started yet.
#[derive(Default)]
struct Doors {
    ingest: Option<Door>,
    api: Option<Door>,
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
        let mut system = Self::open(&settings, metrics, shutdown).await?;
        let Storage { log, store, file, .. } = storage;
        system.log = Some(Arc::clone(&log));
        system.file = file;
        if settings.roles.contains(&Role::Geofence) {
            system.roles.geofence(settings.geofence, &log);
        }
        let sealer = storage::sealer(&settings)?;
        let directory = Directory::follow(Arc::clone(&log), sealer.clone()).await?;
        system.start_on_tables(settings, &Shared::new(log, store, sealer, directory)).await?;
        Ok(system)
    }

    /// Starts the roles that the settings name, once what they need is there: on the embedded default at once, on a
    /// fleet each role as soon as its servers answer. Its ports are open and `addresses.json` is written before;
    /// `/readyz` says what is waited for. It returns early when shutdown is asked for, or when something can never
    /// work: [`Self::finish`] tells then.
    ///
    /// # Errors
    /// When a port can't be had, or the embedded default can't be used.
    pub async fn start_waiting(
        settings: Settings,
        metrics: Metrics,
        shutdown: Shutdown,
    ) -> Result<Self, BoxError> {
        let Backend::Fleet(fleet) = settings.backend.clone() else {
            let storage = Storage::open(&settings).await?;
            return Self::start(settings, storage, metrics, shutdown).await;
        };
        std::fs::create_dir_all(&settings.data_dir)?;
        let mut system = Self::open(&settings, metrics, shutdown).await?;
        if let Err(error) = fleet::come_up(&mut system, settings, &fleet).await {
            // A role may run already: it is ended in order, and the process fails.
            system.roles.running.spawn("start", async move { Err(error) });
        }
        Ok(system)
    }

    /// Opens the ports.
    async fn open(settings: &Settings, metrics: Metrics, shutdown: Shutdown) -> Result<Self, BoxError> {
        Addresses::forget(&settings.data_dir)?;
        let health = Health::new(shutdown.clone());
        for part in settings.roles.iter().flat_map(|role| role.parts()) {
            health.register(*part);
        }
        let mut addresses = Addresses::default();
        let admin = settings.admin_addr.bind().await?;
        addresses.admin = Some(listening("admin", &admin)?);
        // Operators see the drain, too: their port closes last.
        let admin_shutdown = Shutdown::new();
        let mut admin_running = Running::new(admin_shutdown.clone());
        admin_running.spawn("admin", serve_admin(admin, health.clone(), metrics, admin_shutdown.clone()));

        let mut doors = Doors::default();
        if settings.roles.contains(&Role::ControlApi) {
            let listener = settings.api.addr.bind().await?;
            addresses.api = Some(listening("control-api", &listener)?);
            doors.api = Some(Door::open(listener, "api")?);
        }
        if settings.roles.contains(&Role::Ingest) {
            let listener = settings.ingest.addr.bind().await?;
            addresses.ingest = Some(listening("ingest", &listener)?);
            doors.ingest = Some(Door::open(listener, "ingest")?);
        }
        addresses.write(&settings.data_dir)?;
        let roles = Roles { health: health.clone(), running: Running::new(shutdown.clone()), shutdown };
        let admin = (admin_shutdown, admin_running);
        Ok(Self { addresses, health, roles, log: None, file: None, admin, doors })
    }

    /// Starts every role but the evaluator, which works without tables.
    pub(crate) async fn start_on_tables(
        &mut self,
        settings: Settings,
        shared: &Shared,
    ) -> Result<(), BoxError> {
        if settings.roles.contains(&Role::Dispatcher) {
            self.roles.plan(settings.plan, shared);
            self.roles.expand(settings.expand, shared);
            self.roles.send(settings.send, shared);
            self.roles.record(settings.record, shared);
        }
        if let Some(door) = self.doors.api.take() {
            self.roles.control_api(settings.api, shared, door.hand_over().await)?;
        }
        if let Some(door) = self.doors.ingest.take() {
            self.roles.ingest(settings.ingest, shared, door.hand_over().await);
        }
        Ok(())
    }

    /// Runs until shutdown is asked for or a role fails; then waits for what is under way and closes the log.
    pub async fn finish(self) -> Finished {
        let finished = self.roles.running.finish(DRAIN).await;
        for door in [self.doors.ingest, self.doors.api].into_iter().flatten() {
            drop(door.hand_over().await);
        }
        storage::close(self.log, self.file).await;
        info!("everything that was accepted is durable");
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
