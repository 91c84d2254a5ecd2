//! The log's tables, and what they say at start.

use geopush_embedded::Database;
use rusqlite::{Connection, OptionalExtension, params};

use super::places::{MAX_PARTITIONS, Place, Places};
use crate::{LogError, Offset, Topic};

/// The view `log` is for people with the `sqlite3` shell.
const TABLES: &str = "
CREATE TABLE IF NOT EXISTS log_topics (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, partitions INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS log_records (
    id INTEGER PRIMARY KEY,
    appended_at_ms INTEGER NOT NULL,
    key BLOB NOT NULL,
    value BLOB,
    trace BLOB
);
CREATE INDEX IF NOT EXISTS log_tombstones ON log_records (appended_at_ms, id) WHERE value IS NULL;
CREATE TABLE IF NOT EXISTS log_ends (place INTEGER PRIMARY KEY, next INTEGER NOT NULL, bytes INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS log_latest (
    place INTEGER NOT NULL, key BLOB NOT NULL, offset INTEGER NOT NULL, PRIMARY KEY (place, key)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS log_groups (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE IF NOT EXISTS log_positions (
    group_id INTEGER NOT NULL, slice INTEGER NOT NULL, topic_id INTEGER NOT NULL, next INTEGER NOT NULL,
    PRIMARY KEY (group_id, slice, topic_id)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS log_notes (
    group_id INTEGER NOT NULL, slice INTEGER NOT NULL, note TEXT NOT NULL, PRIMARY KEY (group_id, slice)
) WITHOUT ROWID;
CREATE VIEW IF NOT EXISTS log AS
    SELECT t.name AS topic, (r.id >> 40) & 32767 AS partition, r.id & 1099511627775 AS offset,
           datetime(r.appended_at_ms / 1000.0, 'unixepoch', 'subsec') AS appended_at,
           CAST(r.key AS TEXT) AS key, r.value AS value, lower(hex(r.trace)) AS trace
    FROM log_topics t JOIN log_records r ON r.id >= t.id << 55 AND r.id < (t.id + 1) << 55;
";

/// What the file says.
pub(super) struct Opened {
    pub(super) places: Places,
    /// The next offset of every slot.
    pub(super) ends: Vec<Offset>,
}

/// Makes what is missing and checks the number of partitions.
pub(super) async fn open(database: &Database, partitions: u32) -> Result<Opened, LogError> {
    if !(1..=MAX_PARTITIONS).contains(&partitions) {
        return Err(LogError::Backend(format!(
            "{partitions} partitions can't be had; set between 1 and {MAX_PARTITIONS}"
        )));
    }
    let opened = database.write(move |c| make(c, partitions)).await?;
    opened.map_err(|found| {
        LogError::Backend(format!(
            "the data directory was made with {found} partitions and {partitions} are asked for; the number can't \
             change, so ask for {found}"
        ))
    })
}

/// Fails with the number of partitions that the file has.
fn make(c: &Connection, partitions: u32) -> rusqlite::Result<Result<Opened, u32>> {
    c.execute_batch(TABLES)?;
    let mut ids = Vec::new();
    for topic in Topic::all() {
        let wanted = if topic.is_partitioned() { partitions } else { 1 };
        let known: Option<(i64, u32)> = c
            .query_row("SELECT id, partitions FROM log_topics WHERE name = ?1", [topic.name()], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })
            .optional()?;
        match known {
            Some((_, found)) if found != wanted => return Ok(Err(found)),
            Some((id, _)) => ids.push(id),
            None => {
                c.execute(
                    "INSERT INTO log_topics (name, partitions) VALUES (?1, ?2)",
                    params![topic.name(), wanted],
                )?;
                ids.push(c.last_insert_rowid());
            }
        }
    }
    let places = Places::new(partitions, ids);
    let mut ends = vec![0; places.slots()];
    for (topic, partition) in places.all() {
        ends[places.slot(topic, partition)] = end(c, places.place(topic, partition))?;
    }
    Ok(Ok(Opened { places, ends }))
}

fn end(c: &Connection, place: Place) -> rusqlite::Result<Offset> {
    c.execute("INSERT OR IGNORE INTO log_ends (place, next, bytes) VALUES (?1, 0, 0)", [place.0])?;
    let next: i64 = c.query_row("SELECT next FROM log_ends WHERE place = ?1", [place.0], |row| row.get(0))?;
    Ok(next.cast_unsigned())
}
