//! Plan, expand, send and record on one embedded log, with the providers' stand-ins, by the real clock.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use futures::{StreamExt as _, stream};
use geopush_dispatcher::expand::{self, ExpandConfig};
use geopush_dispatcher::send::{self, Apps, SendConfig};
use geopush_dispatcher::{plan, record};
use geopush_embedded::Database;
use geopush_log::{EmbeddedLog, Record, SharedLog, Topic};
use geopush_model::{
    App, Config, ConfigItem, DeviceId, Job, Message, Provider, SendId, TenantId, UnixMillis, Wire as _, Work,
};
use geopush_registry::{AppCredentials, Device, Devices, Directory, KnownDevices, Platform, Sealer};
use geopush_sandbox::{Options, Sandbox};
use geopush_service::clock::{Clock as _, SystemClock};
use geopush_service::health::Health;
use geopush_service::shutdown::Shutdown;
use geopush_store::tables::{
    DEVICE_BUCKETS, DeliveryBySourceRow, DeliveryTotalsRow, SHARDS, SendRow, SendShardRow, SendTargetRow,
    SourceHourRow,
};
use geopush_store::{Direction, EmbeddedStore, Page, Store, Table, Timestamp};
use serde_json::Value;
use tempfile::TempDir;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::control;

pub const APP: &str = "shop";
/// As many as `geopush run` has on the embedded log.
const PARTITIONS: u32 = 8;
/// One test at a time: each fills the processors.
static MACHINE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
/// Longer than anything here takes; a test that gets there has failed.
pub const LIMIT: Duration = Duration::from_secs(60);

pub fn tenant(number: u128) -> TenantId {
    TenantId(Uuid::from_u128(number))
}

pub fn id(device: &str) -> DeviceId {
    DeviceId::new(device).unwrap()
}

/// A token that APNs's stand-in takes.
pub fn apns_token(number: usize) -> String {
    format!("a0{number:062x}")
}

pub fn now() -> UnixMillis {
    UnixMillis(SystemClock.now_ms())
}

#[derive(Default)]
struct KnownApps(Mutex<HashMap<TenantId, Arc<AppCredentials>>>);

#[async_trait]
impl Apps for KnownApps {
    fn app(&self, tenant: TenantId, _app: &str) -> Option<(i64, Arc<AppCredentials>)> {
        Some((1, Arc::clone(self.0.lock().unwrap().get(&tenant)?)))
    }

    async fn catch_up(&self) {}
}

/// What is chosen before the stages run.
#[derive(Default)]
pub struct Choices {
    pub send: SendConfig,
    pub expand: ExpandConfig,
}

pub struct World {
    pub log: SharedLog,
    pub store: Store,
    pub devices: Devices,
    pub sandbox: Sandbox,
    apps: Arc<KnownApps>,
    tasks: JoinSet<()>,
    _dir: TempDir,
    _machine: tokio::sync::MutexGuard<'static, ()>,
}

/// How far a send is, by its rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub asked: i64,
    pub accepted: i64,
    pub failed: i64,
    pub suppressed: i64,
    pub expired: i64,
    pub put_off: i64,
}

impl Counts {
    pub fn ended(&self) -> i64 {
        self.accepted + self.failed + self.suppressed + self.expired
    }
}

impl World {
    /// Everything runs.
    pub async fn start(mut choices: Choices) -> Self {
        let machine = MACHINE.lock().await;
        let dir = TempDir::new().unwrap();
        let database = Database::open(dir.path()).unwrap();
        let log: SharedLog = Arc::new(EmbeddedLog::open(database.clone(), PARTITIONS).await.unwrap());
        let store = Store::new(Arc::new(EmbeddedStore::new(database)));
        store.migrate().await.unwrap();
        let devices = Devices::new(store.clone(), log.clone(), KnownDevices::new(100_000));
        let sandbox = Sandbox::start(Options::default()).await.unwrap();
        let ca = dir.path().join("ca.pem");
        std::fs::write(&ca, sandbox.ca_pem()).unwrap();
        choices.send.provider_ca = Some(ca);
        choices.send.lanes.allow_provider_urls = true;
        let (apps, tasks) = (Arc::default(), JoinSet::new());
        let mut world = Self { log, store, devices, sandbox, apps, tasks, _dir: dir, _machine: machine };
        world.run(choices).await;
        world
    }

    async fn run(&mut self, choices: Choices) {
        let health = Health::new(Shutdown::new());
        let shutdown = CancellationToken::new();
        let clock = SystemClock::shared();
        let sealer = Sealer::from_hex(&"07".repeat(32)).unwrap();
        let directory = Arc::new(Directory::follow(self.log.clone(), sealer).await.unwrap());
        let (log, store, devices) = (self.log.clone(), self.store.clone(), self.devices.clone());
        let planning = plan::PlanDependencies {
            log: log.clone(),
            store: store.clone(),
            devices: devices.clone(),
            directory: Arc::clone(&directory),
            clock: clock.clone(),
            readiness: health.register("plan"),
        };
        let expanding = expand::ExpandDependencies {
            log: log.clone(),
            store: store.clone(),
            devices: devices.clone(),
            directory,
            clock: clock.clone(),
            readiness: health.register("expand"),
        };
        let apps = Arc::clone(&self.apps) as Arc<dyn Apps>;
        let sending = send::SendDependencies { log: log.clone(), apps, clock: clock.clone() };
        let recording =
            record::RecordDependencies { log, store, devices, clock, readiness: health.register("record") };
        let stop = || shutdown.clone();
        let (a, b, c, d) = (stop(), stop(), stop(), stop());
        self.tasks.spawn(async { plan::serve(plan::PlanConfig::default(), planning, a).await.unwrap() });
        self.tasks.spawn(async { expand::serve(choices.expand, expanding, b).await.unwrap() });
        self.tasks.spawn(async { send::serve(choices.send, sending, c).await.unwrap() });
        self.tasks.spawn(async {
            record::serve(record::RecordConfig::default(), recording, d).await.unwrap();
        });
    }

    pub async fn append(&self, records: impl IntoIterator<Item = Record>) {
        self.log.append(records.into_iter().collect()).await.unwrap();
    }

    /// A tenant's app, as the API takes it.
    pub async fn app(&self, tenant: TenantId, app: Value) {
        let credentials: AppCredentials = serde_json::from_value(app).unwrap();
        self.apps.0.lock().unwrap().insert(tenant, Arc::new(credentials));
        let app =
            App { name: APP.into(), sealed: bytes::Bytes::new(), fcm: true, apns: true, deleted: false };
        let config = Config { tenant, version: 1, item: ConfigItem::App(app) };
        self.append([Record::new(Topic::Config, config.key(), config.encode())]).await;
    }

    pub async fn register(&self, tenant: TenantId, device: &str, provider: Provider, token: &str) {
        let change = |device: &mut Device| {
            device.platform = Some(match provider {
                Provider::Fcm => Platform::Android,
                Provider::Apns => Platform::Ios,
            });
            device.push_token = Some(token.to_owned());
            // As when a phone registers: the same token anew is registered anew, too.
            device.token_at = None;
        };
        self.devices.upsert(tenant, &id(device), None, now(), change).await.unwrap();
    }

    /// Registers `device-0` and so on.
    pub async fn register_all(
        &self,
        tenant: TenantId,
        count: usize,
        phone: impl Fn(usize) -> (Provider, String),
    ) {
        let one = async |n: usize| {
            let (provider, token) = phone(n);
            self.register(tenant, &format!("device-{n}"), provider, &token).await;
        };
        stream::iter(0..count).for_each_concurrent(64, one).await;
    }

    /// Sends to one device.
    pub async fn send_to(&self, tenant: TenantId, device: &str) -> Uuid {
        let send = Uuid::new_v4();
        let row = row(tenant, send, None);
        let target = SendTargetRow { tenant: tenant.0, send, shard: 0, device: device.to_owned() };
        self.store.put(target).await.unwrap();
        assert!(self.store.put_if_absent(row).await.unwrap());
        self.append([job(tenant, send, 0)]).await;
        send
    }

    /// Sends to all of a tenant's devices.
    pub async fn send_to_all(&self, tenant: TenantId) -> Uuid {
        let send = Uuid::new_v4();
        assert!(self.store.put_if_absent(row(tenant, send, Some("{\"all\":[]}"))).await.unwrap());
        self.append((0..DEVICE_BUCKETS).map(|shard| job(tenant, send, shard))).await;
        send
    }

    async fn all<T: Table>(&self, partition: T::Partition) -> Vec<T> {
        self.store.page::<T>(&partition, &Page::first(100_000, Direction::Ascending)).await.unwrap()
    }

    pub async fn counts(&self, tenant: TenantId, send: Uuid) -> Counts {
        // What ended comes first: it was asked for before.
        let totals: Vec<DeliveryTotalsRow> = self.all((tenant.0, send)).await;
        let shards: Vec<SendShardRow> = self.all((tenant.0, send)).await;
        let sum = |of: fn(&DeliveryTotalsRow) -> i64| totals.iter().map(of).sum();
        Counts {
            asked: shards.iter().map(|shard| shard.expanded).sum(),
            accepted: sum(|row| row.accepted),
            failed: sum(|row| row.failed),
            suppressed: sum(|row| row.suppressed),
            expired: sum(|row| row.expired),
            put_off: sum(|row| row.put_off.unwrap_or(0)),
        }
    }

    /// The deliveries of a send, as readers find them: by the list of its hours.
    pub async fn rows(&self, tenant: TenantId, send: Uuid) -> Vec<DeliveryBySourceRow> {
        let mut rows = Vec::new();
        for hour in self.all::<SourceHourRow>((tenant.0, send)).await {
            for shard in 0..SHARDS {
                rows.extend(self.all::<DeliveryBySourceRow>((tenant.0, send, hour.hour, shard)).await);
            }
        }
        rows
    }

    /// Looks again and again until there is something to see: rows tell nobody that they came.
    pub async fn eventually<T>(&self, what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
        let looking = async {
            loop {
                if let Some(found) = look().await {
                    return found;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(LIMIT, looking).await.unwrap_or_else(|_| panic!("{what} never came"))
    }

    /// Tells a provider to misbehave.
    pub async fn fault(&self, fault: Value) {
        control::fault(&self.sandbox, &fault).await;
    }

    /// How many faults nobody has met yet.
    pub async fn faults_left(&self) -> usize {
        control::faults_left(&self.sandbox).await
    }
}

fn row(tenant: TenantId, send: Uuid, audience: Option<&str>) -> SendRow {
    let message = Message { title: "Hello".into(), body: "there".into(), ..Message::default() };
    let at = Timestamp(SystemClock.now_ms());
    SendRow {
        tenant: tenant.0,
        send,
        app: APP.to_owned(),
        audience: audience.map(str::to_owned),
        message: geopush_registry::message_json(&message),
        targeted: if audience.is_some() { 0 } else { 1 },
        shards: if audience.is_some() { DEVICE_BUCKETS } else { 1 },
        spread_s: None,
        status: "running".to_owned(),
        created_at: at,
        updated_at: at,
        version: 1,
    }
}

fn job(tenant: TenantId, send: Uuid, shard: i32) -> Record {
    let (work, shard) = (Work::Send(SendId(send)), shard.unsigned_abs());
    let job = Job { tenant, work, shard, cursor: None, expanded: 0, not_before: None };
    Record::new(Topic::Jobs, job.key(), job.encode())
}
