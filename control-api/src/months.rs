//! The months, days and hours that have rows, as groups of partitions for a page.

use geopush_model::{DeviceId, TenantId};
use geopush_store::tables::{DeviceMonthRow, month_of};
use geopush_store::{Direction, Page, Store, StoreError, Table};
use uuid::Uuid;

use crate::listing::Group;

/// From when to when, in ms: the first included, the second not.
pub(crate) type Range = (Option<i64>, Option<i64>);

const PAGE: usize = 1_000;

/// The months in which a device has rows of this kind (`deliveries` or `transitions`), within a range.
pub(crate) async fn months_of(
    store: &Store,
    tenant: TenantId,
    device: &DeviceId,
    kind: &str,
    (from, to): Range,
    direction: Direction,
) -> Result<Vec<Group<(Uuid, String, i32)>>, StoreError> {
    let partition = (tenant.0, device.as_str().to_owned(), kind.to_owned());
    let range = [from.map(month_of), to.map(|to| month_of(last_before(to)))];
    let rows: Vec<DeviceMonthRow> = every(store, &partition, direction).await?;
    let [first, last] = range;
    let within =
        |month: &i32| first.is_none_or(|first| first <= *month) && last.is_none_or(|last| *month <= last);
    let months = rows.into_iter().map(|row| row.month).filter(within);
    let group = |month| (i64::from(month), vec![(tenant.0, device.as_str().to_owned(), month)]);
    Ok(months.map(group).collect())
}

/// The last moment before the end of a range.
pub(crate) fn last_before(to: i64) -> i64 {
    to.saturating_sub(1)
}

/// Every row of a partition: a list of months, days or hours, of which there are few.
pub(crate) async fn every<T: Table>(
    store: &Store,
    partition: &T::Partition,
    direction: Direction,
) -> Result<Vec<T>, StoreError> {
    let mut page = Page::first(PAGE, direction);
    let mut all = Vec::new();
    loop {
        let rows: Vec<T> = store.page(partition, &page).await?;
        page.after = rows.last().map(T::clustering);
        let more = rows.len() == PAGE;
        all.extend(rows);
        if !more {
            return Ok(all);
        }
    }
}
