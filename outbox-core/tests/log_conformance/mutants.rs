//! Each fault, and the cases that notice it: those and no others.

use std::{collections::BTreeSet, panic::AssertUnwindSafe};

use futures_util::FutureExt as _;
use outbox_core::testing::log_conformance::LogCase;

use super::{
    broken::{Broken, Fault},
    memory::{InMemory, PROOFS},
};

const TABLE: &[(Fault, &[LogCase])] = &[
    (Fault::FlushAsksNotForTheOwner, &[LogCase::the_flush_of_a_replaced_leader_changes_nothing]),
    (
        Fault::FlushAsksNotForItsNumber,
        &[LogCase::a_flush_out_of_turn_changes_nothing, LogCase::no_half_of_a_fenced_flush_is_stored],
    ),
    (Fault::FlushAsksNotForTheAnchor, &[LogCase::a_flush_on_another_history_changes_nothing]),
    (
        Fault::UpdateCreatesTheHold,
        &[
            LogCase::an_update_does_not_bring_a_discarded_hold_back,
            LogCase::a_discarded_event_is_not_held_any_more,
        ],
    ),
    (
        Fault::PageHasNoAnchor,
        &[
            LogCase::the_anchor_comes_with_each_page_and_not_as_a_row,
            LogCase::a_history_that_was_replaced_is_noticed,
            LogCase::a_hole_is_forgotten_in_time_and_not_too_early,
            LogCase::nothing_goes_that_a_subscription_has_not_read,
        ],
    ),
    (
        Fault::PageLeavesOtherTopicsOut,
        &[
            LogCase::events_of_other_topics_do_not_look_like_holes,
            LogCase::topics_that_differ_in_case_are_two,
        ],
    ),
    (Fault::PageHasTwoLimits, &[LogCase::holes_and_tail_share_one_limit]),
    (
        Fault::PageForgetsTheHoles,
        &[
            LogCase::an_event_in_the_air_at_the_start_is_not_skipped,
            LogCase::a_crashed_leader_is_replaced_and_its_progress_kept,
            LogCase::a_late_commit_is_not_skipped,
            LogCase::holes_and_tail_share_one_limit,
            LogCase::events_of_other_topics_do_not_look_like_holes,
            LogCase::a_tombstone_is_not_read_as_an_event,
            LogCase::a_hole_is_forgotten_in_time_and_not_too_early,
        ],
    ),
    (Fault::PageHasTombstonesAsNothing, &[LogCase::a_tombstone_is_not_read_as_an_event]),
    (Fault::ScheduledEventsLookReady, &[LogCase::a_scheduled_event_says_so_until_its_time]),
    (
        Fault::InterventionsAreNotTold,
        &[
            LogCase::a_paused_subscription_is_led_by_nobody,
            LogCase::a_pause_is_seen_by_the_leader,
            LogCase::a_requeue_or_discard_is_seen_by_the_leader,
            LogCase::a_flush_takes_no_intervention_back,
            LogCase::a_replayed_event_comes_in_its_order,
        ],
    ),
    (
        Fault::StartForgetsTheGaps,
        &[LogCase::an_event_in_the_air_at_the_start_is_not_skipped, LogCase::a_gap_below_the_start_is_a_hole],
    ),
    (Fault::RegistrationBeginsAnew, &[LogCase::a_second_registration_moves_no_progress]),
    (
        Fault::AnybodyRenews,
        &[
            LogCase::a_lease_is_not_renewed_by_another_relay,
            LogCase::a_released_lease_is_not_waited_for,
            LogCase::a_leader_that_was_replaced_renews_nothing,
        ],
    ),
    (
        Fault::AnybodyReleases,
        &[
            LogCase::a_lease_is_not_released_by_another_relay,
            LogCase::a_leader_that_was_replaced_renews_nothing,
        ],
    ),
    (Fault::AnybodyReports, &[LogCase::a_replaced_leader_reports_nothing]),
    (Fault::AnybodyDescribes, &[LogCase::a_replaced_leader_describes_nothing]),
    (Fault::PausedIsLed, &[LogCase::a_paused_subscription_is_led_by_nobody]),
    (Fault::DelaysAreForgotten, &[LogCase::no_event_is_due_before_its_time]),
    (
        Fault::ReplayIdIsLost,
        &[
            LogCase::nothing_of_a_hold_is_lost,
            LogCase::a_requeued_event_is_due_as_if_new,
            LogCase::a_replayed_event_comes_in_its_order,
        ],
    ),
    (Fault::OneLimitOverAllKeys, &[LogCase::a_large_key_does_not_starve_the_others]),
    (Fault::StoppedForgetsTheDead, &[LogCase::no_stopped_order_is_forgotten]),
    (
        Fault::ReceiptsAreLost,
        &[
            LogCase::no_receipt_is_lost,
            LogCase::a_second_delivery_has_a_receipt_too,
            LogCase::an_event_without_acknowledgement_is_sent_again_once,
            LogCase::an_acknowledged_event_is_not_sent_again,
            LogCase::nothing_goes_before_it_is_acknowledged,
            LogCase::the_receipt_of_a_purged_event_goes_with_it,
        ],
    ),
    (Fault::CapturedEventsAreLost, &[LogCase::an_event_of_the_relays_own_is_not_lost]),
    (
        Fault::WritersAreNotListed,
        &[
            LogCase::an_open_writer_is_listed_until_it_ends,
            LogCase::a_hole_is_forgotten_in_time_and_not_too_early,
        ],
    ),
    (
        Fault::EveryHoleCountsAsFilled,
        &[
            LogCase::only_tombstones_that_went_in_are_proofs,
            LogCase::a_hole_is_forgotten_in_time_and_not_too_early,
        ],
    ),
    (Fault::PurgeForgetsHolds, &[LogCase::nothing_goes_that_is_on_hold]),
    (Fault::PurgeForgetsAwaitedReceipts, &[LogCase::nothing_goes_before_it_is_acknowledged]),
    (
        Fault::PurgeForgetsTheRetention,
        &[LogCase::nothing_goes_within_its_retention, LogCase::nothing_goes_from_the_middle],
    ),
    (Fault::PurgeForgetsTheChunk, &[LogCase::a_chunk_takes_no_more_than_it_was_told]),
    (Fault::ArchiveDeletes, &[LogCase::an_archived_event_is_not_lost]),
    (Fault::SurveyForgetsTheTopics, &[LogCase::nothing_is_pending_that_is_settled_or_held]),
];

/// The cases that fail on a log with this fault, whatever its proof.
async fn noticed_by(fault: Fault) -> BTreeSet<LogCase> {
    let mut failed = BTreeSet::new();
    for proof in PROOFS {
        for case in LogCase::ALL {
            let broken = Broken { memory: InMemory::new(proof), fault };
            if AssertUnwindSafe(case.run(&broken)).catch_unwind().await.is_err() {
                failed.insert(*case);
            }
        }
    }
    failed
}

#[tokio::test(start_paused = true)]
async fn each_fault_is_noticed_by_its_cases_and_by_no_others() {
    let mut wrong = Vec::new();
    for (fault, cases) in TABLE {
        let expected: BTreeSet<LogCase> = cases.iter().copied().collect();
        let found = noticed_by(*fault).await;
        if found != expected {
            wrong.push(format!("{fault:?}: expected {expected:?}, found {found:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
