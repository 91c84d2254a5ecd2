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
