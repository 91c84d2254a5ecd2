//! What is particular to the log on Kafka, against the broker that `FLEET_KAFKA` names; run by `make test-all`.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "kafka/opening.rs"]
mod opening;
#[path = "kafka/owners.rs"]
mod owners;
#[path = "kafka/transactions.rs"]
mod transactions;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use geopush_log::{Cursor, KafkaLog, KafkaOptions, Received, SharedLog, Topic, Until};
use rdkafka::ClientConfig;

/// Longer than anything takes unless it is broken.
const PATIENCE: Duration = Duration::from_secs(20);

fn brokers() -> String {
    std::env::var("FLEET_KAFKA").expect("FLEET_KAFKA is the address of a Kafka; `make test-all` sets it")
}

/// Topics that nobody else has.
fn options() -> KafkaOptions {
    KafkaOptions {
        brokers: brokers(),
        prefix: format!("test-{}.", uuid::Uuid::new_v4().simple()),
        partitions: 4,
        replication: 1,
        properties: BTreeMap::new(),
    }
}

async fn open(options: &KafkaOptions) -> SharedLog {
    Arc::new(KafkaLog::open(options.clone()).await.unwrap())
}

/// A client that knows nothing of the log.
fn foreign() -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", brokers());
    config
}

/// Everything in a partition from its start to now, and where the read ended.
async fn read_all(log: &SharedLog, topic: Topic, partition: u32) -> (Vec<Received>, u64) {
    let mut reader = log.read(vec![Cursor { topic, partition, offset: 0 }], Until::Now).await.unwrap();
    let mut all = Vec::new();
    while let Some((_, records)) = reader.next(PATIENCE).await.unwrap() {
        all.extend(records);
    }
    assert!(reader.done());
    (all, reader.position(0))
}

fn texts(records: &[Received]) -> Vec<String> {
    let text = |record: &Received| String::from_utf8(record.value.as_ref().unwrap().to_vec()).unwrap();
    records.iter().map(text).collect()
}
