//! What is particular to the log in the embedded file.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use geopush_embedded::Database;
use geopush_log::{AppendError, EmbeddedLog, Log as _, LogError, Received, Record, Topic, rejected};

#[tokio::test]
async fn the_number_of_partitions_is_fixed_when_the_file_is_made() {
    let dir = tempfile::tempdir().unwrap();
    let database = Database::open(dir.path()).unwrap();
    EmbeddedLog::open(database.clone(), 8).await.map(drop).unwrap();
    let refused = EmbeddedLog::open(database.clone(), 16).await.map(drop);
    assert!(matches!(&refused, Err(LogError::Backend(text)) if text.contains("ask for 8")), "{refused:?}");
    EmbeddedLog::open(database.clone(), 0).await.map(drop).unwrap_err();
    EmbeddedLog::open(database, 8).await.map(drop).unwrap();
}

#[tokio::test]
async fn a_person_can_read_it() {
    let dir = tempfile::tempdir().unwrap();
    let database = Database::open(dir.path()).unwrap();
    let log = EmbeddedLog::open(database.clone(), 8).await.unwrap();
    log.append(vec![Record::new(Topic::Deliveries, "t/d", "x").at(7), Record::new(Topic::Zones, "z", "x")])
        .await
        .unwrap();
    let row: (String, u32, u64, String) = database
        .read(|c| {
            let sql = "SELECT topic, partition, offset, key FROM log WHERE topic = 'geopush.deliveries'";
            c.query_row(sql, [], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get::<_, i64>(2)? as u64, row.get(3)?))
            })
        })
        .await
        .unwrap();
    assert_eq!(row, ("geopush.deliveries".to_owned(), 7, 0, "t/d".to_owned()));
}

#[tokio::test]
async fn after_it_was_closed_everything_fails_and_the_database_still_works() {
    let dir = tempfile::tempdir().unwrap();
    let database = Database::open(dir.path()).unwrap();
    let log = EmbeddedLog::open(database.clone(), 8).await.unwrap();
    let mut group = log.join("g", &[Topic::Pings]).await.unwrap();
    group.next().await.unwrap();
    log.close().await;
    assert!(matches!(group.next().await, Err(LogError::Closed)));
    let refused = log.append(vec![Record::new(Topic::Zones, "z", "x")]).await;
    assert!(matches!(refused, Err(AppendError::Refused(_))));
    assert!(matches!(log.end(Topic::Zones, 0).await, Err(LogError::Closed)));
    assert!(matches!(log.join("g", &[Topic::Pings]).await.map(drop), Err(LogError::Closed)));
    database.write(|_| Ok(())).await.unwrap();
}

#[test]
fn a_rejected_record_says_where_it_came_from_and_why() {
    let received = Received {
        offset: 42,
        appended_at_ms: 1_700_000_000_000,
        key: "t/d".into(),
        value: Some(vec![0xff, 0].into()),
        trace: None,
    };
    let record = rejected(Topic::Pings, 3, &received, "not a ping");
    assert_eq!((record.topic, &record.key[..]), (Topic::Rejected, &b"geopush.pings"[..]));
    let value: serde_json::Value = serde_json::from_slice(&record.value.unwrap()).unwrap();
    let expected = serde_json::json!({
        "reason": "not a ping", "topic": "geopush.pings", "partition": 3, "offset": 42,
        "appended_at_ms": 1_700_000_000_000_i64, "key": "dC9k", "value": "/wA="
    });
    assert_eq!(value, expected);
}
