//! Which push a device's owner opened last.
//!
//! A receipt names its push alone; whose push that is says the row that the dispatcher writes once the provider took
//! it. Where that row is not there yet, since the dispatcher lags or the phone was quick, the receipt is kept beside
//! and [`EarlyReceipts`] joins it later. A push that nobody knows after an hour was never one.

use std::collections::HashMap;

use geopush_model::{TenantId, UnixMillis};
use geopush_store::tables::{DeviceEngagementRow, EarlyReceiptRow, PushRow, SHARDS, id_shard};
use geopush_store::{Direction, Page, Store, StoreError, Table, Timestamp};
use uuid::Uuid;

/// So long a receipt waits for the row of its push.
const PATIENCE_MS: i64 = 60 * 60 * 1_000;
/// Rows looked at together, and pages of them in one go: the rest is for the next.
const PAGE: usize = 500;
const PAGES: usize = 20;

/// Notes of each push when it was opened, with the device that it went to; of one that is not known yet, for later.
pub(super) async fn note(
    store: &Store,
    tenant: TenantId,
    opened: impl Iterator<Item = (Uuid, UnixMillis)>,
    now: UnixMillis,
) -> Result<(), StoreError> {
    let mut last: HashMap<Uuid, UnixMillis> = HashMap::new();
    for (push, at) in opened {
        let known = last.entry(push).or_insert(at);
        *known = at.max(*known);
    }
    let opened: Vec<EarlyReceiptRow> = last
        .into_iter()
        .map(|(push, at)| EarlyReceiptRow {
            shard: id_shard(push),
            received_at: Timestamp(now.0),
            push,
            tenant: tenant.0,
            at: Timestamp(at.0),
        })
        .collect();
    let (known, early): (Vec<_>, Vec<_>) =
        with_devices(store, opened).await?.into_iter().partition(|(_, device)| device.is_some());
    store.put_all(known.into_iter().filter_map(engagement).collect()).await?;
    store.put_all(early.into_iter().map(|(receipt, _)| receipt).collect()).await
}

/// The receipts that came before their pushes' rows.
#[derive(Debug, Default)]
pub struct EarlyReceipts {
    /// Where to go on in each shard.
    after: [Option<(Timestamp, Uuid)>; SHARDS as usize],
}

impl EarlyReceipts {
    /// Joins those whose pushes are known by now, drops those that waited too long, and returns how many it joined.
    /// Some processes may do so at once: what is done twice is as if done once.
    ///
    /// # Errors
    /// When the store does not answer; what is left is done the next time.
    pub async fn join(&mut self, store: &Store, now: UnixMillis) -> Result<usize, StoreError> {
        let mut joined = 0;
        for (shard, after) in (0..SHARDS).zip(&mut self.after) {
            for _ in 0..PAGES {
                let page = Page { after: after.take(), ..Page::first(PAGE, Direction::Ascending) };
                let receipts: Vec<EarlyReceiptRow> = store.page(&(shard,), &page).await?;
                *after = receipts.last().map(Table::clustering).filter(|_| receipts.len() == PAGE);
                joined += join_page(store, receipts, now).await?;
                if after.is_none() {
                    break;
                }
            }
        }
        Ok(joined)
    }
}

async fn join_page(
    store: &Store,
    receipts: Vec<EarlyReceiptRow>,
    now: UnixMillis,
) -> Result<usize, StoreError> {
    let (mut done, mut engagements, mut unknown) = (Vec::new(), Vec::new(), 0);
    for (receipt, device) in with_devices(store, receipts).await? {
        let key = ((receipt.shard,), receipt.clustering());
        if device.is_none() && now.since_ms(UnixMillis(receipt.received_at.0)) > PATIENCE_MS {
            unknown += 1;
        } else if device.is_none() {
            continue;
        }
        engagements.extend(engagement((receipt, device)));
        done.push(key);
    }
    let joined = engagements.len();
    store.put_all(engagements).await?;
    for (partition, clustering) in done {
        store.delete::<EarlyReceiptRow>(&partition, &clustering).await?;
    }
    for (outcome, count) in [("joined", joined as u64), ("unknown", unknown)] {
        metrics::counter!("geopush_ingest_early_receipts_total", "outcome" => outcome).increment(count);
    }
    Ok(joined)
}

/// Each with the device that its push went to, where that is known.
async fn with_devices(
    store: &Store,
    receipts: Vec<EarlyReceiptRow>,
) -> Result<Vec<(EarlyReceiptRow, Option<String>)>, StoreError> {
    let keys: Vec<_> = receipts.iter().map(|receipt| ((receipt.tenant, receipt.push), ())).collect();
    let pushes = store.get_all::<PushRow>(&keys).await?;
    let devices = pushes.into_iter().map(|push| push.map(|push| push.device));
    Ok(receipts.into_iter().zip(devices).collect())
}

fn engagement((receipt, device): (EarlyReceiptRow, Option<String>)) -> Option<DeviceEngagementRow> {
    let EarlyReceiptRow { tenant, push, at, .. } = receipt;
    Some(DeviceEngagementRow { tenant, device: device?, opened_at: at, push })
}
