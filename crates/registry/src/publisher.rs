//! A change of configuration reaches the row and the topic, both or neither.
//!
//! A change writes an intent, then the row (on condition of its version), then appends the row's record to the topic,
//! and removes the intent before it is answered. Whatever dies on the way, [`Publisher::sweep`] finds the intent and
//! appends the *current* row. Two changes of one entity may append in the wrong order, and compaction keeps the last;
//! so whoever appended looks at the row again and appends until what it appended is the current version.

use futures::stream::{self, StreamExt as _};
use geopush_log::{AppendError, Record, SharedLog};
use geopush_model::{TenantId, UnixMillis};
use geopush_store::tables::{AppRow, CampaignRow, IntentRow, KeyRow, TenantRow, ZoneRow};
use geopush_store::{Direction, Page, Store, StoreError, Table, Timestamp};
use uuid::Uuid;

/// Rows that are written, or looked at again, at the same time.
const CONCURRENCY: usize = 64;
/// Intents are spread over this many partitions, so that no single one is hot.
const INTENT_SHARDS: i32 = 4;
/// How often a lost race for the last place in the topic is run again: each turn needs another writer to win.
const MOST_TURNS: usize = 16;
/// An intent that is older is of a change that died on its way.
const STALE_MS: i64 = 30_000;
/// A row that is not written so long after its intent will not be written: the sweeper must not take an intent away
/// whose row is still to come. The rest of [`STALE_MS`] is for the write itself and for clocks that differ.
const WRITTEN_WITHIN_MS: i64 = 15_000;

/// A row of a conditional table whose current version is also a record of a compacted topic.
pub trait Published: Table + Clone {
    /// What an intent calls this kind of row.
    const KIND: &'static str;

    /// Whose it is.
    fn tenant(&self) -> TenantId;
    /// Its version.
    fn version(&self) -> i64;
    /// Its key within the tenant, as text.
    fn entity(&self) -> String;
    /// Its record.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] when the row holds what it never should.
    fn record(&self) -> Result<Record, StoreError>;
    /// The current row of an entity.
    fn load(
        store: &Store,
        tenant: TenantId,
        entity: &str,
    ) -> impl Future<Output = Result<Option<Self>, StoreError>> + Send;
}

/// How a row is to be written.
#[derive(Clone, Debug)]
pub enum Change<R> {
    /// If there is none yet.
    Create(R),
    /// If its version is this.
    Replace(R, i64),
}

/// Why a change was not made, or not answered.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    /// Somebody else changed it first; nothing was written.
    #[error("it was changed by somebody else in the meantime; read it again and decide anew")]
    Conflict,
    /// The store failed: the change may come true or not.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The log failed after the row was written: the change will come true.
    #[error(transparent)]
    Log(#[from] AppendError),
}

/// Writes changes of configuration. Cheap to clone.
#[derive(Clone)]
pub struct Publisher {
    store: Store,
    log: SharedLog,
    now: fn() -> UnixMillis,
}

impl Publisher {
    /// Writes to this store and this log; `now` is the wall clock.
    pub fn new(store: Store, log: SharedLog, now: fn() -> UnixMillis) -> Self {
        Self { store, log, now }
    }

    /// The store it writes to.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Writes a row that must not exist yet.
    ///
    /// # Errors
    /// [`ChangeError::Conflict`] if it does.
    pub async fn create<R: Published>(&self, row: R) -> Result<(), ChangeError> {
        self.change(Change::Create(row)).await
    }

    /// Writes a row over the one with this version.
    ///
    /// # Errors
    /// [`ChangeError::Conflict`] if the version is another.
    pub async fn replace<R: Published>(&self, row: R, version: i64) -> Result<(), ChangeError> {
        self.change(Change::Replace(row, version)).await
    }

    async fn change<R: Published>(&self, change: Change<R>) -> Result<(), ChangeError> {
        self.change_all(vec![change]).await.pop().expect("one change has one result")
    }

    /// Makes many changes, each for itself, of different entities; the results are in their order.
    pub async fn change_all<R: Published>(&self, changes: Vec<Change<R>>) -> Vec<Result<(), ChangeError>> {
        let begun = (self.now)();
        let intents: Vec<_> = changes.iter().map(|change| intent_of(change, begun)).collect();
        if let Err(e) = self.store.put_all(intents.clone()).await {
            return changes.iter().map(|_| Err(e.clone().into())).collect();
        }
        let written: Vec<Result<R, ChangeError>> = stream::iter(changes)
            .map(|change| self.write(change, begun))
            .buffered(CONCURRENCY)
            .collect()
            .await;

        let rows: Vec<R> = written.iter().filter_map(|result| result.as_ref().ok().cloned()).collect();
        let published = self.publish(rows).await;
        let mut results = Vec::with_capacity(written.len());
        let mut settled = Vec::with_capacity(written.len());
        for (written, intent) in written.into_iter().zip(intents) {
            let result = match (written, &published) {
                (Err(e), _) => Err(e),
                (Ok(_), Ok(())) => Ok(()),
                (Ok(_), Err(e)) => Err(e.again()),
            };
            // An unknown end leaves its intent to the sweeper.
            if matches!(result, Ok(()) | Err(ChangeError::Conflict)) {
                settled.push(intent);
            }
            results.push(result);
        }
        self.remove(settled).await;
        results
    }

    async fn write<R: Published>(&self, change: Change<R>, begun: UnixMillis) -> Result<R, ChangeError> {
        if (self.now)().0 - begun.0 > WRITTEN_WITHIN_MS {
            return Err(StoreError::Unavailable(
                "the store was too slow to begin with the change".to_owned(),
            )
            .into());
        }
        let (row, done) = match change {
            Change::Create(row) => (row.clone(), self.store.put_if_absent(row).await?),
            Change::Replace(row, version) => (row.clone(), self.store.put_if_version(row, version).await?),
        };
        if done { Ok(row) } else { Err(ChangeError::Conflict) }
    }

    /// Appends rows' records, until what was appended last is the current version of each.
    async fn publish<R: Published>(&self, mut rows: Vec<R>) -> Result<(), ChangeError> {
        for _ in 0..MOST_TURNS {
            if rows.is_empty() {
                return Ok(());
            }
            let records = rows.iter().map(Published::record).collect::<Result<Vec<_>, _>>()?;
            self.log.append(records).await?;
            let newer: Vec<Result<Option<R>, StoreError>> = stream::iter(rows)
                .map(|row| async move {
                    let current = R::load(&self.store, row.tenant(), &row.entity()).await?;
                    Ok(current.filter(|current| current.version() != row.version()))
                })
                .buffered(CONCURRENCY)
                .collect()
                .await;
            rows = newer.into_iter().filter_map(Result::transpose).collect::<Result<_, _>>()?;
        }
        Err(AppendError::Unknown("one entity is changed by too many at once".to_owned()).into())
    }

    /// Removes intents. One that stays makes the sweeper publish once more, which changes nothing.
    async fn remove(&self, intents: Vec<IntentRow>) {
        stream::iter(intents)
            .for_each_concurrent(CONCURRENCY, |intent| async move {
                let key = (intent.kind, intent.entity);
                if let Err(error) = self.store.delete::<IntentRow>(&(intent.shard,), &key).await {
                    tracing::warn!(%error, "an intent could not be removed; the sweeper will");
                }
            })
            .await;
    }

    /// Publishes the current rows of the intents of changes that died on their way, and removes them; returns how many.
    ///
    /// # Errors
    /// When the store or the log fails; what is left is swept the next time.
    pub async fn sweep(&self) -> Result<usize, ChangeError> {
        let before = (self.now)().0 - STALE_MS;
        let mut swept = 0;
        for shard in 0..INTENT_SHARDS {
            let mut after = None;
            loop {
                let page = Page { from: None, to: None, after, direction: Direction::Ascending, limit: 500 };
                let intents: Vec<IntentRow> = self.store.page(&(shard,), &page).await?;
                let Some(last) = intents.last() else { break };
                after = Some((last.kind.clone(), last.entity.clone()));
                let stale: Vec<_> = intents.into_iter().filter(|i| i.created_at.0 < before).collect();
                for intent in &stale {
                    self.republish(intent).await?;
                }
                swept += stale.len();
                self.remove(stale).await;
            }
        }
        metrics::counter!("geopush_registry_intents_swept_total").increment(swept as u64);
        Ok(swept)
    }

    async fn republish(&self, intent: &IntentRow) -> Result<(), ChangeError> {
        let tenant = TenantId(intent.tenant);
        let entity = intent.entity.split_once('\n').map_or(intent.entity.as_str(), |(_, entity)| entity);
        match intent.kind.as_str() {
            ZoneRow::KIND => self.republish_row::<ZoneRow>(tenant, entity).await,
            CampaignRow::KIND => self.republish_row::<CampaignRow>(tenant, entity).await,
            TenantRow::KIND => self.republish_row::<TenantRow>(tenant, entity).await,
            KeyRow::KIND => self.republish_row::<KeyRow>(tenant, entity).await,
            AppRow::KIND => self.republish_row::<AppRow>(tenant, entity).await,
            unknown => {
                tracing::error!(
                    kind = unknown,
                    "an intent of an unknown kind was dropped: a newer version wrote it"
                );
                Ok(())
            }
        }
    }

    async fn republish_row<R: Published>(&self, tenant: TenantId, entity: &str) -> Result<(), ChangeError> {
        match R::load(&self.store, tenant, entity).await? {
            Some(row) => self.publish(vec![row]).await,
            None => Ok(()),
        }
    }
}

impl ChangeError {
    /// The same error, for each of several that it hit together.
    fn again(&self) -> Self {
        match self {
            Self::Conflict => Self::Conflict,
            Self::Store(e) => Self::Store(e.clone()),
            Self::Log(AppendError::Full) => Self::Log(AppendError::Full),
            Self::Log(AppendError::Refused(why)) => Self::Log(AppendError::Refused(why.clone())),
            Self::Log(AppendError::Unknown(why)) => Self::Log(AppendError::Unknown(why.clone())),
        }
    }
}

/// Each change has an intent of its own: two changes of one entity must not remove each other's.
fn intent_of<R: Published>(change: &Change<R>, now: UnixMillis) -> IntentRow {
    let (Change::Create(row) | Change::Replace(row, _)) = change;
    let id = Uuid::new_v4();
    IntentRow {
        shard: i32::from(id.as_bytes()[0]) % INTENT_SHARDS,
        kind: R::KIND.to_owned(),
        entity: format!("{id}\n{}", row.entity()),
        tenant: row.tenant().0,
        created_at: Timestamp(now.0),
    }
}

pub(crate) fn corrupt<T: Table>(column: &'static str) -> StoreError {
    StoreError::Corrupt { table: T::SCHEMA.name, column }
}
