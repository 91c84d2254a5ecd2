//! A tenant's quota, leased in parts: no slice knows what the others push, so each takes what it may push from one row.
//! What is leased and not used by the end of the day is lost: the quota is never exceeded, and perhaps not used up.

use std::cell::Cell;
use std::collections::HashMap;

use geopush_model::{TenantId, UnixMillis};
use geopush_store::tables::{QuotaRow, day_of};
use geopush_store::{Store, StoreError};

/// So many leases make up a day's quota.
const PARTS: u64 = 200;
/// How often a lease that others took at the same time is tried again.
const MOST_TRIES: usize = 16;

/// What a slice may still push for each tenant that has a quota.
#[derive(Debug, Default)]
pub(super) struct Leases(HashMap<TenantId, Lease>);

#[derive(Debug, Default)]
struct Lease {
    day: i32,
    quota: u64,
    left: Cell<u64>,
    /// Whether nothing more is to be had that day.
    exhausted: bool,
}

/// What a slice would need to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Short {
    tenant: TenantId,
    day: i32,
    quota: u64,
    more: u64,
}

impl Leases {
    /// What is missing for so many pushes of a tenant, if more may be had.
    pub(super) fn short(
        &mut self,
        tenant: TenantId,
        quota: u64,
        now: UnixMillis,
        needed: u64,
    ) -> Option<Short> {
        let day = day_of(now.0);
        let lease = self.0.entry(tenant).or_default();
        if (lease.day, lease.quota) != (day, quota) {
            // A quota that was lowered may be exceeded by what was leased before.
            *lease = Lease { day, quota, ..Lease::default() };
        }
        let more = needed.saturating_sub(lease.left.get());
        (more > 0 && !lease.exhausted).then_some(Short { tenant, day, quota, more })
    }

    /// What may still be pushed for a tenant.
    pub(super) fn left(&self, tenant: TenantId) -> Option<&Cell<u64>> {
        self.0.get(&tenant).map(|lease| &lease.left)
    }

    /// Takes what was leased.
    pub(super) fn granted(&mut self, short: Short, granted: u64) {
        let outcome = if granted == 0 { "exhausted" } else { "granted" };
        metrics::counter!("geopush_dispatcher_plan_quota_leases_total", "outcome" => outcome).increment(1);
        let lease = self.0.entry(short.tenant).or_default();
        if (lease.day, lease.quota) == (short.day, short.quota) {
            lease.left.set(lease.left.get() + granted);
            lease.exhausted = granted < short.more;
        }
    }
}

/// Leases what is missing, or what there is.
pub(super) async fn lease(store: &Store, short: Short) -> Result<u64, StoreError> {
    let key = ((short.tenant.0,), (short.day,));
    for _ in 0..MOST_TRIES {
        let row = store.get::<QuotaRow>(&key.0, &key.1).await?;
        let leased = row.as_ref().map_or(0, |row| u64::try_from(row.leased).unwrap_or(0));
        let part = (short.quota / PARTS).max(1).max(short.more);
        let granted = part.min(short.quota.saturating_sub(leased));
        if granted == 0 {
            return Ok(0);
        }
        let version = row.map(|row| row.version);
        let next = QuotaRow {
            tenant: short.tenant.0,
            day: short.day,
            leased: i64::try_from(leased + granted).unwrap_or(i64::MAX),
            version: version.unwrap_or(0) + 1,
        };
        let done = match version {
            None => store.put_if_absent(next).await?,
            Some(version) => store.put_if_version(next, version).await?,
        };
        if done {
            return Ok(granted);
        }
    }
    Err(StoreError::Unavailable("a tenant's quota is leased by too many at once".to_owned()))
}
