//! The log and the tables of one deployment: in a directory for one process, or on servers that many share.

use std::sync::Arc;
use std::time::Duration;

use geopush_embedded::Database;
use geopush_log::{EmbeddedLog, SharedLog};
use geopush_model::UnixMillis;
use geopush_registry::{Publisher, Sealer};
use geopush_service::BoxError;
use geopush_service::clock::{Clock as _, SystemClock};
use geopush_store::{EmbeddedStore, Store};

use crate::fleet;
use crate::settings::{Backend, Settings};

/// What is being written may take this long to end.
const CLOSING: Duration = Duration::from_secs(10);

/// An open log and open tables.
pub struct Storage {
    /// The log.
    pub log: SharedLog,
    /// The tables.
    pub store: Store,
    /// Writes configuration to both.
    pub publisher: Publisher,
    /// The embedded default's file.
    pub(crate) file: Option<Database>,
}

impl Storage {
    /// Opens, or makes, the embedded default's file in the data directory; no other process may have it open. On a
    /// fleet, connects to servers that `geopush migrate` has prepared, for which it waits a minute at most.
    ///
    /// # Errors
    /// When the directory can't be used or another process uses it; when the servers don't answer or don't fit.
    pub async fn open(settings: &Settings) -> Result<Self, BoxError> {
        match &settings.backend {
            Backend::Embedded { partitions } => {
                let file = Database::open(&settings.data_dir)?;
                let log: SharedLog = Arc::new(EmbeddedLog::open(file.clone(), *partitions).await?);
                let store = Store::new(Arc::new(EmbeddedStore::new(file.clone())));
                store.migrate().await?;
                Ok(Self { file: Some(file), ..Self::of(log, store) })
            }
            Backend::Fleet(fleet) => fleet::open(fleet).await,
        }
    }

    /// Makes or upgrades the tables, and makes or checks the topics; returns what there is now, a line each.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub async fn migrate(settings: &Settings) -> Result<Vec<String>, BoxError> {
        match &settings.backend {
            Backend::Embedded { .. } => {
                // Opening makes and upgrades everything.
                Self::open(settings).await?.close().await;
                Ok(vec![format!("the tables in {} are up to date", settings.data_dir.display())])
            }
            Backend::Fleet(fleet) => fleet::migrate(fleet).await,
        }
    }

    /// A log and tables that are open already.
    pub(crate) fn of(log: SharedLog, store: Store) -> Self {
        let publisher = publisher(&store, &log);
        Self { log, store, publisher, file: None }
    }

    /// Waits for what is being written, and closes the file.
    pub async fn close(self) {
        close(Some(self.log), self.file).await;
    }
}

/// Writes configuration to both.
pub(crate) fn publisher(store: &Store, log: &SharedLog) -> Publisher {
    Publisher::new(store.clone(), Arc::clone(log), || UnixMillis(SystemClock.now_ms()))
}

/// Waits for what is being written, for a bounded time where servers have to answer, and closes the file.
pub(crate) async fn close(log: Option<SharedLog>, file: Option<Database>) {
    if let Some(log) = log
        && tokio::time::timeout(CLOSING, log.close()).await.is_err()
    {
        tracing::warn!("the log did not close in time; what it had not taken was not acknowledged either");
    }
    if let Some(file) = file {
        file.close().await;
    }
}

/// What seals credentials: the given key, or, on the embedded default, the one in the data directory. A process of a
/// fleet whose roles need none may have none.
pub(crate) fn sealer(settings: &Settings) -> Result<Option<Sealer>, BoxError> {
    Ok(match (&settings.secrets_key, &settings.backend) {
        (Some(key), _) => Some(Sealer::from_hex(key.expose())?),
        (None, Backend::Embedded { .. }) => Some(Sealer::from_file(&settings.data_dir.join("secrets.key"))?),
        (None, Backend::Fleet(_)) => None,
    })
}
