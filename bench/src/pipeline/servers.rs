//! The servers that a part needs: those that were named, or new ones, which end with the bench.

use geopush_fleet::{Cassandra, Kafka};
use geopush_service::BoxError;

/// Started when they are first needed, so that none stands beside a part that needs none.
pub struct Servers {
    kafka: Option<String>,
    cql: Option<String>,
    started: (Option<Kafka>, Option<Cassandra>),
}

impl Servers {
    /// Running ones, where they are named.
    pub fn new(kafka: Option<String>, cql: Option<String>) -> Self {
        Self { kafka, cql, started: (None, None) }
    }

    /// The brokers of a Kafka.
    ///
    /// # Errors
    /// When there is none to be had.
    pub async fn kafka(&mut self) -> Result<String, BoxError> {
        if let Some(brokers) = &self.kafka {
            return Ok(brokers.clone());
        }
        eprintln!("starting Kafka; the first time its jars are downloaded");
        let kafka = tokio::task::spawn_blocking(Kafka::start_to_measure).await??;
        let brokers = kafka.brokers();
        self.started.0 = Some(kafka);
        Ok(self.kafka.insert(brokers).clone())
    }

    /// The address of a node that speaks CQL.
    ///
    /// # Errors
    /// When there is none to be had.
    pub async fn cql(&mut self) -> Result<String, BoxError> {
        if let Some(node) = &self.cql {
            return Ok(node.clone());
        }
        eprintln!("starting Cassandra, which takes a while; the first time its jars are downloaded");
        let cassandra = tokio::task::spawn_blocking(Cassandra::start_to_measure).await??;
        let node = cassandra.address();
        self.started.1 = Some(cassandra);
        Ok(self.cql.insert(node).clone())
    }
}
