//! When a device was in the zones that an audience asks for: read only when one does.

use std::collections::{BTreeSet, HashMap};

use geopush_model::{Transition, UnixMillis, ZoneId};
use geopush_store::tables::{PresenceByDeviceRow, TransitionByDeviceRow, month_of};
use geopush_store::{Direction, Page, Store, StoreError};

/// Rows a page.
const PAGE: usize = 500;
/// A device that had more transitions than this since is taken as not having visited what it visited before.
const MOST_PAGES: usize = 4;

/// The last time before `cause` that its device was in each of these zones, as far back as `looks_back_s`. History
/// is written a moment after it happens, so that a visit of the last second may be missing.
pub(super) async fn visits_before(
    store: &Store,
    cause: &Transition,
    asked: &BTreeSet<ZoneId>,
    looks_back_s: i64,
) -> Result<HashMap<ZoneId, UnixMillis>, StoreError> {
    let mut visits = still_inside(store, cause, asked).await?;
    let since = cause.at.plus_ms(looks_back_s.saturating_mul(-1_000));
    let device = cause.device.as_str().to_owned();
    let mut pages = 0;
    for month in (month_of(since.0)..=month_of(cause.at.0)).rev() {
        let partition = (cause.tenant.0, device.clone(), month);
        let mut page = Page::first(PAGE, Direction::Descending);
        page.to = Some(order_of(cause));
        loop {
            if visits.len() == asked.len() || pages == MOST_PAGES {
                return Ok(visits);
            }
            pages += 1;
            let rows = store.page::<TransitionByDeviceRow>(&partition, &page).await?;
            page.after = rows.last().map(|row| (row.incarnation, row.seq));
            let is_last = rows.len() < PAGE;
            for row in rows {
                let zone = ZoneId(row.zone);
                if asked.contains(&zone) {
                    // The newest row of a zone comes first: after anything but an exit the device is still there.
                    let last = if row.kind == "exit" { UnixMillis(row.at.0) } else { cause.at };
                    visits.entry(zone).or_insert(last);
                }
            }
            if is_last {
                break;
            }
        }
    }
    Ok(visits)
}

/// The zones that the device had entered before and not left: it may have done so long ago.
async fn still_inside(
    store: &Store,
    cause: &Transition,
    asked: &BTreeSet<ZoneId>,
) -> Result<HashMap<ZoneId, UnixMillis>, StoreError> {
    let device = (cause.tenant.0, cause.device.as_str().to_owned());
    let keys: Vec<_> = asked.iter().map(|zone| (device.clone(), (zone.0,))).collect();
    let rows = store.get_all::<PresenceByDeviceRow>(&keys).await?;
    let before = |row: &PresenceByDeviceRow| (row.incarnation, row.seq) < order_of(cause);
    Ok(rows.into_iter().flatten().filter(before).map(|row| (ZoneId(row.zone), cause.at)).collect())
}

fn order_of(transition: &Transition) -> (i64, i64) {
    (transition.incarnation.0, i64::try_from(transition.seq).unwrap_or(i64::MAX))
}
