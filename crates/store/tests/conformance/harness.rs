//! What a backend under test offers to the claims, and the list of the claims.

use std::sync::Arc;
use std::sync::atomic::AtomicI64;

use geopush_store::{Backend, Schema, Store};

/// A backend under test, empty at the start.
pub trait Harness: Sized {
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

/// The claims that hold for every backend, as tests of one.
macro_rules! conformance {
    ($backend:ident, $harness:ty) => {
        claims! { $backend, $harness,
            rows: what_is_put_is_got, a_put_replaces_the_whole_row, a_deleted_row_is_gone,
                of_two_rows_with_one_key_in_a_call_the_later_stays, the_last_of_many_writes_of_a_key_stays,
                writes_of_a_key_hold_in_the_order_of_their_calls, a_key_that_not_every_backend_keeps_is_refused,
                keys_of_any_script_are_told_apart, nothing_is_null_but_what_may_be, extreme_values_come_back,
                large_values_come_back, a_number_that_is_none_is_refused, many_keys_are_got_in_the_order_asked,
                more_rows_than_a_chunk_are_all_written, rows_without_values_are_there_or_not,
                partitions_are_apart, everything_is_there_after_a_restart, concurrent_puts_are_all_kept;
            pages: every_page_is_that_of_a_sorted_list, negative_numbers_come_before_positive_ones,
                text_is_in_the_order_of_its_utf8, uuids_of_a_version_are_in_the_order_of_their_bytes,
                bytes_are_in_their_order, a_partition_without_clustering_key_has_a_page_of_one,
                a_page_of_nothing_is_empty, a_page_may_be_longer_than_one_answer;
            conditional: only_the_first_put_if_absent_writes, one_of_fifty_creators_wins,
                one_of_fifty_editors_wins, no_increment_is_lost, another_version_changes_nothing,
                a_missing_row_has_no_version;
            newest: a_late_write_of_an_older_row_changes_nothing, of_one_call_the_newest_stays,
                a_deletion_takes_what_is_not_newer;
            expiry: a_row_goes_by_itself, conditions_do_not_see_what_went_by_itself;
            across: every_cut_goes_on_where_it_ended, shards_are_merged_however_full_they_are,
                ends_hold_in_every_group, a_full_page_is_exactly_full, an_empty_list_has_an_empty_page,
                many_empty_partitions_end_a_page_early, a_group_starts_anew_where_keys_do;
            migration: migrating_twice_changes_nothing, a_new_optional_column_is_null_in_old_rows,
                another_key_is_refused, a_new_column_that_must_have_a_value_is_refused,
                old_rows_of_a_table_that_starts_to_expire_live_on, nothing_is_migrated_before_it_was,
                many_may_migrate_at_once;
            tables: every_table_of_geopush_keeps_a_row;
        }
    };
}

/// Claims, by their modules, as tests of one backend.
macro_rules! claims {
    ($backend:ident, $harness:ty, $($module:ident: $($claim:ident),+;)+) => {
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
