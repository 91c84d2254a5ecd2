//! A cluster with TLS and logins.

use std::collections::BTreeMap;

use geopush_fleet::{Kafka, Secured};
use geopush_log::{KafkaLog, KafkaOptions, LogError, Topic};

use crate::harness::{given, put, read_topic};
use crate::{open, options};

fn properties(secured: &Secured, mechanism: &str, password: &str) -> BTreeMap<String, String> {
    let ca = secured.ca.display().to_string();
    let all = [
        ("security.protocol", "SASL_SSL"),
        ("ssl.ca.location", &ca),
        ("sasl.mechanism", mechanism),
        ("sasl.username", secured.username),
        ("sasl.password", password),
    ];
    all.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_log_works_over_tls_with_a_password() {
    let kafka = tokio::task::spawn_blocking(Kafka::start_secured).await.unwrap().unwrap();
    let secured = kafka.secured().unwrap();
    for mechanism in ["PLAIN", "SCRAM-SHA-512"] {
        let properties = properties(secured, mechanism, secured.password);
        let log = open(&KafkaOptions { properties, ..options(&kafka.brokers()) }).await;
        put(&log, Topic::Pings, "k", mechanism).await;
        assert_eq!(read_topic(&log, Topic::Pings).await.len(), 1);
        let mut group = log.join("g", &[Topic::Pings]).await.unwrap();
        given(&mut group, 4).await;
    }

    let wrong = properties(secured, "PLAIN", "not-the-password");
    let refused =
        KafkaLog::open(KafkaOptions { properties: wrong, ..options(&kafka.brokers()) }).await.map(drop);
    let Err(LogError::Backend(text)) = refused else { panic!("{refused:?}") };
    assert!(text.contains("uthentication") && text.contains(&kafka.brokers()), "{text}");
    assert!(!text.contains("not-the-password"));

    let mut distrusting = properties(secured, "PLAIN", secured.password);
    distrusting.remove("ssl.ca.location");
    let refused = KafkaLog::open(KafkaOptions { properties: distrusting, ..options(&kafka.brokers()) }).await;
    let Err(LogError::Backend(text)) = refused.map(drop) else { panic!("an unknown authority was trusted") };
    assert!(text.contains("certificate"), "{text}");
}
