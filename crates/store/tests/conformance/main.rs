//! What every backend of the store does, claim by claim. A backend joins in with a [`Harness`] and one line at the
//! end of this file.

// A claim that can't go on has failed; clippy knows tests by their attribute alone.
#![allow(clippy::unwrap_used)]

mod across;
mod conditional;
mod expiry;
mod migration;
mod pages;
mod rows;
mod tables;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use geopush_embedded::Database;
use geopush_store::{Backend, EmbeddedStore, Schema, Store};

/// A backend under test, empty at the start.
trait Harness: Sized {
    /// An empty one.
    async fn start() -> Self;
    /// The backend.
    fn backend(&self) -> Arc<dyn Backend>;
    /// Ends what runs and starts it again on the same data.
    async fn reopen(self) -> Self;
    /// Its clock, in ms, where it has one that can be set.
    fn clock(&self) -> Option<&AtomicI64>;

    /// A store of these tables, which exist.
    async fn store(&self, tables: &'static [&'static Schema]) -> Store {
        let store = Store::with_tables(self.backend(), tables);
        store.migrate().await.unwrap();
        store
    }
}

/// The embedded store in a directory of its own.
struct Embedded {
    database: Database,
    backend: Arc<EmbeddedStore>,
    clock: Arc<AtomicI64>,
    dir: tempfile::TempDir,
}

impl Embedded {
    fn open(dir: tempfile::TempDir, clock: Arc<AtomicI64>) -> Self {
        let database = Database::open(dir.path()).unwrap();
        let now = Arc::clone(&clock);
        let backend = EmbeddedStore::with_clock(database.clone(), move || now.load(Ordering::SeqCst));
        Self { database, backend: Arc::new(backend), clock, dir }
    }
}

impl Harness for Embedded {
    async fn start() -> Self {
        Self::open(tempfile::tempdir().unwrap(), Arc::new(AtomicI64::new(1_700_000_000_000)))
    }

    fn backend(&self) -> Arc<dyn Backend> {
        self.backend.clone()
    }

    async fn reopen(self) -> Self {
        self.database.close().await;
        Self::open(self.dir, self.clock)
    }

    fn clock(&self) -> Option<&AtomicI64> {
        Some(&self.clock)
    }
}

/// All claims, as tests of one backend.
macro_rules! conformance {
    ($backend:ident, $harness:ty) => {
        conformance! { @claims $backend, $harness,
            rows: what_is_put_is_got, a_put_replaces_the_whole_row, a_deleted_row_is_gone,
                of_two_rows_with_one_key_in_a_call_the_later_stays, nothing_is_null_but_what_may_be,
                extreme_values_come_back, large_values_come_back, a_number_that_is_none_is_refused,
                many_keys_are_got_in_the_order_asked, more_rows_than_a_chunk_are_all_written,
                rows_without_values_are_there_or_not, partitions_are_apart, everything_is_there_after_a_restart,
                concurrent_puts_are_all_kept;
            pages: every_page_is_that_of_a_sorted_list, negative_numbers_come_before_positive_ones,
                text_is_in_the_order_of_its_utf8, uuids_of_a_version_are_in_the_order_of_their_bytes,
                bytes_are_in_their_order, a_partition_without_clustering_key_has_a_page_of_one,
                a_page_of_nothing_is_empty;
            conditional: only_the_first_put_if_absent_writes, one_of_fifty_creators_wins,
                one_of_fifty_editors_wins, no_increment_is_lost, another_version_changes_nothing,
                a_missing_row_has_no_version;
            expiry: a_row_is_not_seen_once_its_time_has_run_out, a_put_starts_the_time_again,
                expiring_removes_what_has_run_out_and_nothing_else, an_expired_row_is_absent_to_conditions,
                rows_of_tables_without_a_lifetime_stay;
            across: every_cut_goes_on_where_it_ended, shards_are_merged_however_full_they_are,
                ends_hold_in_every_group, a_full_page_is_exactly_full, an_empty_list_has_an_empty_page,
                many_empty_partitions_end_a_page_early, a_group_starts_anew_where_keys_do;
            migration: migrating_twice_changes_nothing, a_new_optional_column_is_null_in_old_rows,
                another_key_is_refused, a_new_column_that_must_have_a_value_is_refused,
                old_rows_of_a_table_that_starts_to_expire_live_on;
            tables: every_table_of_geopush_keeps_a_row;
        }
    };
    (@claims $backend:ident, $harness:ty, $($module:ident: $($claim:ident),+;)+) => {
        mod $backend {
            use super::*;

            $($(
                #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
                async fn $claim() {
                    super::$module::$claim(<$harness>::start().await).await;
                }
            )+)+
        }
    };
}

conformance!(embedded, Embedded);
