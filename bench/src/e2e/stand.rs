//! What is measured: the whole system and a sandbox, each with threads of its own, in this process.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;

use geopush::{Addresses, Settings, Storage, System, read_settings};
use geopush_log::SharedLog;
use geopush_model::{TenantId, UnixMillis};
use geopush_registry::{NewTenant, create_tenant};
use geopush_sandbox::Sandbox;
use geopush_service::BoxError;
use geopush_service::clock::{Clock as _, SystemClock};
use geopush_service::config::Sources;
use geopush_service::shutdown::Shutdown;
use geopush_service::telemetry::{self, LogFormat};
use geopush_store::Store;
use tokio::sync::oneshot;

/// The beginnings of the threads' names, and the part that each belongs to.
pub const THREADS: [(&str, &str); 4] = [
    ("bench-system", "system"),
    ("geopush-", "system"),
    ("bench-sandbox", "sandbox"),
    ("bench-load", "load"),
];

/// Where the system keeps its log and its tables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Backing {
    /// In a directory.
    Embedded,
    /// On servers, under names of its own.
    Fleet {
        /// Kafka's brokers.
        kafka: String,
        /// Stands before the names of topics.
        prefix: String,
        /// Nodes of ScyllaDB or Cassandra.
        cql: String,
        /// What the names of keyspaces begin with.
        keyspace: String,
    },
}

/// The system and the sandbox, running.
pub struct Stand {
    /// What is measured.
    pub system: Running,
    /// What the pushes go to.
    pub sandbox: Arc<Sandbox>,
    sandbox_ends: oneshot::Sender<()>,
    sandbox_thread: JoinHandle<()>,
}

/// The system, running on threads of its own.
pub struct Running {
    /// Where phones connect.
    pub ingest: SocketAddr,
    /// Where merchants connect.
    pub api: SocketAddr,
    /// The only tenant.
    pub tenant: TenantId,
    /// Opens everything.
    pub secret_key: String,
    /// For phones.
    pub publishable_key: String,
    /// The system's log.
    pub log: SharedLog,
    /// The system's tables.
    pub store: Store,
    shutdown: Shutdown,
    thread: JoinHandle<Result<(), String>>,
}

struct Started {
    addresses: Addresses,
    tenant: NewTenant,
    log: SharedLog,
    store: Store,
}

impl Stand {
    /// Starts both; the system's files go to `dir/data`.
    ///
    /// # Errors
    /// When one of them can't start.
    pub async fn start(dir: &Path, backing: &Backing) -> Result<Self, BoxError> {
        let (sandbox, sandbox_ends, sandbox_thread) = start_sandbox().await?;
        let ca = dir.join("ca.pem");
        fs::write(&ca, sandbox.ca_pem())?;
        let system = Running::start(dir, &ca, backing).await?;
        Ok(Self { system, sandbox, sandbox_ends, sandbox_thread })
    }

    /// Stops both, the system first.
    ///
    /// # Errors
    /// When a part of the system failed, or did not end in time.
    pub async fn stop(self) -> Result<(), BoxError> {
        let ended = self.system.stop().await;
        drop(self.sandbox);
        drop(self.sandbox_ends);
        let sandbox = self.sandbox_thread;
        let sandbox = tokio::task::spawn_blocking(move || sandbox.join()).await?;
        ended?;
        Ok(sandbox.map_err(|_| "the sandbox panicked")?)
    }
}

impl Running {
    /// Starts the system, which trusts providers by `ca` too; its files go to `dir/data`.
    ///
    /// # Errors
    /// When it can't start.
    pub async fn start(dir: &Path, ca: &Path, backing: &Backing) -> Result<Self, BoxError> {
        let settings = settings(dir, ca, backing)?;
        fs::create_dir_all(&settings.data_dir)?;
        let shutdown = Shutdown::new();
        let (told, started) = oneshot::channel();
        let asked = shutdown.clone();
        let thread = std::thread::Builder::new().name("bench-system".to_owned()).spawn(move || {
            let runtime = runtime("bench-system").map_err(|e| e.to_string())?;
            runtime.block_on(run_system(settings, asked, told)).map_err(|e| e.to_string())
        })?;
        let Ok(Started { addresses, tenant, log, store }) = started.await else {
            let why = thread.join().map_err(|_| "the system panicked at its start")?;
            return Err(why.err().unwrap_or_else(|| "the system did not start".to_owned()).into());
        };
        Ok(Self {
            ingest: local(addresses.ingest)?,
            api: local(addresses.api)?,
            tenant: tenant.tenant,
            secret_key: tenant.secret_key,
            publishable_key: tenant.publishable_key,
            log,
            store,
            shutdown,
            thread,
        })
    }

    /// Stops it.
    ///
    /// # Errors
    /// When a part of it failed, or did not end in time.
    pub async fn stop(self) -> Result<(), BoxError> {
        self.shutdown.request();
        drop((self.log, self.store));
        let thread = self.thread;
        let ended = tokio::task::spawn_blocking(move || thread.join()).await?;
        Ok(ended.map_err(|_| "the system panicked")??)
    }
}

fn settings(dir: &Path, ca: &Path, backing: &Backing) -> Result<Settings, BoxError> {
    let free = "127.0.0.1:0";
    let (data, ca) = (dir.join("data"), ca.to_string_lossy());
    let data = data.to_string_lossy();
    // A bench's credentials are worth nothing.
    let secrets_key = "5e".repeat(32);
    let mut flags = vec![
        ("data_dir", &*data),
        ("ingest.addr", free),
        ("api.addr", free),
        ("admin.addr", free),
        ("provider_ca", &ca),
        ("allow_provider_urls", "true"),
    ];
    if let Backing::Fleet { kafka, prefix, cql, keyspace } = backing {
        flags.extend([
            ("kafka.brokers", kafka.as_str()),
            ("kafka.prefix", prefix),
            ("kafka.replication", "1"),
            ("cql.nodes", cql),
            ("cql.keyspace", keyspace),
            ("cql.replication", "1"),
            ("secrets_key", &secrets_key),
        ]);
    }
    let flags = flags.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    // Neither a file nor the environment: every run measures the same system.
    let (settings, _) = read_settings(Sources { flags, ..Sources::default() })?;
    Ok(settings)
}

async fn run_system(
    settings: Settings,
    shutdown: Shutdown,
    started: oneshot::Sender<Started>,
) -> Result<(), BoxError> {
    let metrics = telemetry::init(LogFormat::Text, "warn")?;
    Storage::migrate(&settings).await?;
    let storage = Storage::open(&settings).await?;
    let now = UnixMillis(SystemClock.now_ms());
    let tenant = create_tenant(&storage.publisher, "bench", now).await?;
    let (log, store) = (Arc::clone(&storage.log), storage.store.clone());
    let system = System::start(settings, storage, metrics, shutdown).await?;
    // Who asked may have gone: then the shutdown follows.
    let _ = started.send(Started { addresses: system.addresses, tenant, log, store });
    let finished = system.finish().await;
    if finished.is_clean() {
        Ok(())
    } else {
        Err(format!("the system did not end well: {finished:?}").into())
    }
}

type RunningSandbox = (Arc<Sandbox>, oneshot::Sender<()>, JoinHandle<()>);

async fn start_sandbox() -> Result<RunningSandbox, BoxError> {
    let (told, started) = oneshot::channel();
    let (ends, ended) = oneshot::channel::<()>();
    let thread = std::thread::Builder::new().name("bench-sandbox".to_owned()).spawn(move || {
        let sandbox = runtime("bench-sandbox").map_err(|e| e.to_string()).and_then(|runtime| {
            let sandbox = runtime.block_on(Sandbox::start(geopush_sandbox::Options::default()));
            Ok((sandbox.map_err(|e| e.to_string())?, runtime))
        });
        match sandbox {
            Ok((sandbox, runtime)) => {
                let _ = told.send(Ok(Arc::new(sandbox)));
                // Serves until the sender is dropped.
                let _ = runtime.block_on(ended);
            }
            Err(why) => drop(told.send(Err(why))),
        }
    })?;
    Ok((started.await.map_err(|_| "the sandbox did not start")??, ends, thread))
}

/// A runtime whose threads can be told by their names, and live as long as it does, so that their time can be read.
fn runtime(name: &str) -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_name(name)
        .thread_keep_alive(std::time::Duration::from_hours(24))
        .build()
}

fn local(address: Option<SocketAddr>) -> Result<SocketAddr, BoxError> {
    let address = address.ok_or("a role of the system has no address; it runs with all roles")?;
    Ok(SocketAddr::from((Ipv4Addr::LOCALHOST, address.port())))
}
