//! A log, the providers' stand-ins, apps, and sending between them.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use geopush_dispatcher::send::provider::Services;
use geopush_dispatcher::send::{Apps, SendConfig, SendDependencies, SendError, serve_with};
use geopush_embedded::Database;
use geopush_log::{Cursor, EmbeddedLog, Record, SharedLog, Topic, Until};
use geopush_model::{
    CauseId, Delivery, DeviceId, Message, Origin, Outcome, Provider, Push, PushId, Reason, SendId, Source,
    TenantId, UnixMillis, Wire as _,
};
use geopush_registry::AppCredentials;
use geopush_sandbox::{Options, Sandbox, Sent};
use geopush_service::clock::{Clock as _, SystemClock};
use serde_json::Value;
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::control;

pub const TENANT: TenantId = TenantId(Uuid::from_u128(7));
pub const APP: &str = "shop";
/// An app whose pushes break the sender: asking for it panics.
pub const POISON: &str = "poison";
const PARTITIONS: u32 = 2;
const PATIENCE: Duration = Duration::from_secs(60);

/// A token that APNs's stand-in takes.
pub fn apns_token(number: usize) -> String {
    format!("a0{number:062x}")
}

#[derive(Default)]
pub struct KnownApps(Mutex<HashMap<String, (i64, Arc<AppCredentials>)>>);

impl KnownApps {
    pub fn put(&self, app: &str, credentials: Value) {
        let credentials: AppCredentials = serde_json::from_value(credentials).unwrap();
        let mut known = self.0.lock().unwrap();
        let version = known.get(app).map_or(0, |(version, _)| *version) + 1;
        known.insert(app.to_owned(), (version, Arc::new(credentials)));
    }
}

#[async_trait]
impl Apps for KnownApps {
    fn app(&self, tenant: TenantId, app: &str) -> Option<(i64, Arc<AppCredentials>)> {
        assert_ne!(app, POISON, "on purpose");
        let known = self.0.lock().unwrap();
        known.get(app).filter(|_| tenant == TENANT).cloned()
    }

    async fn catch_up(&self) {}
}

pub struct World {
    pub log: SharedLog,
    pub sandbox: Sandbox,
    pub apps: Arc<KnownApps>,
    pub config: SendConfig,
    pub services: Services,
    sending: Option<(CancellationToken, JoinHandle<Result<(), SendError>>)>,
    _dir: TempDir,
}

impl World {
    /// Everything, with sending under way.
    pub async fn start() -> Self {
        let mut world = Self::asleep().await;
        world.send();
        world
    }

    /// Everything but sending.
    pub async fn asleep() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let database = Database::open(dir.path()).unwrap();
        let log: SharedLog = Arc::new(EmbeddedLog::open(database, PARTITIONS).await.unwrap());
        let sandbox = Sandbox::start(Options::default()).await.unwrap();
        let ca = dir.path().join("ca.pem");
        std::fs::write(&ca, sandbox.ca_pem()).unwrap();
        let apps = Arc::new(KnownApps::default());
        apps.put(APP, sandbox.app_json());
        let mut config = SendConfig { provider_ca: Some(ca), ..SendConfig::default() };
        config.lanes.allow_provider_urls = true;
        Self { log, sandbox, apps, config, services: Services::default(), sending: None, _dir: dir }
    }

    /// Trusts a further root; before sending starts.
    pub fn trust(&self, ca_pem: &str) {
        let path = self.config.provider_ca.as_ref().unwrap();
        let known = std::fs::read_to_string(path).unwrap();
        std::fs::write(path, format!("{known}\n{ca_pem}")).unwrap();
    }

    /// Starts sending.
    pub fn send(&mut self) {
        let shutdown = CancellationToken::new();
        let dependencies = SendDependencies {
            log: Arc::clone(&self.log),
            apps: Arc::clone(&self.apps) as Arc<dyn Apps>,
            clock: SystemClock::shared(),
        };
        let serving = tokio::spawn(serve_with(
            self.config.clone(),
            dependencies,
            self.services.clone(),
            shutdown.clone(),
        ));
        assert!(self.sending.replace((shutdown, serving)).is_none(), "it is sending already");
    }

    /// Asks sending to end, and waits.
    pub async fn shut_down(&mut self) {
        let (shutdown, serving) = self.sending.take().unwrap();
        shutdown.cancel();
        serving.await.unwrap().unwrap();
    }

    /// Drops sending where it stands.
    pub async fn kill(&mut self) {
        let (_, serving) = self.sending.take().unwrap();
        serving.abort();
        assert!(serving.await.is_err_and(|error| error.is_cancelled()));
        // What it was writing may still be written: after this it is.
        let last = Record::new(Topic::Rejected, &b"last"[..], &b"{}"[..]);
        self.log.append(vec![last]).await.unwrap();
    }

    /// A push that lives for an hour.
    pub fn push(&self, provider: Provider, token: &str) -> Push {
        let now = UnixMillis(SystemClock.now_ms());
        let id = Uuid::new_v4();
        Push {
            id: PushId(id),
            tenant: TENANT,
            device: DeviceId::new(&format!("device-{}", id.simple())).unwrap(),
            origin: Origin { source: Source::Send(SendId(id)), cause: CauseId(id) },
            app: APP.into(),
            provider,
            token: token.into(),
            token_at: now.plus_ms(-60_000),
            message: Message {
                title: "Coffee".into(),
                body: "Two for one".into(),
                data: BTreeMap::from([("shop".into(), "7".into())]),
                ..Message::default()
            }
            .into(),
            created_at: now,
            expires_at: now.plus_ms(3_600_000),
            received_at: Some(now),
            variant: None,
        }
    }

    /// Puts pushes on the log.
    pub async fn publish(&self, pushes: &[Push]) {
        let record = |push: &Push| Record::new(Topic::Pushes, push.key().to_bytes(), push.encode());
        self.log.append(pushes.iter().map(record).collect()).await.unwrap();
    }

    /// Publishes a push and waits for its end.
    pub async fn outcome(&self, push: &Push) -> Delivery {
        self.publish(std::slice::from_ref(push)).await;
        self.ends(std::slice::from_ref(push)).await.remove(0)
    }

    /// Waits for the ends of pushes; in their order.
    pub async fn ends(&self, pushes: &[Push]) -> Vec<Delivery> {
        let mut ends: HashMap<PushId, Delivery> = HashMap::new();
        let wanted: HashSet<PushId> = pushes.iter().map(|push| push.id).collect();
        let waiting = self.follow(|delivery| {
            if delivery.outcome.is_end() && wanted.contains(&delivery.push) {
                ends.insert(delivery.push, delivery);
            }
            ends.len() == wanted.len()
        });
        if tokio::time::timeout(PATIENCE, waiting).await.is_err() {
            panic!("{} of {} pushes have ended", ends.len(), pushes.len());
        }
        pushes.iter().map(|push| ends[&push.id].clone()).collect()
    }

    /// Waits for the first delivery of a push that is as wanted.
    pub async fn first(&self, push: &Push, wanted: impl Fn(&Delivery) -> bool) -> Delivery {
        let mut found = None;
        let waiting = self.follow(|delivery| {
            if delivery.push == push.id && wanted(&delivery) {
                found.get_or_insert(delivery);
            }
            found.is_some()
        });
        tokio::time::timeout(PATIENCE, waiting).await.unwrap();
        found.unwrap()
    }

    /// Reads deliveries from the beginning on, until it is enough.
    async fn follow(&self, mut is_enough: impl FnMut(Delivery) -> bool) {
        let mut reader = self.log.read(self.deliveries(), Until::Never).await.unwrap();
        loop {
            let Some((_, records)) = reader.next(Duration::from_secs(1)).await.unwrap() else { continue };
            for record in records {
                if is_enough(Delivery::decode(record.value.as_ref().unwrap()).unwrap()) {
                    return;
                }
            }
        }
    }

    /// The deliveries that are on the log now, in order of each partition.
    pub async fn written(&self) -> Vec<Delivery> {
        let mut reader = self.log.read(self.deliveries(), Until::Now).await.unwrap();
        let mut written = Vec::new();
        while !reader.done() {
            if let Some((_, records)) = reader.next(Duration::from_secs(1)).await.unwrap() {
                written.extend(records.iter().map(|r| Delivery::decode(r.value.as_ref().unwrap()).unwrap()));
            }
        }
        written
    }

    fn deliveries(&self) -> Vec<Cursor> {
        (0..PARTITIONS).map(|partition| Cursor { topic: Topic::Deliveries, partition, offset: 0 }).collect()
    }

    /// What the providers took of one push.
    pub fn sent(&self, push: &Push) -> Vec<Sent> {
        let id = push.id.to_string();
        let all = self.sandbox.sent_after(0, usize::MAX);
        all.into_iter().filter(|sent| sent.push_id.as_ref() == Some(&id)).collect()
    }

    /// Tells a provider to misbehave.
    pub async fn fault(&self, fault: Value) {
        control::fault(&self.sandbox, &fault).await;
    }

    /// How many faults nobody has met yet.
    pub async fn faults_left(&self) -> usize {
        control::faults_left(&self.sandbox).await
    }

    /// Waits until the providers have met every fault.
    pub async fn faults_met(&self) {
        let met = async {
            while self.faults_left().await > 0 {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(PATIENCE, met).await.unwrap();
    }
}

/// Pushes to either provider, in turn.
pub fn mixed(world: &World, count: usize) -> Vec<Push> {
    let push = |n: usize| match n % 2 {
        0 => world.push(Provider::Fcm, &format!("phone-{n}")),
        _ => world.push(Provider::Apns, &apns_token(n)),
    };
    (0..count).map(push).collect()
}

/// A delivery's outcome, reason and attempts.
pub fn end(delivery: &Delivery) -> (Outcome, Option<Reason>, u32) {
    (delivery.outcome, delivery.reason, delivery.attempts)
}

/// An app with something else in it.
pub fn changed(mut app: Value, pointer: &str, value: Value) -> Value {
    *app.pointer_mut(pointer).unwrap() = value;
    app
}
