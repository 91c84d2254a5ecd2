//! The claims, by what they are about.

/// Makes a test of each claim for a backend.
macro_rules! claims {
    ($backend:ident, $harness:path; $($area:ident: $($claim:ident),+;)+) => {
        mod $backend {
            $($(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $claim() {
                    crate::$area::$claim(&<$harness>::new().await).await;
                }
            )+)+
        }
    };
}

macro_rules! conforms {
    ($backend:ident, $harness:path) => {
        claims! { $backend, $harness;
            appending:
                concurrent_appends_keep_their_order_and_lose_nothing,
                keys_go_where_kafkas_clients_would_send_them,
                a_record_can_be_sent_to_a_partition_of_choice,
                everything_comes_back_as_it_was_written,
                what_is_refused_leaves_nothing_behind,
                an_acknowledged_record_lies_before_the_end,
                a_crash_loses_nothing_and_offsets_go_on;
            reading:
                a_range_is_read_whole_and_no_further,
                a_read_until_now_ends_where_the_log_ended,
                several_partitions_are_read_each_in_order,
                a_following_read_sees_what_comes_however_often_it_is_dropped,
                a_position_reaches_the_end_over_holes;
            following:
                the_last_value_of_each_key_is_what_a_follower_ends_with,
                after_the_barrier_everything_answered_has_been_applied,
                a_stopped_follower_applies_nothing_more;
            committing:
                outputs_and_positions_appear_together_or_not_at_all,
                positions_and_note_come_back_with_the_slice,
                a_commit_may_leave_the_positions_as_they_were,
                commits_of_a_slice_happen_in_order_and_without_waiting,
                a_commit_that_cannot_be_kept_is_lost_whole_and_the_slice_comes_again,
                commits_of_all_slices_at_once_all_arrive,
                progress_survives_a_crash;
            sharing:
                every_slice_is_given_once_with_all_its_records,
                a_second_member_takes_half_and_the_other_half_stays,
                a_member_that_leaves_hands_its_slices_on,
                the_commit_of_a_former_owner_is_lost,
                a_reset_slice_starts_again_from_its_last_commit,
                a_paused_input_is_silent_until_it_is_resumed,
                batches_are_bounded,
                inputs_that_do_not_match_are_refused;
            staging:
                counts_are_exact_whatever_fails_and_whoever_joins,
                a_shutdown_finishes_what_is_in_hand,
                a_slow_slice_holds_up_no_other_and_still_gets_everything,
                an_input_that_a_stage_holds_back_waits_while_the_others_go_on,
                a_stage_knows_when_it_has_caught_up;
        }
    };
}
