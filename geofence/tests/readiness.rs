//! When the role begins: not before it knows what it judges by.
#![allow(clippy::unwrap_used, reason = "a failing helper fails its test")]

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use geopush_embedded::Database;
use geopush_geofence::{Dependencies, GeofenceConfig, serve};
use geopush_log::{
    AppendError, Cursor, EmbeddedLog, Group, Log, LogError, Offset, Reader, Record, SharedLog, Topic, Until,
};
use geopush_service::clock::TestClock;
use geopush_service::health::Health;
use geopush_service::shutdown::Shutdown;
use tokio::sync::{Notify, Semaphore};

const PATIENCE: Duration = Duration::from_secs(20);
/// As long as nothing must happen.
const A_WHILE: Duration = Duration::from_millis(200);

/// A log from which one topic can't be read until it is let go, and which tells when a stage joins.
struct HoldingBack {
    log: SharedLog,
    topic: Topic,
    gate: Semaphore,
    joined: Notify,
}

#[async_trait]
impl Log for HoldingBack {
    async fn append(&self, records: Vec<Record>) -> Result<(), AppendError> {
        self.log.append(records).await
    }

    async fn join(&self, group: &str, inputs: &[Topic]) -> Result<Box<dyn Group>, LogError> {
        self.joined.notify_one();
        self.log.join(group, inputs).await
    }

    async fn end(&self, topic: Topic, partition: u32) -> Result<Offset, LogError> {
        self.log.end(topic, partition).await
    }

    async fn read(&self, from: Vec<Cursor>, until: Until) -> Result<Box<dyn Reader>, LogError> {
        if from.iter().any(|cursor| cursor.topic == self.topic) {
            let _open = self.gate.acquire().await.unwrap();
        }
        self.log.read(from, until).await
    }

    fn partitions(&self, topic: Topic) -> u32 {
        self.log.partitions(topic)
    }

    async fn close(&self) {
        self.log.close().await;
    }
}

#[tokio::test]
async fn no_ping_is_taken_before_the_zones_and_the_settings_are_known() {
    for topic in [Topic::Zones, Topic::Config] {
        let dir = tempfile::tempdir().unwrap();
        let log: SharedLog =
            Arc::new(EmbeddedLog::open(Database::open(dir.path()).unwrap(), 2).await.unwrap());
        log.append(vec![Record::new(topic, "some", "thing")]).await.unwrap();
        let (gate, joined) = (Semaphore::new(0), Notify::new());
        let holding_back = Arc::new(HoldingBack { log, topic, gate, joined });
        let shutdown = Shutdown::new();
        let health = Health::new(shutdown.clone());
        let dependencies = Dependencies {
            log: Arc::clone(&holding_back) as SharedLog,
            clock: Arc::new(TestClock::at(0)),
            health: health.clone(),
        };
        let role = tokio::spawn(serve(GeofenceConfig::default(), dependencies, shutdown.clone()));

        let early = tokio::time::timeout(A_WHILE, holding_back.joined.notified()).await;
        assert!(early.is_err(), "it began without {}", topic.name());
        assert!(!health.report().is_ready());
        holding_back.gate.add_permits(1);
        tokio::time::timeout(PATIENCE, holding_back.joined.notified()).await.unwrap();
        assert!(health.report().is_ready());
        shutdown.request();
        role.await.unwrap().unwrap();
    }
}
