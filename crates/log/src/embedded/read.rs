//! Records on their way out of the file, a bounded chunk at a time.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use rusqlite::{Connection, Row};
use tokio::time::{Instant, timeout_at};

use super::Core;
use super::ends::Listener;
use super::places::Place;
use crate::{Cursor, LogError, Offset, Reader, Received, TraceId, Until};

/// A chunk has at most this many records,
const CHUNK_RECORDS: usize = 1_000;
/// and ends with the record that brings it to this many bytes.
const CHUNK_BYTES: usize = 1 << 20;

/// Some records of one place, and where to go on; holes are skipped.
pub(super) struct Chunk {
    pub(super) records: Vec<Received>,
    pub(super) next: Offset,
}

/// Reads what there is in `from..until`, as far as a chunk goes.
pub(super) fn chunk(c: &Connection, place: Place, from: Offset, until: Offset) -> rusqlite::Result<Chunk> {
    let mut select = c.prepare_cached(
        "SELECT id, appended_at_ms, key, value, trace FROM log_records WHERE id >= ?1 AND id < ?2 ORDER BY id",
    )?;
    let mut rows = select.query([place.row(from), place.row(until)])?;
    let mut records = Vec::new();
    let mut bytes = 0;
    while let Some(row) = rows.next()? {
        let record = received(place, row)?;
        bytes += record.key.len() + record.value.as_ref().map_or(0, Bytes::len);
        let next = record.offset + 1;
        records.push(record);
        if records.len() == CHUNK_RECORDS || bytes >= CHUNK_BYTES {
            return Ok(Chunk { records, next });
        }
    }
    Ok(Chunk { records, next: until })
}

fn received(place: Place, row: &Row<'_>) -> rusqlite::Result<Received> {
    let bytes = |column| -> rusqlite::Result<Option<Bytes>> {
        Ok(row.get_ref(column)?.as_bytes_or_null()?.map(Bytes::copy_from_slice))
    };
    Ok(Received {
        offset: place.offset(row.get(0)?),
        appended_at_ms: row.get(1)?,
        key: bytes(2)?.unwrap_or_default(),
        value: bytes(3)?,
        trace: row.get::<_, Option<[u8; 16]>>(4)?.map(TraceId),
    })
}

/// [`crate::Log::read`].
pub(super) struct EmbeddedReader {
    core: Arc<Core>,
    listener: Listener,
    cursors: Vec<Reading>,
    /// The cursor to look at first, so that a busy one does not starve the others.
    first: usize,
}

struct Reading {
    slot: usize,
    place: Place,
    position: Offset,
    /// `None`: follow.
    until: Option<Offset>,
}

impl EmbeddedReader {
    pub(super) fn new(core: &Arc<Core>, from: &[Cursor], until: Until) -> Result<Self, LogError> {
        let mut cursors = Vec::with_capacity(from.len());
        for cursor in from {
            core.check_place(cursor.topic, cursor.partition)?;
            cursors.push(Reading {
                slot: core.places.slot(cursor.topic, cursor.partition),
                place: core.places.place(cursor.topic, cursor.partition),
                position: cursor.offset,
                until: None,
            });
        }
        match until {
            Until::Never => {}
            Until::Now => cursors.iter_mut().for_each(|c| c.until = Some(core.ends.get(c.slot))),
            Until::Offsets(ends) if ends.len() == cursors.len() => {
                cursors.iter_mut().zip(ends).for_each(|(c, end)| c.until = Some(end));
            }
            Until::Offsets(ends) => {
                return Err(LogError::Backend(format!(
                    "{} ends for {} cursors; this is a mistake in geopush",
                    ends.len(),
                    cursors.len()
                )));
            }
        }
        let listener = Listener::new(core, cursors.iter().map(|cursor| cursor.slot).collect());
        Ok(Self { core: Arc::clone(core), listener, cursors, first: 0 })
    }

    /// The next cursor with something to read, and up to where.
    fn readable(&self) -> Option<(usize, Offset)> {
        let count = self.cursors.len();
        (0..count).map(|i| (self.first + i) % count).find_map(|index| {
            let cursor = &self.cursors[index];
            let end = self.core.ends.get(cursor.slot);
            let until = cursor.until.map_or(end, |until| until.min(end));
            (cursor.position < until).then_some((index, until))
        })
    }
}

#[async_trait]
impl Reader for EmbeddedReader {
    async fn next(&mut self, wait: Duration) -> Result<Option<(usize, Vec<Received>)>, LogError> {
        let deadline = Instant::now() + wait;
        loop {
            self.core.check_open()?;
            while let Some((index, until)) = self.readable() {
                let Reading { place, position, .. } = self.cursors[index];
                let chunk = self.core.database.read(move |c| chunk(c, place, position, until)).await?;
                self.cursors[index].position = chunk.next;
                self.first = (index + 1) % self.cursors.len();
                if !chunk.records.is_empty() {
                    return Ok(Some((index, chunk.records)));
                }
            }
            if self.done() {
                return Ok(None);
            }
            tokio::select! {
                () = self.core.closed.cancelled() => {}
                changed = timeout_at(deadline, self.listener.changed()) => if changed.is_err() { return Ok(None) },
            }
        }
    }

    fn position(&self, index: usize) -> Offset {
        self.cursors[index].position
    }

    fn done(&self) -> bool {
        self.cursors.iter().all(|cursor| cursor.until.is_some_and(|until| cursor.position >= until))
    }
}
