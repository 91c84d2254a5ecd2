//! How the file is opened: the directory, its lock, and SQLite's settings.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use crate::DatabaseError;

/// The format of the whole file, in SQLite's `user_version`. An older geopush refuses a newer one's file.
const FORMAT: i64 = 1;
/// "GPsh": lets `file` and others tell what this database is.
const APPLICATION_ID: i64 = 0x4750_7368;
/// The WAL is folded into the database at about this many pages (16 MiB).
const CHECKPOINT_PAGES: i64 = 4_000;
/// What the WAL file is cut back to after a burst.
const WAL_KEPT_BYTES: i64 = 64 << 20;
/// How long to wait for a lock that someone else (a `sqlite3` shell) holds.
const BUSY: Duration = Duration::from_secs(5);
/// Prepared statements kept by each connection.
const STATEMENTS: usize = 256;

/// The directory, locked for as long as this lives.
pub(crate) struct Directory {
    path: PathBuf,
    _lock: File,
}

impl Directory {
    /// Makes the directory where it is missing and locks it.
    pub(crate) fn open(path: &Path) -> Result<Self, DatabaseError> {
        DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(|e| io(path, &e))?;
        let lock_path = path.join("lock");
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(&lock_path)
            .map_err(|e| io(&lock_path, &e))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path: path.to_owned(), _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(DatabaseError::InUse { dir: path.to_owned() }),
            Err(TryLockError::Error(error)) => Err(io(&lock_path, &error)),
        }
    }

    /// The database file.
    pub(crate) fn database(&self) -> PathBuf {
        self.path.join("geopush.db")
    }

    /// The write-ahead log beside it.
    pub(crate) fn wal(&self) -> PathBuf {
        self.path.join("geopush.db-wal")
    }
}

/// The connection that writes, made once; it sets what is kept in the file.
pub(crate) fn open_writer(path: &Path) -> Result<Connection, DatabaseError> {
    create_private(path)?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(|e| io(path, &e))?;
    let set = || -> rusqlite::Result<i64> {
        connection.busy_timeout(BUSY)?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS);
        let found: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
        if found > FORMAT {
            return Ok(found);
        }
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update(None, "temp_store", "MEMORY")?;
        connection.pragma_update(None, "cache_size", -65_536)?;
        connection.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
        connection.pragma_update(None, "journal_size_limit", WAL_KEPT_BYTES)?;
        if found < FORMAT {
            connection.pragma_update(None, "application_id", APPLICATION_ID)?;
            connection.pragma_update(None, "user_version", FORMAT)?;
        }
        Ok(found)
    };
    match set() {
        Ok(found) if found > FORMAT => {
            Err(DatabaseError::Version { path: path.to_owned(), found, known: FORMAT })
        }
        Ok(_) => Ok(connection),
        Err(error) => Err(io(path, &error)),
    }
}

/// A connection that only reads.
pub(crate) fn open_reader(path: &Path) -> Result<Connection, DatabaseError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(|e| io(path, &e))?;
    connection.busy_timeout(BUSY).map_err(|e| io(path, &e))?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    Ok(connection)
}

/// SQLite gives its WAL the mode of the database, so the database is made with the right one.
fn create_private(path: &Path) -> Result<(), DatabaseError> {
    OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(path)
        .map(drop)
        .map_err(|e| io(path, &e))
}

fn io(path: &Path, error: &dyn std::error::Error) -> DatabaseError {
    DatabaseError::Io { path: path.to_owned(), reason: error.to_string() }
}
