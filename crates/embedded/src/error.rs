//! What can go wrong with the file.

use std::path::PathBuf;

/// Why the database could not be opened, read or written.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// Another process has this directory open.
    #[error(
        "another geopush is running on the directory {}; stop it, or use another --data-dir", dir.display()
    )]
    InUse {
        /// The directory.
        dir: PathBuf,
    },
    /// The directory or a file of it could not be made or opened.
    #[error("{} could not be used: {source}; check that the path is right and that this user may write there", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file was written by another version of geopush.
    #[error("{} has schema version {found}, and this geopush knows {known}; run the geopush that wrote it, or a newer one", path.display())]
    Version {
        /// The database file.
        path: PathBuf,
        /// The version found in the file.
        found: i64,
        /// The newest version that this build knows.
        known: i64,
    },
    /// Nothing was written: too much is waiting already. Try again later.
    #[error("too many writes are waiting for the disk; try again in a moment")]
    Full,
    /// The database was closed.
    #[error("the database is closed")]
    Closed,
    /// SQLite said no; nothing of this piece of work was written.
    #[error("the embedded database failed: {0}; check the disk's space and health")]
    Sqlite(#[from] rusqlite::Error),
    /// The transaction that this piece of work shared could not be committed; nothing of it was written.
    #[error("the embedded database could not commit: {0}; check the disk's space and health")]
    Commit(String),
}
