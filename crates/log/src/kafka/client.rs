//! The settings of librdkafka's clients.

use rdkafka::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;

use super::{Core, KafkaOptions};

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

impl Use {
    /// As metrics, log lines and brokers see it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Append => "append",
            Self::Read => "read",
            Self::Member => "member",
            Self::Fetch => "fetch",
            Self::Commit => "commit",
            Self::Admin => "admin",
        }
    }
}

impl Core {
    /// The settings for this use; what only the caller knows (a group, a transactional id) it adds.
    pub(super) fn client(&self, client: Use) -> ClientConfig {
        self.options.client(client)
    }
}

impl KafkaOptions {
    pub(super) fn client(&self, client: Use) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.brokers);
        config.set("client.id", format!("geopush-{}", client.name()));
        // Which lines are kept is tracing's to decide; debugging lines come with librdkafka's `debug` alone.
        config.set_log_level(RDKafkaLogLevel::Debug);
        for (key, value) in SETTINGS.iter().filter(|row| row.0.contains(&client)).flat_map(|row| row.1) {
            config.set(*key, *value);
        }
        for (key, value) in &self.properties {
            config.set(key, value);
        }
        config
    }
}

const ALL: &[Use] = &[Use::Append, Use::Read, Use::Member, Use::Fetch, Use::Commit, Use::Admin];
const PRODUCERS: &[Use] = &[Use::Append, Use::Commit];
const CONSUMERS: &[Use] = &[Use::Read, Use::Fetch];

type Settings = &'static [(&'static str, &'static str)];

/// Settings by use. What is not here is as librdkafka has it.
const SETTINGS: &[(&[Use], Settings)] = &[
    (
        ALL,
        &[
            ("statistics.interval.ms", "5000"),
            ("socket.keepalive.enable", "true"),
            ("socket.connection.setup.timeout.ms", "5000"),
            // A broker that is back is found within a second.
            ("reconnect.backoff.ms", "50"),
            ("reconnect.backoff.max.ms", "1000"),
        ],
    ),
    (
        PRODUCERS,
        &[
            ("enable.idempotence", "true"),
            ("partitioner", "murmur2_random"),
            ("compression.type", "lz4"),
            ("linger.ms", "1"),
            // The largest record with its headers; what brokers take by default is a little more.
            ("message.max.bytes", "1048576"),
            // Between the steps of a transaction the broker answers "concurrent transactions" and this is waited.
            ("retry.backoff.ms", "2"),
            ("retry.backoff.max.ms", "1000"),
        ],
    ),
    (
        &[Use::Append],
        &[
            // An append that is not through by then is answered as unknown.
            ("message.timeout.ms", "15000"),
            // More than the room that appends share, so that it is theirs to refuse.
            ("queue.buffering.max.kbytes", "131072"),
            ("queue.buffering.max.messages", "1000000"),
        ],
    ),
    (&[Use::Read], &[("queued.max.messages.kbytes", "8192")]),
    (&[Use::Append, Use::Read, Use::Admin], &[("socket.timeout.ms", "15000")]),
    // The broker ends a transaction that a stopped process has left open this long after it began; each step of one
    // takes less.
    (&[Use::Commit], &[("transaction.timeout.ms", "10000"), ("message.timeout.ms", "8000")]),
    // What a stage may hold besides the batches in hand: commits on their way, and records read ahead.
    (&[Use::Commit], &[("queue.buffering.max.kbytes", "65536")]),
    (&[Use::Fetch], &[("queued.max.messages.kbytes", "32768")]),
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
            ("heartbeat.interval.ms", "500"),
        ],
    ),
];
