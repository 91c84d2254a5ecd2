//! What transactions, compaction and retention leave in a partition.

use std::time::Duration;

use geopush_log::{AppendError, Cursor, LogError, Record, Topic, Until};
use rdkafka::TopicPartitionList;
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};

use crate::{PATIENCE, foreign, open, options, read_all, texts};

/// A producer of transactions that has nothing to do with the log.
pub fn transactional(id: &str) -> BaseProducer {
    let producer: BaseProducer = foreign().set("transactional.id", id).create().unwrap();
    producer.init_transactions(PATIENCE).unwrap();
    producer
}

fn send(producer: &BaseProducer, topic: &str, value: &str) {
    producer
        .send(BaseRecord::to(topic).partition(0).key("k").payload(value))
        .map_err(|(error, _)| error)
        .unwrap();
    producer.flush(PATIENCE).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_until_now_waits_for_a_transaction_that_is_open() {
    let options = options();
    let log = open(&options).await;
    let name = format!("{}geopush.transitions", options.prefix);
    log.append(vec![Record::new(Topic::Transitions, "k", "first").at(0)]).await.unwrap();
    let stable = log.end(Topic::Transitions, 0).await.unwrap();

    let producer = transactional(&name);
    producer.begin_transaction().unwrap();
    send(&producer, &name, "second");
    log.append(vec![Record::new(Topic::Transitions, "k", "third").at(0)]).await.unwrap();
    assert_eq!(log.end(Topic::Transitions, 0).await.unwrap(), stable, "what may be taken back is not stable");
    let cursor = Cursor { topic: Topic::Transitions, partition: 0, offset: 0 };
    let mut reader = log.read(vec![cursor], Until::Now).await.unwrap();
    let (_, first) = reader.next(PATIENCE).await.unwrap().unwrap();
    assert_eq!(texts(&first), ["first"]);
    assert!(reader.next(Duration::from_millis(300)).await.unwrap().is_none() && !reader.done());
    producer.commit_transaction(PATIENCE).unwrap();
    let mut rest = Vec::new();
    while let Some((_, records)) = reader.next(PATIENCE).await.unwrap() {
        rest.extend(records);
    }
    assert!(reader.done());
    assert_eq!(texts(&rest), ["second", "third"]);

    producer.begin_transaction().unwrap();
    send(&producer, &name, "taken back");
    producer.abort_transaction(PATIENCE).unwrap();
    // With two markers and the record that was taken back. The second marker is written after the answer.
    let settled = async { while log.end(Topic::Transitions, 0).await.unwrap() < 6 {} };
    tokio::time::timeout(PATIENCE, settled).await.expect("the transaction never ended");
    let (all, position) = read_all(&log, Topic::Transitions, 0).await;
    assert_eq!((texts(&all), position), (["first", "second", "third"].map(str::to_owned).to_vec(), 6));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_sees_a_transaction_once_it_is_committed() {
    let options = options();
    let log = open(&options).await;
    let name = format!("{}geopush.deliveries", options.prefix);
    let cursor = Cursor { topic: Topic::Deliveries, partition: 0, offset: 0 };
    let mut reader = log.read(vec![cursor], Until::Never).await.unwrap();
    let producer = transactional(&name);
    for n in 0..5 {
        producer.begin_transaction().unwrap();
        send(&producer, &name, &n.to_string());
        assert!(reader.next(Duration::from_millis(50)).await.unwrap().is_none());
        producer.commit_transaction(PATIENCE).unwrap();
        let (_, records) = reader.next(PATIENCE).await.unwrap().unwrap();
        assert_eq!(texts(&records), [n.to_string()]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_retention_took_is_a_hole() {
    let options = options();
    let log = open(&options).await;
    let name = format!("{}geopush.jobs", options.prefix);
    for n in 0..10 {
        log.append(vec![Record::new(Topic::Jobs, "k", n.to_string()).at(0)]).await.unwrap();
    }
    for (kept_from, kept) in [(7, vec!["7", "8", "9"]), (10, vec![])] {
        let admin: AdminClient<DefaultClientContext> = foreign().create().unwrap();
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(&name, 0, rdkafka::Offset::Offset(kept_from)).unwrap();
        admin.delete_records(&list, &AdminOptions::new()).await.unwrap();
        let (all, position) = read_all(&log, Topic::Jobs, 0).await;
        assert_eq!((texts(&all), position), (kept.into_iter().map(str::to_owned).collect(), 10));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_time_of_a_record_is_the_brokers() {
    let options = options();
    let log = open(&options).await;
    let name = format!("{}geopush.jobs", options.prefix);
    let producer: BaseProducer = foreign().create().unwrap();
    let long_ago = BaseRecord::to(&name).partition(0).key("k").payload("x").timestamp(1_000);
    producer.send(long_ago).map_err(|(error, _)| error).unwrap();
    producer.flush(PATIENCE).unwrap();
    log.append(vec![Record::new(Topic::Jobs, "k", "x").at(0)]).await.unwrap();
    let (all, _) = read_all(&log, Topic::Jobs, 0).await;
    assert!((0..60_000).contains(&(all[1].appended_at_ms - all[0].appended_at_ms)), "{all:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_it_was_closed_everything_fails_and_what_was_taken_is_written() {
    let options = options();
    let log = open(&options).await;
    let mut reader =
        log.read(vec![Cursor { topic: Topic::Zones, partition: 0, offset: 0 }], Until::Never).await.unwrap();
    let records = (0..500).map(|n| Record::new(Topic::Pings, n.to_string(), "x")).collect();
    let (appended, ()) = tokio::join!(log.append(records), log.close());
    appended.unwrap();
    assert!(matches!(reader.next(PATIENCE).await, Err(LogError::Closed)));
    let refused = log.append(vec![Record::new(Topic::Zones, "z", "x")]).await;
    assert!(matches!(refused, Err(AppendError::Refused(_))), "{refused:?}");
    assert!(matches!(log.end(Topic::Zones, 0).await, Err(LogError::Closed)));
    assert!(matches!(log.join("g", &[Topic::Pings]).await.map(drop), Err(LogError::Closed)));
}
