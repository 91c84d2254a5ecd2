//! The settings of librdkafka's clients.

use rdkafka::ClientConfig;

use super::Core;

/// What a client is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Use {
    /// Appends.
    Append,
    /// Reads that no group knows of.
    Read,
    /// Membership of a group, and its committed positions.
    Member,
    /// Batches for a group's member.
    Fetch,
    /// Transactions of a group's member.
    Commit,
    /// Topics' making and checking.
    Admin,
}

impl Core {
    /// The settings for this use; what only the caller knows (a group, a transactional id) it adds.
    pub(super) fn client(&self, client: Use) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.options.brokers);
        for (key, value) in SETTINGS.iter().filter(|row| row.0.contains(&client)).flat_map(|row| row.1) {
            config.set(*key, *value);
        }
        for (key, value) in &self.options.properties {
            config.set(key, value);
        }
        config
    }
}

const PRODUCERS: &[Use] = &[Use::Append, Use::Commit];
const CONSUMERS: &[Use] = &[Use::Read, Use::Fetch];

/// Settings by use. What is not here is as librdkafka has it.
const SETTINGS: &[(&[Use], &[(&str, &str)])] = &[
    (
        PRODUCERS,
        &[
            ("enable.idempotence", "true"),
            ("partitioner", "murmur2_random"),
            ("compression.type", "lz4"),
            ("linger.ms", "1"),
            // Between the steps of a transaction the broker answers "concurrent transactions" and this is waited.
            ("retry.backoff.ms", "2"),
            ("retry.backoff.max.ms", "1000"),
        ],
    ),
    (
        CONSUMERS,
        &[
            ("isolation.level", "read_committed"),
            ("enable.auto.commit", "false"),
            ("enable.partition.eof", "true"),
            ("auto.offset.reset", "earliest"),
            ("fetch.wait.max.ms", "10"),
            ("fetch.queue.backoff.ms", "20"),
        ],
    ),
    (
        &[Use::Member],
        &[
            ("isolation.level", "read_committed"),
            ("enable.auto.commit", "false"),
            ("partition.assignment.strategy", "cooperative-sticky"),
            ("session.timeout.ms", "6000"),
            ("heartbeat.interval.ms", "1500"),
        ],
    ),
];
