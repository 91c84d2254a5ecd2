//! The Kafka backend: topics, groups and transactions of a real cluster, through librdkafka.

mod client;
mod context;
mod group;
mod native;
mod record;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::Topic;

/// What can be chosen.
#[derive(Clone, PartialEq, Eq)]
pub struct KafkaOptions {
    /// Where to begin: `host:port`, with commas between them.
    pub brokers: String,
    /// Stands before the names of topics, groups and transactions, so that several installations can share a cluster.
    pub prefix: String,
    /// The number of partitions of a topic that has more than one; fixed when the topics are made.
    pub partitions: u32,
    /// How many brokers keep each record.
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

/// What the log, its readers and its members share.
struct Core {
    options: KafkaOptions,
    /// By [`Topic`], in its order.
    names: Vec<String>,
    closed: CancellationToken,
}

impl Core {
    fn new(options: KafkaOptions) -> Arc<Self> {
        let names = Topic::all().map(|topic| format!("{}{}", options.prefix, topic.name())).collect();
        Arc::new(Self { options, names, closed: CancellationToken::new() })
    }

    /// A topic's name in the cluster.
    fn name(&self, topic: Topic) -> &str {
        &self.names[topic as usize]
    }

    /// How many partitions a topic has.
    fn partitions(&self, topic: Topic) -> u32 {
        if topic.is_partitioned() { self.options.partitions } else { 1 }
    }
}
