//! Topics that are made, and topics that are not as they should be.

use std::time::{Duration, Instant};

use geopush_log::{KafkaLog, KafkaOptions, LogError, Record, Topic};
use rdkafka::admin::{AdminClient, AdminOptions, AlterConfig, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::client::DefaultClientContext;

use crate::{PATIENCE, foreign, open, options};

fn admin() -> AdminClient<DefaultClientContext> {
    foreign().create().unwrap()
}

async fn incompatible(options: &KafkaOptions) -> String {
    match KafkaLog::open(options.clone()).await {
        Err(LogError::Incompatible(text)) => text,
        other => panic!("{:?}", other.map(drop)),
    }
}

/// As a broker knows it.
async fn setting(topic: &str, key: &str) -> String {
    let resource = [ResourceSpecifier::Topic(topic)];
    let config = admin().describe_configs(&resource, &AdminOptions::new()).await.unwrap().remove(0).unwrap();
    config.get(key).unwrap().value.clone().unwrap()
}

#[tokio::test]
async fn processes_that_open_it_at_once_all_succeed() {
    let options = options();
    let opening: Vec<_> = (0..4).map(|_| tokio::spawn(KafkaLog::open(options.clone()))).collect();
    for log in opening {
        let log = log.await.unwrap().unwrap();
        geopush_log::Log::append(&log, vec![Record::new(Topic::Pings, "k", "x")]).await.unwrap();
    }
}

#[tokio::test]
async fn topics_are_made_as_they_are_meant() {
    let options = options();
    open(&options).await;
    let setting = async |topic: &str, key: &str| setting(&format!("{}{topic}", options.prefix), key).await;
    assert_eq!(setting("geopush.transitions", "retention.ms").await, (30_u64 * 24 * 3_600_000).to_string());
    assert_eq!(setting("geopush.transitions", "cleanup.policy").await, "delete");
    assert_eq!(setting("geopush.plan-state", "cleanup.policy").await, "compact");
    assert_eq!(setting("geopush.zones", "message.timestamp.type").await, "LogAppendTime");
}

#[tokio::test]
async fn every_topic_that_differs_is_named_with_what_differs() {
    let options = options();
    let zones = format!("{}geopush.zones", options.prefix);
    let wrong = NewTopic::new(&zones, 3, TopicReplication::Fixed(1)).set("cleanup.policy", "delete");
    admin().create_topics([&wrong], &AdminOptions::new()).await.unwrap()[0].as_ref().unwrap();
    let text = incompatible(&options).await;
    assert!(text.contains(&format!("{zones} has 3 partitions where 1 ")), "{text}");
    assert!(text.contains("cleanup.policy delete where compact"), "{text}");
    assert!(text.contains("message.timestamp.type CreateTime where LogAppendTime"), "{text}");
    assert!(!text.contains("geopush.pings"), "what was not there was made: {text}");

    let options = self::options();
    open(&options).await;
    let jobs = format!("{}geopush.jobs", options.prefix);
    let altered = AlterConfig::new(ResourceSpecifier::Topic(&jobs))
        .set("retention.ms", "1000")
        .set("message.timestamp.type", "LogAppendTime");
    admin().alter_configs([&altered], &AdminOptions::new()).await.unwrap()[0].as_ref().unwrap();
    // The controller has answered; the brokers learn of it a moment later.
    let known = async { while setting(&jobs, "retention.ms").await != "1000" {} };
    tokio::time::timeout(PATIENCE, known).await.expect("the setting is known");
    let text = incompatible(&KafkaOptions { partitions: 8, ..options.clone() }).await;
    assert!(
        text.contains(&format!("{jobs} has 4 partitions where 8 are asked for (log.partitions)")),
        "{text}"
    );
    assert!(text.contains("retention.ms 1000 where 604800000"), "{text}");
    let partitioned = Topic::all().filter(|topic| topic.is_partitioned());
    for topic in partitioned {
        assert!(text.contains(&format!("{}{} has 4 partitions", options.prefix, topic.name())), "{text}");
    }
    assert!(!text.contains(&format!("{}geopush.zones", options.prefix)), "{text}");
}

#[tokio::test]
async fn a_property_that_cannot_be_is_named_and_its_value_is_not() {
    let with = |key: &str, value: &str| {
        let properties = [(key.to_owned(), value.to_owned())].into();
        KafkaOptions { properties, ..options() }
    };
    for (key, value) in [
        ("sasl.pasword", "s3cret"),
        ("security.protocol", "s3cret"),
        ("isolation.level", "s3cret"),
        ("enable.idempotence", "false"),
        ("ssl.ca.pem", "s3cret"),
    ] {
        let mut options = with(key, value);
        if key == "ssl.ca.pem" {
            options.properties.insert("security.protocol".to_owned(), "ssl".to_owned());
        }
        let text = incompatible(&options).await;
        assert!(text.contains(key) && !text.contains("s3cret"), "{text}");
    }
}

#[tokio::test]
async fn brokers_that_cannot_be_reached_are_named_in_bounded_time() {
    // Taken and given back: nobody listens there.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let brokers = format!("127.0.0.1:{port}");
    let began = Instant::now();
    let refused = KafkaLog::open(KafkaOptions { brokers: brokers.clone(), ..options() }).await.map(drop);
    assert!(matches!(&refused, Err(LogError::Backend(text)) if text.contains(&brokers)), "{refused:?}");
    assert!(began.elapsed() < Duration::from_secs(12), "it took {:?}", began.elapsed());
}

#[tokio::test]
async fn more_copies_than_brokers_are_refused_with_what_to_do() {
    let refused = KafkaLog::open(KafkaOptions { replication: 100, ..options() }).await.map(drop);
    assert!(
        matches!(&refused, Err(LogError::Backend(text)) if text.contains("kafka.replication")),
        "{refused:?}"
    );
}
