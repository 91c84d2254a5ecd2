//! How many of a source's pushes ended how, and how many are put off. A totals row counts the deliveries of one source and hour in one partition
//! of the log, up to an offset that it names: what is read again is not counted again.

use std::collections::{HashMap, HashSet};

use geopush_log::Offset;
use geopush_model::{Delivery, Outcome};
use geopush_store::tables::{DeliveryTotalsRow, hour_of};
use geopush_store::{Store, StoreError};
use uuid::Uuid;

/// How many rows are kept in memory; then all are read anew when they are needed.
const MOST: usize = 20_000;
/// Rows asked for at once.
const ROWS_AT_ONCE: usize = 500;

/// A tenant, a source and an hour.
type TotalsKey = (Uuid, Uuid, i64);

/// The totals of one slice, as the store has them or will have them.
#[derive(Debug)]
pub(super) struct Totals {
    log_partition: i32,
    rows: HashMap<TotalsKey, DeliveryTotalsRow>,
}

impl Totals {
    pub(super) fn new(log_partition: u32) -> Self {
        Self { log_partition: i32::try_from(log_partition).unwrap_or(i32::MAX), rows: HashMap::new() }
    }

    /// Reads the rows that these deliveries count in, where they are not known.
    pub(super) async fn load(
        &mut self,
        store: &Store,
        deliveries: &[(Offset, Delivery)],
    ) -> Result<(), StoreError> {
        if self.rows.len() > MOST {
            self.rows.clear();
        }
        let unknown: HashSet<TotalsKey> =
            deliveries.iter().map(|(_, d)| key_of(d)).filter(|key| !self.rows.contains_key(key)).collect();
        let unknown: Vec<TotalsKey> = unknown.into_iter().collect();
        for keys in unknown.chunks(ROWS_AT_ONCE) {
            let partitions: Vec<_> = keys
                .iter()
                .map(|(tenant, source, hour)| ((*tenant, *source), (*hour, self.log_partition)))
                .collect();
            let found = store.get_all::<DeliveryTotalsRow>(&partitions).await?;
            for (key, row) in keys.iter().zip(found) {
                self.rows.insert(*key, row.unwrap_or_else(|| empty(*key, self.log_partition)));
            }
        }
        Ok(())
    }

    /// Counts the deliveries that are not counted yet, and returns the rows to write. [`Totals::load`] comes first.
    pub(super) fn count(&mut self, deliveries: &[(Offset, Delivery)]) -> Vec<DeliveryTotalsRow> {
        let log_partition = self.log_partition;
        let mut changed = HashSet::new();
        for (offset, delivery) in deliveries {
            let key = key_of(delivery);
            let row = self.rows.entry(key).or_insert_with(|| empty(key, log_partition));
            let offset = i64::try_from(*offset).unwrap_or(i64::MAX);
            if offset < row.counted_to {
                continue;
            }
            row.counted_to = offset.saturating_add(1);
            let counter = match delivery.outcome {
                Outcome::Accepted => Some(&mut row.accepted),
                Outcome::Failed => Some(&mut row.failed),
                Outcome::Suppressed => Some(&mut row.suppressed),
                Outcome::Expired => Some(&mut row.expired),
                Outcome::Deferred => None,
            };
            // Put off once or often, it is one push, until it ends.
            let put_off = match (counter.is_some(), delivery.deferrals) {
                (false, 1) => 1,
                (true, 1..) => -1,
                _ => 0,
            };
            if let Some(counter) = counter {
                *counter += 1;
            }
            row.put_off = Some((row.put_off.unwrap_or(0) + put_off).max(0));
            changed.insert(key);
        }
        changed.iter().map(|key| self.rows[key].clone()).collect()
    }
}

fn key_of(delivery: &Delivery) -> TotalsKey {
    (delivery.tenant.0, delivery.origin.source.id(), hour_of(delivery.created_at.0))
}

fn empty((tenant, source, hour): TotalsKey, log_partition: i32) -> DeliveryTotalsRow {
    DeliveryTotalsRow {
        tenant,
        source,
        hour,
        log_partition,
        accepted: 0,
        failed: 0,
        suppressed: 0,
        expired: 0,
        counted_to: 0,
        put_off: None,
    }
}
