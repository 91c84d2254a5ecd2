//! What a backend brings to the suite, and how the claims speak of it.

use std::time::Duration;

use async_trait::async_trait;
use geopush_log::{
    Batch, Commit, Cursor, Event, Given, Group, Offset, Received, Record, SharedLog, Topic, Until,
};

/// A backend under test, empty at first, with at least four partitions.
#[async_trait]
pub trait Harness: Send + Sync {
    /// The log, open.
    fn log(&self) -> SharedLog;

    /// The log as a new process finds it after this one was killed at this moment.
    async fn after_a_crash(&self) -> SharedLog;
}

/// Longer than anything takes unless it is broken.
pub const PATIENCE: Duration = Duration::from_secs(20);
/// Long enough for something unwanted to show.
pub const GLIMPSE: Duration = Duration::from_millis(100);

/// Appends one value under a key.
pub async fn put(log: &SharedLog, topic: Topic, key: &str, value: &str) {
    log.append(vec![Record::new(topic, key.to_owned(), value.to_owned())]).await.unwrap();
}

/// Everything in a partition from an offset to now.
pub async fn read_from(log: &SharedLog, topic: Topic, partition: u32, offset: Offset) -> Vec<Received> {
    let mut reader = log.read(vec![Cursor { topic, partition, offset }], Until::Now).await.unwrap();
    let mut all = Vec::new();
    while !reader.done() {
        if let Some((index, records)) = reader.next(PATIENCE).await.unwrap() {
            assert_eq!(index, 0);
            all.extend(records);
        }
    }
    assert!(all.is_sorted_by(|a, b| a.offset < b.offset));
    all
}

/// Everything in a partition.
pub async fn read_all(log: &SharedLog, topic: Topic, partition: u32) -> Vec<Received> {
    read_from(log, topic, partition, 0).await
}

/// Everything in all partitions of a topic.
pub async fn read_topic(log: &SharedLog, topic: Topic) -> Vec<Received> {
    let mut all = Vec::new();
    for partition in 0..log.partitions(topic) {
        all.extend(read_all(log, topic, partition).await);
    }
    all
}

/// The value as text; a tombstone is `-`.
pub fn text(record: &Received) -> String {
    record.value.as_ref().map_or("-".to_owned(), |value| String::from_utf8(value.to_vec()).unwrap())
}

pub fn texts(records: &[Received]) -> Vec<String> {
    records.iter().map(text).collect()
}

/// The next event, which must come.
pub async fn event(group: &mut Box<dyn Group>) -> Event {
    tokio::time::timeout(PATIENCE, group.next()).await.expect("nothing happened").unwrap()
}

/// Events until the slices given add up to so many.
pub async fn given(group: &mut Box<dyn Group>, count: usize) -> Vec<Given> {
    let mut all = Vec::new();
    while all.len() < count {
        if let Event::Given(given) = event(group).await {
            all.extend(given);
        }
    }
    assert_eq!(all.len(), count);
    all.sort_by_key(|given| given.slice);
    all
}

/// The next batch of a slice; others are passed over.
pub async fn batch_of(group: &mut Box<dyn Group>, wanted: u32) -> Batch {
    loop {
        if let Event::Batch { slice, batch, .. } = event(group).await
            && slice == wanted
        {
            return batch;
        }
    }
}

/// Batches of a slice's input until so many records have come.
pub async fn records_of(group: &mut Box<dyn Group>, slice: u32, count: usize) -> (Vec<Received>, Offset) {
    let mut records = Vec::new();
    loop {
        let batch = batch_of(group, slice).await;
        records.extend(batch.records);
        if records.len() >= count {
            assert_eq!(records.len(), count);
            return (records, batch.next);
        }
    }
}

/// A commit as a slice was given.
pub fn commit_of(given: &Given, note: &str, outputs: Vec<Record>) -> Commit {
    Commit {
        slice: given.slice,
        lease: given.lease,
        positions: given.positions.clone(),
        note: note.to_owned(),
        outputs,
    }
}
