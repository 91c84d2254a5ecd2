//! Appending.

use std::collections::HashMap;

use bytes::Bytes;
use geopush_log::{AppendError, Record, Topic, TraceId, partition_of};

use crate::harness::{Harness, put, read_all, read_topic, text, texts};

pub async fn concurrent_appends_keep_their_order_and_lose_nothing(harness: &dyn Harness) {
    let log = harness.log();
    let tasks: Vec<_> = (0..8)
        .map(|task| {
            let log = log.clone();
            tokio::spawn(async move {
                for i in 0..50 {
                    let records = (0..3)
                        .map(|j| Record::new(Topic::Pings, format!("t/{task}"), format!("{:04}", i * 3 + j)))
                        .collect();
                    log.append(records).await.unwrap();
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let mut by_key = HashMap::<Bytes, Vec<String>>::new();
    for record in read_topic(&log, Topic::Pings).await {
        by_key.entry(record.key.clone()).or_default().push(text(&record));
    }
    assert_eq!(by_key.len(), 8);
    let expected: Vec<String> = (0..150).map(|n| format!("{n:04}")).collect();
    assert!(by_key.values().all(|values| *values == expected));
}

pub async fn keys_go_where_kafkas_clients_would_send_them(harness: &dyn Harness) {
    let log = harness.log();
    let partitions = log.partitions(Topic::Pings);
    for n in 0..40 {
        put(&log, Topic::Pings, &format!("tenant/device-{n}"), "x").await;
    }
    let mut seen = 0;
    for partition in 0..partitions {
        for record in read_all(&log, Topic::Pings, partition).await {
            assert_eq!(partition_of(&record.key, partitions), partition);
            seen += 1;
        }
    }
    assert_eq!(seen, 40);
}

pub async fn a_record_can_be_sent_to_a_partition_of_choice(harness: &dyn Harness) {
    let log = harness.log();
    for partition in 0..log.partitions(Topic::Jobs) {
        log.append(vec![Record::new(Topic::Jobs, "the same key", "x").at(partition)]).await.unwrap();
        assert_eq!(read_all(&log, Topic::Jobs, partition).await.len(), 1);
    }
}

pub async fn everything_comes_back_as_it_was_written(harness: &dyn Harness) {
    let log = harness.log();
    let trace = TraceId::parse("4bf92f3577b34da6a3ce929d0e0e4736");
    let large: Vec<u8> = (0..900_000_u32).map(|n| (n % 251) as u8).collect();
    let written = vec![
        Record::new(Topic::Pings, "käse/日本 🚀", "värde").traced(trace),
        Record::new(Topic::Pings, "empty", ""),
        Record::tombstone(Topic::Pings, "gone").traced(trace),
        Record::new(Topic::Pings, "not text", vec![0, 255, 0]),
        Record::new(Topic::Pings, "large", large),
        Record::new(Topic::Pings, "", "no key"),
    ];
    let written: Vec<_> = written.into_iter().map(|record| record.at(1)).collect();
    log.append(written.clone()).await.unwrap();
    let read = read_all(&log, Topic::Pings, 1).await;
    assert_eq!(read.len(), written.len());
    for (read, written) in read.iter().zip(&written) {
        assert_eq!((&read.key, &read.value, read.trace), (&written.key, &written.value, written.trace));
        assert!(read.appended_at_ms > 1_700_000_000_000);
    }
}

pub async fn what_is_refused_leaves_nothing_behind(harness: &dyn Harness) {
    let log = harness.log();
    let good = Record::new(Topic::Pings, "good", "x");
    let too_large = Record::new(Topic::Pings, "", vec![0; Record::MAX_BYTES + 1]);
    let nowhere = Record::new(Topic::Zones, "zone", "x").at(1);
    for bad in [too_large, nowhere] {
        let refused = log.append(vec![good.clone(), bad]).await;
        assert!(matches!(refused, Err(AppendError::Refused(_))), "{refused:?}");
    }
    log.append(Vec::new()).await.unwrap();
    assert!(read_topic(&log, Topic::Pings).await.is_empty());
    log.append(vec![Record::new(Topic::Pings, "", vec![0; Record::MAX_BYTES])]).await.unwrap();
}

pub async fn an_acknowledged_record_lies_before_the_end(harness: &dyn Harness) {
    let log = harness.log();
    let mut last = log.end(Topic::Zones, 0).await.unwrap();
    for n in 0..20 {
        put(&log, Topic::Zones, &format!("{n}"), "x").await;
        let end = log.end(Topic::Zones, 0).await.unwrap();
        assert!(end > last);
        last = end;
        assert_eq!(read_all(&log, Topic::Zones, 0).await.len(), n + 1);
    }
    log.end(Topic::Zones, 1).await.unwrap_err();
}

pub async fn a_crash_loses_nothing_and_offsets_go_on(harness: &dyn Harness) {
    let log = harness.log();
    for n in 0..30 {
        put(&log, Topic::Pings, "t/d", &n.to_string()).await;
        put(&log, Topic::Zones, "the same zone", &n.to_string()).await;
    }
    let partition = partition_of(b"t/d", log.partitions(Topic::Pings));
    let before = read_all(&log, Topic::Pings, partition).await;
    let end = log.end(Topic::Zones, 0).await.unwrap();
    let after = harness.after_a_crash().await;
    assert_eq!(read_all(&after, Topic::Pings, partition).await, before);
    assert!(after.end(Topic::Zones, 0).await.unwrap() >= end);
    put(&after, Topic::Pings, "t/d", "after").await;
    let all = read_all(&after, Topic::Pings, partition).await;
    assert_eq!(texts(&all[30..]), ["after"]);
    assert!(all[30].offset > before[29].offset);
}
