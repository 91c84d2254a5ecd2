//! Compacted topics and those who follow them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use geopush_log::{Follower, Received, Record, SharedLog, Topic};

use crate::harness::{GLIMPSE, Harness, put, text};

type Applied = Arc<Mutex<BTreeMap<Bytes, String>>>;

async fn follow(log: &SharedLog, topic: Topic) -> (Follower, Applied) {
    let applied = Applied::default();
    let state = Arc::clone(&applied);
    let apply = move |records: &[Received]| {
        let mut state = state.lock().unwrap();
        for record in records {
            match record.value {
                Some(_) => state.insert(record.key.clone(), text(record)),
                None => state.remove(&record.key),
            };
        }
    };
    (Follower::start(log.clone(), topic, apply).await.unwrap(), applied)
}

pub async fn the_last_value_of_each_key_is_what_a_follower_ends_with(harness: &dyn Harness) {
    let log = harness.log();
    for n in 0..200 {
        put(&log, Topic::Campaigns, &format!("c{}", n % 7), &n.to_string()).await;
    }
    log.append(vec![Record::tombstone(Topic::Campaigns, "c3")]).await.unwrap();
    let (_follower, applied) = follow(&log, Topic::Campaigns).await;
    let expected: BTreeMap<Bytes, String> = (0..200)
        .filter(|n| n % 7 != 3)
        .map(|n| (Bytes::from(format!("c{}", n % 7)), n.to_string()))
        .collect();
    assert_eq!(*applied.lock().unwrap(), expected);
}

pub async fn after_the_barrier_everything_answered_has_been_applied(harness: &dyn Harness) {
    let log = harness.log();
    let (follower, applied) = follow(&log, Topic::Zones).await;
    for n in 0..200 {
        put(&log, Topic::Zones, "zone", &n.to_string()).await;
        follower.barrier().await.unwrap();
        assert_eq!(applied.lock().unwrap()[&b"zone"[..]], n.to_string());
    }
}

pub async fn a_stopped_follower_applies_nothing_more(harness: &dyn Harness) {
    let log = harness.log();
    let (follower, applied) = follow(&log, Topic::Zones).await;
    follower.stop().await;
    put(&log, Topic::Zones, "zone", "x").await;
    tokio::time::sleep(GLIMPSE).await;
    assert!(applied.lock().unwrap().is_empty());
}
