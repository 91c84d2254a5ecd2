//! How many replicas must answer.
//!
//! | table | read | written |
//! |---|---|---|
//! | conditional | one row, to decide by: LOCAL_SERIAL; else LOCAL_QUORUM | LOCAL_SERIAL, then LOCAL_QUORUM |
//! | plain, of configuration or history | LOCAL_QUORUM | LOCAL_QUORUM |
//!
//! Writes need a quorum because whoever wrote goes on to forget: record commits its position in the log, the API
//! answers. Reads need one so that what was written is seen, by the next read and by every process: totals are read
//! to be written again, and a page that lacks a row has no way of saying so. A single row of a conditional table is
//! read by the same protocol that writes it, since it decides (what is published, what is written over it): a write
//! whose answer was never seen either is in that row or never will be.

use scylla::statement::{Consistency, SerialConsistency};

use super::statements::Operation;

/// For what is read or written with, and, for conditional writes, agreed on with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Level {
    pub(super) consistency: Consistency,
    pub(super) serial: Option<SerialConsistency>,
}

impl Level {
    pub(super) const fn of(operation: Operation) -> Self {
        match operation {
            Operation::GetSettled => Self { consistency: Consistency::LocalSerial, serial: None },
            Operation::PutIfAbsent | Operation::PutIfVersion => {
                Self { consistency: Consistency::LocalQuorum, serial: Some(SerialConsistency::LocalSerial) }
            }
            Operation::Put
            | Operation::Get
            | Operation::Delete
            | Operation::DeleteUpTo
            | Operation::Page { .. } => Self { consistency: Consistency::LocalQuorum, serial: None },
        }
    }
}
