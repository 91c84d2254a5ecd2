//! Puts rows into the store, a few hundred at a time.

use geopush_store::{Store, StoreError, Table};

/// Writes rows in their order, `at_once` a call, so that nobody waits long behind them. A row that no backend can
/// keep is left out, since it would never be written and would hold up all that come after it.
pub(super) async fn put<T: Table + Clone>(
    store: &Store,
    rows: &[T],
    at_once: usize,
) -> Result<(), StoreError> {
    for chunk in rows.chunks(at_once) {
        match store.put_all(chunk.to_vec()).await {
            Ok(()) => {}
            Err(StoreError::Corrupt { .. }) => put_each(store, chunk).await?,
            Err(error) => return Err(error),
        }
    }
    if !rows.is_empty() {
        metrics::counter!("geopush_dispatcher_record_rows_total", "table" => T::SCHEMA.name)
            .increment(rows.len() as u64);
    }
    Ok(())
}

async fn put_each<T: Table + Clone>(store: &Store, rows: &[T]) -> Result<(), StoreError> {
    for row in rows {
        match store.put(row.clone()).await {
            Err(error @ StoreError::Corrupt { .. }) => {
                let table = T::SCHEMA.name;
                metrics::counter!("geopush_dispatcher_record_unwritable_rows_total", "table" => table)
                    .increment(1);
                tracing::error!(table, %error, "a row was left out");
            }
            done => done?,
        }
    }
    Ok(())
}
