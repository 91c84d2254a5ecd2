//! Reading.

use std::time::Duration;

use geopush_log::{Cursor, Record, Topic, Until};

use crate::harness::{GLIMPSE, Harness, PATIENCE, put, read_all, text, texts};

fn cursor(partition: u32, offset: u64) -> Cursor {
    Cursor { topic: Topic::Pings, partition, offset }
}

async fn fill(harness: &dyn Harness, partition: u32, count: usize) {
    let records = (0..count)
        .map(|n| Record::new(Topic::Pings, "k", format!("{partition}-{n:05}")).at(partition))
        .collect();
    harness.log().append(records).await.unwrap();
}

pub async fn a_range_is_read_whole_and_no_further(harness: &dyn Harness) {
    let log = harness.log();
    fill(harness, 0, 3_000).await;
    let all = read_all(&log, Topic::Pings, 0).await;
    for (from, until) in [(0, 3_000), (1, 2), (999, 2_001), (1_500, 1_500), (2_999, 3_000)] {
        let offset = |index: usize| all.get(index).map_or(all[2_999].offset + 1, |record| record.offset);
        let until_offset = Until::Offsets(vec![offset(until)]);
        let mut reader = log.read(vec![cursor(0, offset(from))], until_offset).await.unwrap();
        let mut read = Vec::new();
        while let Some((_, records)) = reader.next(PATIENCE).await.unwrap() {
            read.extend(records);
        }
        assert!(reader.done());
        assert_eq!(reader.position(0), offset(until));
        assert_eq!(read, all[from..until]);
    }
}

pub async fn a_read_until_now_ends_where_the_log_ended(harness: &dyn Harness) {
    let log = harness.log();
    fill(harness, 2, 10).await;
    let mut reader = log.read(vec![cursor(2, 0)], Until::Now).await.unwrap();
    fill(harness, 2, 10).await;
    let mut count = 0;
    while let Some((_, records)) = reader.next(PATIENCE).await.unwrap() {
        count += records.len();
    }
    assert_eq!(count, 10);
    let mut nothing = log.read(vec![cursor(3, 0)], Until::Now).await.unwrap();
    assert!(nothing.next(PATIENCE).await.unwrap().is_none() && nothing.done());
}

pub async fn several_partitions_are_read_each_in_order(harness: &dyn Harness) {
    let log = harness.log();
    for partition in 0..3 {
        fill(harness, partition, 1_500).await;
    }
    let mut reader = log.read((0..4).map(|p| cursor(p, 0)).collect(), Until::Now).await.unwrap();
    let mut read = vec![Vec::new(); 4];
    while let Some((index, records)) = reader.next(PATIENCE).await.unwrap() {
        read[index].extend(texts(&records));
    }
    for (partition, values) in read.iter().enumerate().take(3) {
        assert_eq!(*values, (0..1_500).map(|n| format!("{partition}-{n:05}")).collect::<Vec<_>>());
    }
    assert!(read[3].is_empty());
}

pub async fn a_following_read_sees_what_comes_however_often_it_is_dropped(harness: &dyn Harness) {
    let log = harness.log();
    let mut reader = log.read(vec![cursor(0, 0), cursor(1, 0)], Until::Never).await.unwrap();
    assert!(reader.next(GLIMPSE).await.unwrap().is_none());
    assert!(!reader.done());
    let writing = tokio::spawn({
        let log = log.clone();
        async move {
            for n in 0..300_u32 {
                let record = Record::new(Topic::Pings, "k", n.to_string()).at(n % 2);
                log.append(vec![record]).await.unwrap();
            }
        }
    });
    let mut read = [Vec::new(), Vec::new()];
    while read.iter().map(Vec::len).sum::<usize>() < 300 {
        // Dropped in the middle of whatever it does, most of the time.
        let next = tokio::time::timeout(Duration::from_micros(300), reader.next(PATIENCE));
        if let Ok(records) = next.await {
            let (index, records) = records.unwrap().unwrap();
            read[index].extend(records.iter().map(|record| text(record).parse::<u32>().unwrap()));
        }
    }
    writing.await.unwrap();
    assert_eq!(read[0], (0..300).step_by(2).collect::<Vec<_>>());
    assert_eq!(read[1], (1..300).step_by(2).collect::<Vec<_>>());
}

pub async fn a_position_reaches_the_end_over_holes(harness: &dyn Harness) {
    let log = harness.log();
    for n in 0..50 {
        put(&log, Topic::Zones, &format!("zone {}", n % 3), "x").await;
    }
    let cursor = Cursor { topic: Topic::Zones, partition: 0, offset: 0 };
    let mut reader = log.read(vec![cursor], Until::Now).await.unwrap();
    while reader.next(PATIENCE).await.unwrap().is_some() {}
    assert_eq!(reader.position(0), log.end(Topic::Zones, 0).await.unwrap());
}
