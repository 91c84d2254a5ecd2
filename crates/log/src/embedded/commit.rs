//! Commits of slices: one write of outputs, positions and note, under a lease that the writer checks.

use std::sync::Arc;

use futures::FutureExt as _;
use futures::future::{BoxFuture, ready};
use geopush_embedded::DatabaseError;
use rusqlite::{Connection, params};

use super::append::{NewEnds, insert, now_ms, place_all, size_of_all};
use super::coordinator::Lease;
use super::member::Membership;
use crate::{Commit, Committer, Lost, Offset};

impl Committer for Membership {
    fn commit(&self, commit: Commit) -> BoxFuture<'static, Result<(), Lost>> {
        let Commit { slice, lease, positions, note, outputs } = commit;
        let (core, group) = (Arc::clone(&self.core), Arc::clone(&self.group));
        let refuse = |reason: String| {
            core.coordinator.lost(&group, slice, lease);
            ready(Err(Lost { reason })).boxed()
        };
        let Some(newest) = self.leases.get(slice as usize).map(Arc::clone) else {
            return refuse(format!("there is no slice {slice}"));
        };
        if note.len() > Commit::MAX_NOTE {
            return refuse(format!("a note of {} bytes; at most {} are kept", note.len(), Commit::MAX_NOTE));
        }
        if positions.len() != self.inputs.len() {
            return refuse(format!("{} positions for {} inputs", positions.len(), self.inputs.len()));
        }
        let outputs = match place_all(&core.places, outputs) {
            Ok(outputs) => outputs,
            Err(reason) => return refuse(reason),
        };

        let bytes = size_of_all(&outputs) + note.len();
        let progress = Progress {
            group_id: self.group_id,
            slice,
            positions: self.inputs.iter().map(|topic| core.places.topic_id(*topic)).zip(positions).collect(),
            note,
        };
        let work = {
            let core = Arc::clone(&core);
            move |c: &Connection| {
                if !newest.is(lease) {
                    return Ok(Err(format!("slice {slice} is under a newer lease")));
                }
                let written = insert(c, now_ms(), &outputs).and_then(|ends| progress.save(c).map(|()| ends));
                if written.is_err() {
                    // What was queued behind this one builds on it, and must not happen either.
                    Lease::advance(&newest, core.coordinator.number());
                }
                written.map(Ok)
            }
        };
        let settled = {
            let core = Arc::clone(&core);
            move |outcome: Result<&Result<NewEnds, String>, &DatabaseError>| match outcome {
                Ok(Ok(ends)) => core.ends.publish(ends),
                Ok(Err(_)) => {}
                Err(_) => core.coordinator.lost(&group, slice, lease),
            }
        };
        let written = core.database.write_then(bytes, work, settled);
        async move {
            match written.await {
                Ok(Ok(_)) => Ok(()),
                Ok(Err(reason)) => Err(Lost { reason }),
                Err(error) => Err(Lost { reason: error.to_string() }),
            }
        }
        .boxed()
    }

    /// Nobody else has the file, however long this process stands still.
    fn holds(&self, slice: u32, lease: u64) -> bool {
        self.leases.get(slice as usize).is_some_and(|newest| newest.is(lease))
    }
}

/// How far a slice has come.
struct Progress {
    group_id: i64,
    slice: u32,
    /// By the file's topic ids.
    positions: Vec<(i64, Offset)>,
    note: String,
}

impl Progress {
    fn save(&self, c: &Connection) -> rusqlite::Result<()> {
        let mut put = c.prepare_cached(
            "INSERT INTO log_positions (group_id, slice, topic_id, next) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (group_id, slice, topic_id) DO UPDATE SET next = excluded.next",
        )?;
        for (topic, next) in &self.positions {
            put.execute(params![self.group_id, self.slice, topic, next.cast_signed()])?;
        }
        c.prepare_cached(
            "INSERT INTO log_notes (group_id, slice, note) VALUES (?1, ?2, ?3)
             ON CONFLICT (group_id, slice) DO UPDATE SET note = excluded.note",
        )?
        .execute(params![self.group_id, self.slice, self.note])?;
        Ok(())
    }
}
