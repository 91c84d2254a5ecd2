//! The log on a real Kafka: every claim that holds for the embedded one, and what only a cluster can show.

// A claim that can't go on has failed; clippy knows tests by their attribute alone.
#![allow(clippy::unwrap_used, clippy::panic)]

#[macro_use]
#[path = "../../../crates/log/tests/conformance/claims.rs"]
mod claims;

#[path = "../../../crates/log/tests/conformance/appending.rs"]
mod appending;
#[path = "../../../crates/log/tests/conformance/committing.rs"]
mod committing;
#[path = "../../../crates/log/tests/conformance/following.rs"]
mod following;
#[path = "../../../crates/log/tests/conformance/harness.rs"]
mod harness;
#[path = "../../../crates/log/tests/conformance/reading.rs"]
mod reading;
#[path = "../../../crates/log/tests/conformance/sharing.rs"]
mod sharing;
#[path = "../../../crates/log/tests/conformance/staging.rs"]
mod staging;

#[path = "log/faults.rs"]
mod faults;
#[path = "log/secured.rs"]
mod secured;

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use geopush_fleet::shared_kafka;
use geopush_log::{KafkaLog, KafkaOptions, SharedLog};
use harness::Harness;
use uuid::Uuid;

/// How to reach brokers that let anybody in, with topics that nobody else has.
fn options(brokers: &str) -> KafkaOptions {
    KafkaOptions {
        brokers: brokers.to_owned(),
        prefix: format!("test-{}.", Uuid::new_v4().simple()),
        partitions: 4,
        replication: 1,
        properties: BTreeMap::new(),
    }
}

async fn open(options: &KafkaOptions) -> SharedLog {
    Arc::new(KafkaLog::open(options.clone()).await.unwrap())
}

/// Topics of a test's own on the shared broker, and one process's log there.
struct OnKafka {
    options: KafkaOptions,
    log: SharedLog,
}

impl OnKafka {
    async fn new() -> Self {
        // Starting one takes a while, during which the runtime has other things to do.
        let brokers = tokio::task::spawn_blocking(shared_kafka).await.unwrap();
        let options = options(brokers);
        Self { log: open(&options).await, options }
    }
}

#[async_trait]
impl Harness for OnKafka {
    fn log(&self) -> SharedLog {
        Arc::clone(&self.log)
    }

    /// The log is given up as it is; its members would be thrown out after a while, and leave at once here.
    async fn after_a_crash(&self) -> SharedLog {
        self.log.close().await;
        open(&self.options).await
    }
}

conforms!(on_kafka, crate::OnKafka);
