//! Records on their way into the file.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use geopush_embedded::DatabaseError;
use rusqlite::{Connection, OptionalExtension, params};

use super::Core;
use super::places::{Place, Places};
use crate::{AppendError, Cleanup, Offset, Partition, Record, partition_of};

/// The next offset of each slot that was written to.
pub(super) type NewEnds = Vec<(usize, Offset)>;

/// A record that has been checked, with its place.
pub(super) struct Placed {
    slot: usize,
    place: Place,
    record: Record,
}

/// Checks records and finds their places, before anyone waits for the writer. Fails with the reason.
pub(super) fn place_all(places: &Places, records: Vec<Record>) -> Result<Vec<Placed>, String> {
    records
        .into_iter()
        .map(|record| {
            let topic = record.topic;
            let bytes = size(&record);
            if bytes > Record::MAX_BYTES {
                let name = topic.name();
                return Err(format!(
                    "a record of {bytes} bytes for {name}; at most {} are taken",
                    Record::MAX_BYTES
                ));
            }
            let partitions = places.partitions(topic);
            let partition = match record.partition {
                Partition::OfKey => partition_of(&record.key, partitions),
                Partition::Exactly(partition) if partition < partitions => partition,
                Partition::Exactly(partition) => {
                    return Err(format!("{} has no partition {partition}, only {partitions}", topic.name()));
                }
            };
            Ok(Placed { slot: places.slot(topic, partition), place: places.place(topic, partition), record })
        })
        .collect()
}

/// The bytes of keys and values, with something for what goes round them.
pub(super) fn size_of_all(records: &[Placed]) -> usize {
    records.iter().map(|placed| size(&placed.record) + 64).sum()
}

fn size(record: &Record) -> usize {
    record.key.len() + record.value.as_ref().map_or(0, bytes::Bytes::len)
}

/// [`crate::Log::append`].
pub(super) async fn append(core: &Arc<Core>, records: Vec<Record>) -> Result<(), AppendError> {
    if core.closed.is_cancelled() {
        return Err(AppendError::Refused("the log is closed".to_owned()));
    }
    if records.is_empty() {
        return Ok(());
    }
    let count = records.len() as u64;
    let placed = place_all(&core.places, records).map_err(AppendError::Refused)?;
    let settled = {
        let core = Arc::clone(core);
        move |outcome: Result<&NewEnds, &DatabaseError>| {
            if let Ok(ends) = outcome {
                core.ends.publish(ends);
            }
        }
    };
    let bytes = size_of_all(&placed);
    let written = core.database.write_then(bytes, move |c| insert(c, now_ms(), &placed), settled).await;
    match written {
        Ok(_) => {
            metrics::counter!("geopush_log_appended_records_total").increment(count);
            Ok(())
        }
        Err(DatabaseError::Full) => Err(AppendError::Full),
        Err(DatabaseError::Closed) => Err(AppendError::Refused("the log is closed".to_owned())),
        Err(other) => Err(AppendError::Unknown(other.to_string())),
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "arrival times are the log's own; it stands below the crate with the clock"
)]
pub(super) fn now_ms() -> i64 {
    // A clock before 1970 only makes records look old.
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64)
}

/// Writes records, in order, and gives the new ends of their slots. An older record of a compacted key goes in the
/// same transaction.
pub(super) fn insert(c: &Connection, now_ms: i64, records: &[Placed]) -> rusqlite::Result<NewEnds> {
    let mut next = reserve(c, records)?;
    let mut put = c.prepare_cached(
        "INSERT INTO log_records (id, appended_at_ms, key, value, trace) VALUES (?1, ?2, ?3, ?4, ?5)",
    )?;
    for Placed { slot, place, record } in records {
        // Every slot was reserved.
        let Some(next) = next.get_mut(slot) else { continue };
        let offset = *next;
        *next += 1;
        if record.topic.cleanup() == Cleanup::Compact {
            compact(c, *place, &record.key, offset)?;
        }
        let trace = record.trace.map(|trace| trace.0);
        put.execute(params![place.row(offset), now_ms, &record.key[..], record.value.as_deref(), trace])?;
    }
    Ok(next.into_iter().collect())
}

/// Moves the ends on, and gives each slot's first new offset.
fn reserve(c: &Connection, records: &[Placed]) -> rusqlite::Result<BTreeMap<usize, Offset>> {
    let mut wanted = BTreeMap::<usize, (Place, i64, i64)>::new();
    for Placed { slot, place, record } in records {
        let entry = wanted.entry(*slot).or_insert((*place, 0, 0));
        entry.1 += 1;
        // Compaction's deletions are not counted, and only topics that are cleaned by age need this.
        if record.topic.cleanup() != Cleanup::Compact {
            entry.2 += size(record) as i64;
        }
    }
    let mut advance = c.prepare_cached(
        "UPDATE log_ends SET next = next + ?2, bytes = bytes + ?3 WHERE place = ?1 RETURNING next",
    )?;
    wanted
        .into_iter()
        .map(|(slot, (place, count, bytes))| {
            let next: i64 = advance.query_row(params![place.0, count, bytes], |row| row.get(0))?;
            Ok((slot, (next - count).cast_unsigned()))
        })
        .collect()
}

fn compact(c: &Connection, place: Place, key: &[u8], offset: Offset) -> rusqlite::Result<()> {
    let older: Option<i64> = c
        .prepare_cached("SELECT offset FROM log_latest WHERE place = ?1 AND key = ?2")?
        .query_row(params![place.0, key], |row| row.get(0))
        .optional()?;
    if let Some(older) = older {
        c.prepare_cached("DELETE FROM log_records WHERE id = ?1")?
            .execute([place.row(older.cast_unsigned())])?;
    }
    c.prepare_cached(
        "INSERT INTO log_latest (place, key, offset) VALUES (?1, ?2, ?3)
         ON CONFLICT (place, key) DO UPDATE SET offset = excluded.offset",
    )?
    .execute(params![place.0, key, offset.cast_signed()])?;
    Ok(())
}
