//! A deployment in a directory of its own: a log, tables and the roles' copies, to be killed and opened again.

#![allow(dead_code, reason = "each test file takes what it needs")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use geopush_dispatcher::expand::{self, ExpandConfig};
use geopush_dispatcher::{plan, record};
use geopush_embedded::Database;
use geopush_geometry::Position;
use geopush_log::{Cursor, EmbeddedLog, Received, Record, SharedLog, Topic, Until};
use geopush_model::{
    App, Campaign, CampaignId, CampaignStatus, Config, ConfigItem, DeviceId, DeviceKey, Fix, Message,
    TenantId, Transition, TransitionId, TransitionKind, Trigger, TriggerKind, UnixMillis, Wire, ZoneChoice,
    ZoneId, ZoneTrigger,
};
use geopush_registry::{Devices, Directory, KnownDevices, Platform, Sealer};
use geopush_service::clock::TestClock;
use geopush_service::health::Health;
use geopush_service::shutdown::Shutdown;
use geopush_store::{Backend, Bound, Direction, EmbeddedStore, Schema, Store, StoreError, Value};
use tempfile::TempDir;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

pub const TENANT: TenantId = TenantId(Uuid::from_u128(7));
pub const ZONE: ZoneId = ZoneId(Uuid::from_u128(70));
pub const APP: &str = "shop";
/// 2026-01-01T00:00:00Z
pub const NOW: i64 = 1_767_225_600_000;
const PARTITIONS: u32 = 4;
/// Longer than anything here takes; a test that gets there has failed.
const LIMIT: Duration = Duration::from_secs(60);

pub struct House {
    dir: TempDir,
    pub clock: TestClock,
    database: Database,
    pub log: SharedLog,
    pub store: Store,
    pub devices: Devices,
    /// Whether the store does not answer.
    pub store_is_down: Arc<AtomicBool>,
    pub health: Health,
    tasks: JoinSet<()>,
    pub shutdown: CancellationToken,
}

impl House {
    pub async fn new() -> Self {
        let dir = TempDir::new().unwrap();
        let clock = TestClock::at(NOW);
        let store_is_down = Arc::new(AtomicBool::new(false));
        let (database, log, store, devices) = open(&dir, &store_is_down).await;
        store.migrate().await.unwrap();
        let (tasks, shutdown) = (JoinSet::new(), CancellationToken::new());
        let health = Health::new(Shutdown::new());
        Self { dir, clock, database, log, store, devices, store_is_down, health, tasks, shutdown }
    }

    /// Everything in memory is gone; what was durable is there when it opens again.
    pub async fn kill(&mut self) {
        self.tasks.shutdown().await;
        self.log.close().await;
        self.database.close().await;
        (self.database, self.log, self.store, self.devices) = open(&self.dir, &self.store_is_down).await;
        self.shutdown = CancellationToken::new();
    }

    /// Asks the stages to end and waits until they have.
    pub async fn stop(&mut self) {
        self.shutdown.cancel();
        let ended = async { while self.tasks.join_next().await.is_some() {} };
        tokio::time::timeout(LIMIT, ended).await.unwrap();
        self.shutdown = CancellationToken::new();
    }

    pub async fn start_plan(&mut self) {
        self.start_plan_on(self.log.clone()).await;
    }

    /// Plan, with another view of the log.
    pub async fn start_plan_on(&mut self, log: SharedLog) {
        let sealer = Sealer::from_hex(&"07".repeat(32)).unwrap();
        let dependencies = plan::PlanDependencies {
            log,
            store: self.store.clone(),
            devices: self.devices.clone(),
            directory: Arc::new(Directory::follow(self.log.clone(), sealer).await.unwrap()),
            clock: Arc::new(self.clock.clone()),
            readiness: self.health.register("plan"),
        };
        let shutdown = self.shutdown.clone();
        self.tasks.spawn(async move {
            plan::serve(plan::PlanConfig::default(), dependencies, shutdown).await.unwrap();
        });
    }

    pub async fn start_expand(&mut self, page: usize) {
        self.start_expand_with(ExpandConfig { page, ..ExpandConfig::default() }).await;
    }

    pub async fn start_expand_with(&mut self, config: ExpandConfig) {
        let dependencies = expand::ExpandDependencies {
            log: self.log.clone(),
            store: self.store.clone(),
            devices: self.devices.clone(),
            directory: Arc::new(Directory::follow(self.log.clone(), None).await.unwrap()),
            clock: Arc::new(self.clock.clone()),
            readiness: self.health.register("expand"),
        };
        let shutdown = self.shutdown.clone();
        self.tasks.spawn(async move {
            expand::serve(config, dependencies, shutdown).await.unwrap();
        });
    }

    pub fn start_record(&mut self) {
        let dependencies = record::RecordDependencies {
            log: self.log.clone(),
            store: self.store.clone(),
            devices: self.devices.clone(),
            clock: Arc::new(self.clock.clone()),
            readiness: self.health.register("record"),
        };
        let shutdown = self.shutdown.clone();
        self.tasks.spawn(async move {
            record::serve(record::RecordConfig::default(), dependencies, shutdown).await.unwrap();
        });
    }

    pub async fn append(&self, records: impl IntoIterator<Item = Record>) {
        self.log.append(records.into_iter().collect()).await.unwrap();
    }

    /// Every record of a topic as it is now, by partition.
    pub async fn records(&self, topic: Topic) -> Vec<Received> {
        let mut reader = self.log.read(self.starts(topic), Until::Now).await.unwrap();
        let mut all = Vec::new();
        while !reader.done() {
            if let Some((_, records)) = reader.next(LIMIT).await.unwrap() {
                all.extend(records);
            }
        }
        all
    }

    pub async fn values<T: Wire>(&self, topic: Topic) -> Vec<T> {
        let decode = |record: Received| T::decode(&record.value.unwrap()).unwrap();
        self.records(topic).await.into_iter().map(decode).collect()
    }

    /// Waits until these topics have so many records together, and gives each as topic and value.
    pub async fn wait_for(&self, topics: &[Topic], count: usize) -> Vec<(Topic, Received)> {
        let starts: Vec<Cursor> = topics.iter().flat_map(|topic| self.starts(*topic)).collect();
        let mut reader = self.log.read(starts.clone(), Until::Never).await.unwrap();
        let mut all = Vec::new();
        while all.len() < count {
            let (i, records) =
                reader.next(LIMIT).await.unwrap().unwrap_or_else(|| panic!("{} of {count} came", all.len()));
            all.extend(records.into_iter().map(|record| (starts[i].topic, record)));
        }
        all
    }

    /// Looks again and again until there is something to see: rows tell nobody that they came.
    pub async fn eventually<T>(&self, what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
        let looking = async {
            loop {
                if let Some(found) = look().await {
                    return found;
                }
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        tokio::time::timeout(LIMIT, looking).await.unwrap_or_else(|_| panic!("{what} never came"))
    }

    fn starts(&self, topic: Topic) -> Vec<Cursor> {
        (0..self.log.partitions(topic)).map(|partition| Cursor { topic, partition, offset: 0 }).collect()
    }

    /// An app with credentials for both providers, and a device that can be reached.
    pub async fn furnish(&self, devices: &[&str]) {
        let app =
            App { name: APP.into(), sealed: bytes::Bytes::new(), fcm: true, apns: true, deleted: false };
        let config = Config { tenant: TENANT, version: 1, item: ConfigItem::App(app) };
        self.append([Record::new(Topic::Config, config.key(), config.encode())]).await;
        for device in devices {
            self.register(device).await;
        }
    }

    pub async fn register(&self, device: &str) {
        self.devices
            .upsert(TENANT, &id(device), None, UnixMillis(NOW), |d| {
                d.platform = Some(Platform::Android);
                d.app = Some(APP.to_owned());
                d.push_token = Some(format!("token of {}", d.device));
            })
            .await
            .unwrap();
    }
}

async fn open(dir: &TempDir, down: &Arc<AtomicBool>) -> (Database, SharedLog, Store, Devices) {
    let database = Database::open(dir.path()).unwrap();
    let log: SharedLog = Arc::new(EmbeddedLog::open(database.clone(), PARTITIONS).await.unwrap());
    // Rows expire by the tests' own time, which is long past.
    let inner = EmbeddedStore::with_clock(database.clone(), || NOW);
    let store = Store::new(Arc::new(Breakable { inner, down: Arc::clone(down) }));
    let devices = Devices::new(store.clone(), log.clone(), KnownDevices::new(100));
    (database, log, store, devices)
}

/// A backend that can be made to fail.
struct Breakable {
    inner: EmbeddedStore,
    down: Arc<AtomicBool>,
}

impl Breakable {
    fn up(&self) -> Result<&EmbeddedStore, StoreError> {
        if self.down.load(Ordering::SeqCst) {
            return Err(StoreError::Unavailable("it was told to fail".to_owned()));
        }
        Ok(&self.inner)
    }
}

type Row = Vec<Value>;

#[async_trait]
impl Backend for Breakable {
    async fn migrate(&self, schemas: &[&'static Schema]) -> Result<(), StoreError> {
        self.up()?.migrate(schemas).await
    }

    async fn is_migrated(&self, schemas: &[&'static Schema]) -> Result<bool, StoreError> {
        self.up()?.is_migrated(schemas).await
    }

    async fn put(&self, schema: &'static Schema, rows: Vec<Row>) -> Result<(), StoreError> {
        self.up()?.put(schema, rows).await
    }

    async fn get(&self, schema: &'static Schema, keys: Vec<Row>) -> Result<Vec<Option<Row>>, StoreError> {
        self.up()?.get(schema, keys).await
    }

    async fn delete(&self, schema: &'static Schema, key: Row) -> Result<(), StoreError> {
        self.up()?.delete(schema, key).await
    }

    async fn delete_up_to(&self, schema: &'static Schema, key: Row, stamp: i64) -> Result<(), StoreError> {
        self.up()?.delete_up_to(schema, key, stamp).await
    }

    async fn page(
        &self,
        schema: &'static Schema,
        partition: Row,
        lower: Bound,
        upper: Bound,
        direction: Direction,
        limit: usize,
    ) -> Result<Vec<Row>, StoreError> {
        self.up()?.page(schema, partition, lower, upper, direction, limit).await
    }

    async fn put_if_absent(&self, schema: &'static Schema, row: Row) -> Result<bool, StoreError> {
        self.up()?.put_if_absent(schema, row).await
    }

    async fn put_if_version(
        &self,
        schema: &'static Schema,
        row: Row,
        version: i64,
    ) -> Result<bool, StoreError> {
        self.up()?.put_if_version(schema, row, version).await
    }

    async fn expire(&self, schema: &'static Schema, now_ms: i64) -> Result<u64, StoreError> {
        self.up()?.expire(schema, now_ms).await
    }
}

pub fn id(device: &str) -> DeviceId {
    DeviceId::new(device).unwrap()
}

pub fn key(device: &str) -> DeviceKey {
    DeviceKey { tenant: TENANT, device: id(device) }
}

/// A transition `s` seconds after [`NOW`].
pub fn transition(device: &str, seq: u64, kind: TransitionKind, s: i64) -> Transition {
    let at = UnixMillis(NOW + s * 1_000);
    let device = id(device);
    Transition {
        id: TransitionId::of(TENANT, &device, ZONE, kind, at),
        seq,
        tenant: TENANT,
        device,
        zone: ZONE,
        zone_external_id: Some("shop-1".to_owned()),
        kind,
        at,
        fix: Fix::at(Position::new(2.1, 41.3).unwrap(), at),
        initial: false,
        dwell_s: None,
        zone_version: 1,
        incarnation: UnixMillis(NOW),
        received_at: Some(at),
    }
}

pub fn transition_record(transition: &Transition) -> Record {
    Record::new(Topic::Transitions, transition.key().to_bytes(), transition.encode())
}

/// An active campaign on every enter.
pub fn campaign(n: u128) -> Campaign {
    let trigger = Trigger::Zone(ZoneTrigger {
        on: TriggerKind::Enter,
        zones: ZoneChoice::default(),
        max_age_s: Some(Trigger::DEFAULT_MAX_AGE_S),
        on_initial: false,
    });
    let message = Message { title: "Hi".into(), body: "there".into(), ..Message::default() };
    let id = CampaignId(Uuid::from_u128(n));
    let draft = Campaign::draft(TENANT, id, APP, trigger, message, UnixMillis(NOW));
    Campaign { name: format!("campaign {n}"), status: CampaignStatus::Active, ..draft }
}

/// The trigger of a campaign on zones.
pub fn zone_trigger(campaign: &mut Campaign) -> &mut ZoneTrigger {
    match &mut campaign.trigger {
        Trigger::Zone(zone) => zone,
        other => panic!("the campaign is on another thing: {other:?}"),
    }
}

pub fn campaign_record(campaign: &Campaign) -> Record {
    Record::new(Topic::Campaigns, campaign.id.to_string(), campaign.encode())
}
