//! One Kafka and one Cassandra for all tests of a process.

use std::sync::OnceLock;

use crate::{Cassandra, Kafka};

/// Addresses of running servers, to be used in place of new ones.
const KAFKA: &str = "FLEET_KAFKA";
const CQL: &str = "FLEET_CQL";

/// The address of a Kafka of one node: that of `FLEET_KAFKA`, else of one that is started at the first call and
/// lives as long as the process. Tests share it, and maybe its topics of earlier runs: each takes a prefix of its own.
///
/// # Panics
///
/// With the reason when it can't be had: a test that needs it must fail.
pub fn shared_kafka() -> &'static str {
    static KAFKA_OF_ALL: OnceLock<(String, Option<Kafka>)> = OnceLock::new();
    let (brokers, _) = KAFKA_OF_ALL.get_or_init(|| match named(KAFKA) {
        Some(brokers) => (brokers, None),
        None => match Kafka::start(1) {
            Ok(kafka) => (kafka.brokers(), Some(kafka)),
            Err(error) => panic!("{error}"),
        },
    });
    brokers
}

/// The address of a Cassandra: that of `FLEET_CQL`, else of one that is started at the first call and lives as long
/// as the process. Tests share it, and maybe its keyspaces of earlier runs: each takes a name of its own.
///
/// # Panics
///
/// With the reason when it can't be had: a test that needs it must fail.
pub fn shared_cql() -> &'static str {
    static CQL_OF_ALL: OnceLock<(String, Option<Cassandra>)> = OnceLock::new();
    let (address, _) = CQL_OF_ALL.get_or_init(|| match named(CQL) {
        Some(address) => (address, None),
        None => match Cassandra::start() {
            Ok(cassandra) => (cassandra.address(), Some(cassandra)),
            Err(error) => panic!("{error}"),
        },
    });
    address
}

fn named(variable: &str) -> Option<String> {
    std::env::var(variable).ok().filter(|address| !address.is_empty())
}
