//! The one SQLite file of the embedded default, with its group-committing writer.
//!
//! The log and the tables share one file, `DIR/geopush.db`, so that a backup is one file and the `sqlite3` shell
//! reads all of it. One thread writes: whatever is waiting goes into one transaction and one fsync, each piece of
//! work behind a savepoint of its own. The types to know: [`Database`] and [`DatabaseError`].
//!
//! This crate knows nothing of records, topics or tables, and never writes outside its writer thread.

mod connection;
mod database;
mod error;
mod queue;
mod readers;
mod work;
mod writer;

pub use database::Database;
pub use error::DatabaseError;
