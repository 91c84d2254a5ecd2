//! Where the log and the tables are: in a directory, or on Kafka and ScyllaDB.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use geopush_log::KafkaOptions;
use geopush_service::config::{FromConfig, Reader, Secret, flag_name, variable_name};

use super::{Purpose, Role, StoreNeed};

/// Where the log and the tables are.
#[derive(Clone, Debug)]
pub enum Backend {
    /// In the data directory, for one process.
    Embedded {
        /// How many partitions each topic has, fixed when the directory is made.
        partitions: u32,
    },
    /// On servers that many processes share.
    Fleet(Box<Fleet>),
}

/// Servers that many processes share.
#[derive(Clone, Debug)]
pub struct Fleet {
    /// The log.
    pub kafka: Kafka,
    /// The tables; a process that evaluates pings alone may do without.
    pub cql: Option<Cql>,
}

/// The log of a fleet.
#[derive(Clone, Debug)]
pub struct Kafka {
    /// `host:port` of some of the brokers.
    pub brokers: Vec<String>,
    /// Stands before the names of topics, groups and transactions.
    pub prefix: String,
    /// How many partitions each topic has, fixed when the topics are made.
    pub partitions: u32,
    /// How many brokers keep each record.
    pub replication: u16,
    /// Passed through to librdkafka.
    pub properties: BTreeMap<String, Secret>,
}

/// The tables of a fleet.
#[derive(Clone, Debug)]
pub struct Cql {
    /// `host:port` of some of the nodes.
    pub nodes: Vec<String>,
    /// The keyspaces are named after it.
    pub keyspace: String,
    /// The data centre whose nodes are asked.
    pub datacenter: Option<String>,
    /// How many nodes of a data centre keep each row.
    pub replication: u16,
    /// User and password.
    pub credentials: Option<(String, Secret)>,
    /// A PEM file of the roots to trust the nodes by; TLS when there is one.
    pub ca: Option<PathBuf>,
}

/// `host:port` of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Address(String);

impl FromConfig for Address {
    const EXPECTED: &'static str = "host:port of one or more servers, with commas between them";

    fn from_text(text: &str) -> Option<Self> {
        let (host, port) = text.rsplit_once(':')?;
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let of_host = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
        let fits = if bare == host {
            !host.is_empty() && host.bytes().all(of_host)
        } else {
            bare.parse::<std::net::Ipv6Addr>().is_ok()
        };
        (fits && port.parse::<u16>().is_ok_and(|port| port > 0)).then(|| Self(text.to_owned()))
    }

    fn show(&self) -> String {
        self.0.clone()
    }
}

const BROKERS: &str = "kafka.brokers";
const NODES: &str = "cql.nodes";
/// Keys that mean nothing without [`BROKERS`] and [`NODES`].
const OF_BROKERS: [&str; 3] = ["kafka.prefix", "kafka.properties", "kafka.replication"];
const OF_NODES: [&str; 6] =
    ["cql.ca", "cql.datacenter", "cql.keyspace", "cql.password", "cql.replication", "cql.username"];

/// A keyspace's name has at most 48 characters, and ours end in `_history`.
const LONGEST_KEYSPACE: usize = 40;
/// A topic's name has at most 249 characters.
const LONGEST_PREFIX: usize = 100;

/// Reads where the log and the tables are, and tells what is missing for these roles.
pub(super) fn read(reader: &mut Reader, roles: &BTreeSet<Role>, purpose: Purpose) -> Backend {
    let (kafka, cql) = (read_kafka(reader), read_cql(reader));
    let (on_kafka, on_cql) = (reader.is_given(BROKERS), reader.is_given(NODES));
    let partitions = reader
        .key("log.partitions", "partitions of each topic, fixed when the topics are made; 16 on Kafka")
        .within(1..=256)
        .or(if on_kafka { 16 } else { 8 });
    let needs_tables =
        purpose == Purpose::Maintain || roles.iter().any(|role| role.store() != StoreNeed::None);
    if on_cql && !on_kafka {
        missing(reader, BROKERS, "the tables are on ScyllaDB, so the log must be on Kafka");
    }
    if on_kafka && !on_cql && needs_tables {
        missing(
            reader,
            NODES,
            "the log is on Kafka, so the tables must be on ScyllaDB; geofence alone needs none",
        );
    }
    for (main, given, others) in [(BROKERS, on_kafka, &OF_BROKERS[..]), (NODES, on_cql, &OF_NODES)] {
        for other in others.iter().filter(|other| !given && reader.is_given(other)).collect::<Vec<_>>() {
            reader.reject(other, format!("means nothing without {main}; set that, too, or remove this"));
        }
    }
    match kafka {
        Some(kafka) => Backend::Fleet(Box::new(Fleet { kafka: Kafka { partitions, ..kafka }, cql })),
        None => Backend::Embedded { partitions },
    }
}

/// Adds that this key is needed, and how it is spelled.
pub(super) fn missing(reader: &mut Reader, key: &str, why: &str) {
    let (variable, flag) = (variable_name(key), flag_name(key));
    reader.reject(key, format!("is needed: {why}; set {key} in the file, {variable} or {flag}"));
}

fn read_kafka(reader: &mut Reader) -> Option<Kafka> {
    let brokers = read_addresses(
        reader,
        BROKERS,
        "some of Kafka's brokers; if left out, the log is in the data directory",
    );
    let kafka = Kafka {
        brokers: brokers.clone().unwrap_or_default(),
        prefix: reader
            .key("kafka.prefix", "stands before the names of topics, groups and transactions")
            .check(|prefix: &String| {
                let fits = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
                accept(prefix.len() <= LONGEST_PREFIX && prefix.bytes().all(fits), || {
                    format!("write at most {LONGEST_PREFIX} letters, digits, `.`, `-` and `_`")
                })
            })
            .or(String::new()),
        partitions: 0,
        replication: reader
            .key("kafka.replication", "brokers that keep each record, of topics that are made from now on")
            .within(1..=32)
            .or(3),
        properties: reader.table(
            "kafka.properties",
            "librdkafka's own settings, such as security.protocol, sasl.* and ssl.*",
            |name| accept(!KafkaOptions::holds(name), || "is chosen by GeoPush; remove it".to_owned()),
        ),
    };
    brokers.map(|_| kafka)
}

fn read_cql(reader: &mut Reader) -> Option<Cql> {
    let nodes = read_addresses(reader, NODES, "some of ScyllaDB's nodes; set together with kafka.brokers");
    let keyspace = reader
        .key("cql.keyspace", "the keyspaces are named after it: NAME_config and NAME_history")
        .check(|name: &String| {
            let begins = name.starts_with(|c: char| c.is_ascii_lowercase());
            let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
            accept(begins && name.len() <= LONGEST_KEYSPACE && name.bytes().all(fits), || {
                format!("write at most {LONGEST_KEYSPACE} lower-case letters, digits and `_`, a letter first")
            })
        })
        .or("geopush".to_owned());
    let datacenter = reader.optional(
        "cql.datacenter",
        "the data centre whose nodes are asked; may be left out where there is only one",
    );
    let replication = reader
        .key("cql.replication", "nodes that keep each row, in keyspaces that are made from now on")
        .within(1..=32)
        .or(3);
    let (username, password) = (
        reader.optional::<String>("cql.username", "who to log in as, where the nodes ask"),
        reader.optional::<Secret>("cql.password", "with which password"),
    );
    for (given, without) in [("cql.username", "cql.password"), ("cql.password", "cql.username")] {
        if reader.is_given(given) && !reader.is_given(without) {
            missing(reader, without, &format!("{given} is set"));
        }
    }
    let ca = reader.optional("cql.ca", "a PEM file of the roots to trust the nodes by; TLS when it is set");
    let credentials = username.zip(password);
    nodes.map(|nodes| Cql { nodes, keyspace, datacenter, replication, credentials, ca })
}

fn accept(fits: bool, otherwise: impl FnOnce() -> String) -> Result<(), String> {
    if fits { Ok(()) } else { Err(otherwise()) }
}

fn read_addresses(reader: &mut Reader, key: &str, about: &'static str) -> Option<Vec<String>> {
    let read = reader.key::<Vec<Address>>(key, about);
    let read = read.check(|addresses| {
        accept(!addresses.is_empty(), || format!("is empty; write {}", Address::EXPECTED))
    });
    read.optional().map(|addresses| addresses.into_iter().map(|address| address.0).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_host_and_a_port() {
        for good in ["kafka-1:9092", "10.0.0.1:9092", "[::1]:9042", "a_b.c:1"] {
            assert!(Address::from_text(good).is_some(), "{good}");
        }
        for bad in
            ["kafka-1", "kafka-1:", ":9092", "kafka 1:9092", "::1:9042", "k:0", "k:70000", "http://k:1"]
        {
            assert!(Address::from_text(bad).is_none(), "{bad}");
        }
    }
}
