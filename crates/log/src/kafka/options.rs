//! What can be chosen of the Kafka backend.

use std::collections::BTreeMap;
use std::fmt;

use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaConfRes;

use crate::LogError;

/// What can be chosen.
#[derive(Clone, PartialEq, Eq)]
pub struct KafkaOptions {
    /// Where to begin: `host:port`, with commas between them.
    pub brokers: String,
    /// Stands before the names of topics, groups and transactions, so that several installations can share a cluster.
    pub prefix: String,
    /// The number of partitions of a topic that has more than one; fixed when the topics are made.
    pub partitions: u32,
    /// How many brokers keep each record, of topics that are made.
    pub replication: u16,
    /// librdkafka's own settings, passed through: `security.protocol`, `sasl.*`, `ssl.*` and so on.
    pub properties: BTreeMap<String, String>,
}

impl KafkaOptions {
    /// The usual number of partitions of a topic that has more than one: a commit's latency follows the partitions
    /// that it touches.
    pub const PARTITIONS: u32 = 16;
    /// The usual number of brokers that keep each record.
    pub const REPLICATION: u16 = 3;

    /// Whether a property is the log's own, and may not be among [`KafkaOptions::properties`]: order, durability,
    /// exactness or bounds would be lost with another value, or it stands in a field of its own.
    pub fn holds(property: &str) -> bool {
        HELD.contains(&property)
    }

    /// Refuses what would make the log wrong, before anything is tried.
    pub(super) fn check(&self) -> Result<(), LogError> {
        if self.partitions == 0 || self.replication == 0 {
            return Err(LogError::Incompatible(
                "log.partitions and kafka.replication are at least 1".to_owned(),
            ));
        }
        let held: Vec<_> =
            self.properties.keys().map(String::as_str).filter(|key| Self::holds(key)).collect();
        if held.is_empty() {
            return Ok(());
        }
        Err(LogError::Incompatible(format!(
            "kafka.properties may not set {}: what is promised of the log stands on these; take them out",
            held.join(", ")
        )))
    }
}

/// See [`KafkaOptions::holds`].
const HELD: &[&str] = &[
    "acks",
    "auto.offset.reset",
    "bootstrap.servers",
    "enable.auto.commit",
    "enable.auto.offset.store",
    "enable.idempotence",
    "enable.partition.eof",
    "group.id",
    "group.instance.id",
    "group.protocol",
    "isolation.level",
    "max.in.flight",
    "max.in.flight.requests.per.connection",
    "message.max.bytes",
    "metadata.broker.list",
    "partition.assignment.strategy",
    "partitioner",
    "request.required.acks",
    "transactional.id",
];

/// Why a client could not be made. A property's value may be a secret, so its name alone is told.
pub(super) fn unusable(error: KafkaError) -> LogError {
    let incompatible = |text| LogError::Incompatible(format!("kafka.properties: {text}"));
    match error {
        KafkaError::ClientConfig(RDKafkaConfRes::RD_KAFKA_CONF_UNKNOWN, _, key, _) => {
            incompatible(format!("librdkafka has no property {key}; correct its name or take it out"))
        }
        KafkaError::ClientConfig(_, _, key, _) => incompatible(format!(
            "{key} can't have this value; librdkafka's CONFIGURATION.md lists what it can"
        )),
        KafkaError::ClientCreation(text) => incompatible(format!("they don't fit together: {text}")),
        other => LogError::Backend(other.to_string()),
    }
}

/// Properties may hold secrets: their names alone are shown.
impl fmt::Debug for KafkaOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KafkaOptions")
            .field("brokers", &self.brokers)
            .field("prefix", &self.prefix)
            .field("partitions", &self.partitions)
            .field("replication", &self.replication)
            .field("properties", &self.properties.keys())
            .finish()
    }
}
