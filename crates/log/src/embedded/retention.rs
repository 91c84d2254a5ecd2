//! Old records go: by their arrival, or by the bytes of their partition; tombstones a day after they came.

use std::time::Duration;

use geopush_embedded::{Database, DatabaseError};
use rusqlite::{Connection, params};
use tokio_util::sync::CancellationToken;

use super::append::now_ms;
use super::places::{Place, Places};
use crate::Cleanup;

/// How often it is looked for what is old.
const EVERY: Duration = Duration::from_hours(1);
/// Followers and restoring slices that were away for less see every removal.
const TOMBSTONES: Duration = Duration::from_hours(24);
/// Rows that go in one write, so that nobody waits long behind it.
const ROWS: u32 = 500;
/// The pause between two writes.
const BREATH: Duration = Duration::from_millis(20);

/// Looks at once and then every hour, until `closed`.
pub(super) async fn run(
    database: Database,
    places: Places,
    retain_bytes: Option<u64>,
    closed: CancellationToken,
) {
    let looking = async {
        loop {
            match sweep(&database, &places, retain_bytes, now_ms()).await {
                Ok(0) => {}
                Ok(rows) => {
                    tracing::debug!(rows, "old records of the log were removed");
                    metrics::counter!("geopush_log_retired_records_total").increment(rows);
                }
                Err(DatabaseError::Closed) => return,
                Err(error) => {
                    tracing::warn!(%error, "old records stay for now; it is tried again in an hour");
                }
            }
            tokio::time::sleep(EVERY).await;
        }
    };
    tokio::select! {
        () = looking => {}
        () = closed.cancelled() => {}
    }
}

/// Removes what is old as of `now_ms`; says how many records.
async fn sweep(
    database: &Database,
    places: &Places,
    retain_bytes: Option<u64>,
    now_ms: i64,
) -> Result<u64, DatabaseError> {
    let mut removed = 0;
    for (topic, partition) in places.all() {
        let place = places.place(topic, partition);
        let rule = match topic.cleanup() {
            Cleanup::After(age) => Rule::Oldest { before_ms: now_ms - age.as_millis() as i64, retain_bytes },
            Cleanup::Compact => Rule::Tombstones { before_ms: now_ms - TOMBSTONES.as_millis() as i64 },
        };
        loop {
            let rows = database.write(move |c| rule.apply(c, place)).await?;
            removed += u64::from(rows);
            if rows < ROWS {
                break;
            }
            tokio::time::sleep(BREATH).await;
        }
    }
    Ok(removed)
}

#[derive(Clone, Copy)]
enum Rule {
    /// From the front, what arrived before then or is too much.
    Oldest { before_ms: i64, retain_bytes: Option<u64> },
    /// Removals that arrived before then.
    Tombstones { before_ms: i64 },
}

impl Rule {
    /// Removes a bounded number of rows; says how many.
    fn apply(self, c: &Connection, place: Place) -> rusqlite::Result<u32> {
        match self {
            Self::Oldest { before_ms, retain_bytes } => remove_oldest(c, place, before_ms, retain_bytes),
            Self::Tombstones { before_ms } => remove_tombstones(c, place, before_ms),
        }
    }
}

fn remove_oldest(
    c: &Connection,
    place: Place,
    before_ms: i64,
    retain_bytes: Option<u64>,
) -> rusqlite::Result<u32> {
    let held: i64 = c
        .prepare_cached("SELECT bytes FROM log_ends WHERE place = ?1")?
        .query_row([place.0], |row| row.get(0))?;
    let mut surplus = retain_bytes.map_or(0, |retain| held.saturating_sub_unsigned(retain)).max(0);
    let mut oldest = c.prepare_cached(
        "SELECT id, appended_at_ms, length(key) + ifnull(length(value), 0) FROM log_records
         WHERE id >= ?1 AND id < ?2 ORDER BY id LIMIT ?3",
    )?;
    let mut rows = oldest.query(params![place.row(0), place.end_row(), ROWS])?;
    let (mut count, mut bytes, mut last) = (0, 0, None);
    while let Some(row) = rows.next()? {
        let (id, at, size): (i64, i64, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
        if at >= before_ms && surplus <= 0 {
            break;
        }
        surplus -= size;
        bytes += size;
        count += 1;
        last = Some(id);
    }
    drop(rows);
    if let Some(last) = last {
        c.prepare_cached("DELETE FROM log_records WHERE id >= ?1 AND id <= ?2")?
            .execute([place.row(0), last])?;
        c.prepare_cached("UPDATE log_ends SET bytes = bytes - ?2 WHERE place = ?1")?
            .execute([place.0, bytes])?;
    }
    Ok(count)
}

fn remove_tombstones(c: &Connection, place: Place, before_ms: i64) -> rusqlite::Result<u32> {
    let old: Vec<(i64, Vec<u8>)> = c
        .prepare_cached(
            "SELECT id, key FROM log_records INDEXED BY log_tombstones
             WHERE value IS NULL AND appended_at_ms < ?1 AND id >= ?2 AND id < ?3 LIMIT ?4",
        )?
        .query_map(params![before_ms, place.row(0), place.end_row(), ROWS], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })?
        .collect::<rusqlite::Result<_>>()?;
    for (id, key) in &old {
        c.prepare_cached("DELETE FROM log_records WHERE id = ?1")?.execute([id])?;
        c.prepare_cached("DELETE FROM log_latest WHERE place = ?1 AND key = ?2 AND offset = ?3")?
            .execute(params![place.0, key, place.offset(*id).cast_signed()])?;
    }
    Ok(old.len() as u32)
}

#[cfg(test)]
mod tests {
    use super::super::{Core, EmbeddedLog};
    use super::*;
    use crate::{Log as _, Offset, Record, Topic};

    const DAY_MS: i64 = 24 * 3_600 * 1_000;

    async fn log() -> (tempfile::TempDir, EmbeddedLog) {
        let dir = tempfile::tempdir().unwrap();
        let database = Database::open(dir.path()).unwrap();
        (dir, EmbeddedLog::open(database, 2).await.unwrap())
    }

    async fn append(log: &EmbeddedLog, topic: Topic, count: usize) {
        let records = (0..count).map(|n| Record::new(topic, n.to_string(), vec![7; 90]).at(0)).collect();
        log.append(records).await.unwrap();
    }

    async fn offsets(core: &Core, topic: Topic) -> Vec<Offset> {
        let place = core.places.place(topic, 0);
        let query = move |c: &Connection| {
            c.prepare("SELECT id FROM log_records WHERE id >= ?1 AND id < ?2 ORDER BY id")?
                .query_map([place.row(0), place.end_row()], |row| Ok(place.offset(row.get(0)?)))?
                .collect()
        };
        core.database.read(query).await.unwrap()
    }

    async fn held_bytes(core: &Core, topic: Topic) -> i64 {
        let place = core.places.place(topic, 0);
        let query = move |c: &Connection| {
            c.query_row("SELECT bytes FROM log_ends WHERE place = ?1", [place.0], |r| r.get(0))
        };
        core.database.read(query).await.unwrap()
    }

    #[tokio::test]
    async fn records_go_when_their_time_is_up_and_offsets_never_go_back() {
        let (_dir, log) = log().await;
        append(&log, Topic::Pings, 1_200).await;
        append(&log, Topic::Transitions, 3).await;
        append(&log, Topic::Zones, 3).await;
        let core = &log.core;
        let in_days = |days: i64| now_ms() + days * DAY_MS;
        assert_eq!(sweep(&core.database, &core.places, None, in_days(6)).await.unwrap(), 0);
        assert_eq!(sweep(&core.database, &core.places, None, in_days(8)).await.unwrap(), 1_200);
        assert_eq!(offsets(core, Topic::Transitions).await.len(), 3);
        assert_eq!(held_bytes(core, Topic::Pings).await, 0);
        append(&log, Topic::Pings, 1).await;
        assert_eq!(offsets(core, Topic::Pings).await, [1_200]);
        assert_eq!(sweep(&core.database, &core.places, None, in_days(31)).await.unwrap(), 4);
        assert_eq!(offsets(core, Topic::Zones).await, [0, 1, 2]);
    }

    #[tokio::test]
    async fn a_partition_that_holds_too_much_loses_its_oldest() {
        let (_dir, log) = log().await;
        append(&log, Topic::Pings, 10).await;
        let core = &log.core;
        assert_eq!(held_bytes(core, Topic::Pings).await, 910);
        assert_eq!(sweep(&core.database, &core.places, Some(500), now_ms()).await.unwrap(), 5);
        assert_eq!(offsets(core, Topic::Pings).await, [5, 6, 7, 8, 9]);
        assert_eq!(held_bytes(core, Topic::Pings).await, 455);
    }

    #[tokio::test]
    async fn compaction_keeps_one_record_a_key_and_a_removal_for_a_day() {
        let (_dir, log) = log().await;
        append(&log, Topic::Zones, 3).await;
        append(&log, Topic::Zones, 3).await;
        log.append(vec![Record::tombstone(Topic::Zones, "1")]).await.unwrap();
        let core = &log.core;
        assert_eq!(offsets(core, Topic::Zones).await, [3, 5, 6]);
        let hours = |hours: i64| now_ms() + hours * 3_600 * 1_000;
        assert_eq!(sweep(&core.database, &core.places, None, hours(23)).await.unwrap(), 0);
        assert_eq!(sweep(&core.database, &core.places, None, hours(25)).await.unwrap(), 1);
        assert_eq!(offsets(core, Topic::Zones).await, [3, 5]);
        append(&log, Topic::Zones, 2).await;
        assert_eq!(offsets(core, Topic::Zones).await, [5, 7, 8]);
    }
}
