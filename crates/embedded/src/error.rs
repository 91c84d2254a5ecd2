//! What can go wrong with the file.

use std::path::PathBuf;

/// Why the database could not be opened, read or written.
#[derive(Clone, Debug, thiserror::Error)]
pub enum DatabaseError {
    /// Another process has this directory open.
    #[error("another geopush is running on the directory {dir}; stop it, or use another --data-dir", dir = .dir.display())]
    InUse {
        /// The directory.
        dir: PathBuf,
    },
    /// The directory or a file of it could not be made or opened.
    #[error("{path} could not be used: {reason}; check that the path is right and that this user may write there", path = .path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What the system or SQLite said.
        reason: String,
    },
    /// The file was written by a newer version of geopush.
    #[error("{path} has format {found} and this geopush knows only {known}; run the newer geopush that wrote it", path = .path.display())]
    Version {
        /// The database file.
        path: PathBuf,
        /// The format found in the file.
        found: i64,
        /// The newest format that this build knows.
        known: i64,
    },
    /// Nothing was written: too much is waiting already. Try again later.
    #[error("too many writes are waiting for the disk; try again in a moment")]
    Full,
    /// Nothing was written: the database was closed before the call.
    #[error("the database is closed")]
    Closed,
    /// SQLite said no, or the work panicked; nothing of this piece of work was written.
    #[error("the embedded database failed: {0}; check the disk's space and health")]
    Sqlite(String),
    /// The transaction that this piece of work shared failed, so it was most likely not written; only a look at the
    /// file can tell.
    #[error("the embedded database could not commit: {0}; check the disk's space and health")]
    Commit(String),
}

impl From<rusqlite::Error> for DatabaseError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error.to_string())
    }
}
