//! A broker that stands still, and one that is killed and comes back.

use std::time::{Duration, Instant};

use geopush_fleet::Kafka;
use geopush_log::{AppendError, Cursor, Record, SharedLog, Topic, Until};

use crate::harness::{PATIENCE, put, read_all, text};
use crate::{open, options};

/// A broker of the test's own, and a log there.
async fn own() -> (Kafka, SharedLog) {
    let kafka = tokio::task::spawn_blocking(|| Kafka::start(1)).await.unwrap().unwrap();
    let log = open(&options(&kafka.brokers())).await;
    (kafka, log)
}

async fn append(log: &SharedLog, value: &str) -> Result<(), AppendError> {
    log.append(vec![Record::new(Topic::Pings, "k", value.to_owned()).at(0)]).await
}

/// Appends one value after another, each until it is acknowledged, and counts the acknowledged.
async fn append_all(log: SharedLog, count: usize) {
    for n in 0..count {
        let began = Instant::now();
        while append(&log, &n.to_string()).await.is_err() {
            assert!(began.elapsed() < Duration::from_secs(90), "record {n} was never written");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_append_to_a_broker_that_stands_still_is_answered_in_bounded_time() {
    let (kafka, log) = own().await;
    append(&log, "before").await.unwrap();
    kafka.pause(0).unwrap();
    let began = Instant::now();
    let unknown = append(&log, "in doubt").await;
    assert!(matches!(unknown, Err(AppendError::Unknown(_))), "{unknown:?}");
    assert!(began.elapsed() < Duration::from_secs(25), "it took {:?}", began.elapsed());
    // The room for what waits is bounded: then nothing more is taken, and nothing of it written.
    let large = || Record::new(Topic::Pings, "large", vec![7; 900_000]).at(1);
    let began = Instant::now();
    let waiting: Vec<_> = (0..100)
        .map(|_| {
            tokio::spawn({
                let (log, record) = (log.clone(), large());
                async move { log.append(vec![record]).await }
            })
        })
        .collect();
    let mut full = 0;
    for answer in waiting {
        match answer.await.unwrap() {
            Err(AppendError::Full) => full += 1,
            Err(AppendError::Unknown(_)) => {}
            other => panic!("{other:?}"),
        }
    }
    assert!((20..50).contains(&full), "{full} of 90 MB were refused");
    assert!(began.elapsed() < Duration::from_secs(25), "it took {:?}", began.elapsed());
    kafka.resume(0).unwrap();
    let back = async { while append(&log, "after").await.is_err() {} };
    tokio::time::timeout(Duration::from_secs(40), back).await.expect("it never worked again");
    let values: Vec<_> = read_all(&log, Topic::Pings, 0).await.iter().map(text).collect();
    assert_eq!((&values[0][..], &values[values.len() - 1][..]), ("before", "after"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_and_appends_go_on_when_a_killed_broker_is_back() {
    const COUNT: usize = 3_000;
    let (kafka, log) = own().await;
    let cursor = Cursor { topic: Topic::Pings, partition: 0, offset: 0 };
    let mut reader = log.read(vec![cursor], Until::Never).await.unwrap();
    let writing = tokio::spawn(append_all(log.clone(), COUNT));
    let mut values = Vec::new();
    let mut was_killed = false;
    while values.last() != Some(&(COUNT - 1)) {
        let (_, records) =
            reader.next(Duration::from_secs(90)).await.unwrap().expect("the follower heard no more");
        values.extend(records.iter().map(|record| text(record).parse::<usize>().unwrap()));
        if values.len() > COUNT / 3 && !was_killed {
            was_killed = true;
            kafka.kill(0).unwrap();
            // An end can't be had now, and that is said in bounded time.
            let began = Instant::now();
            log.end(Topic::Pings, 0).await.unwrap_err();
            assert!(began.elapsed() < Duration::from_secs(10), "it took {:?}", began.elapsed());
            kafka.start_node(0).unwrap();
        }
    }
    writing.await.unwrap();
    assert!(was_killed);
    // What was in doubt may have been written twice; nothing is missing, and nothing is out of order.
    values.dedup();
    assert_eq!(values, (0..COUNT).collect::<Vec<_>>());
    put(&log, Topic::Zones, "zone", "x").await;
    assert_eq!(tokio::time::timeout(PATIENCE, read_all(&log, Topic::Zones, 0)).await.unwrap().len(), 1);
}
