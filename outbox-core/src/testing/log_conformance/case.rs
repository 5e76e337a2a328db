//! The table of the cases.

use std::{collections::BTreeMap, fmt};

use super::{LogCapabilities, LogCapability, LogFixture, cases};

/// What became of a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It ran to its end.
    Passed,
    /// It was not run: the log or its fixture cannot do this.
    SwitchedOff(LogCapability),
}

macro_rules! table {
    ($($(#[doc = $doc:literal])+ $module:ident::$name:ident [$($need:ident)*],)+) => {
        /// A case, named after the failure that it guards against. Spelled as the test that it becomes, so that
        /// a report, a list and a filter of tests all say the same.
        #[allow(non_camel_case_types, reason = "spelled as the tests that they become")]
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum LogCase {
            $($(#[doc = $doc])+ $name,)+
        }

        impl LogCase {
            /// Every case.
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            /// Its name.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$name => stringify!($name),)+
                }
            }

            /// What it needs of a log and its fixture.
            #[must_use]
            pub fn needs(self) -> &'static [LogCapability] {
                match self {
                    $(Self::$name => &[$(LogCapability::$need,)*],)+
                }
            }

            /// Runs it on a log that is fresh, unless its capabilities switch it off.
            ///
            /// # Panics
            /// Where the case fails.
            pub async fn run(self, fixture: &impl LogFixture) -> Verdict {
                if let Some(lacking) = self.switched_off_by(fixture.capabilities()) {
                    return Verdict::SwitchedOff(lacking);
                }
                match self {
                    $(Self::$name => cases::$module::$name(fixture).await,)+
                }
                Verdict::Passed
            }
        }

        /// Makes a test of each case of [`log_conformance`](crate::testing::log_conformance). Give it the attribute of
        /// a test, and an async function that takes a [`LogCase`](crate::testing::log_conformance::LogCase) and runs
        /// it on a fresh log.
        #[macro_export]
        macro_rules! log_conformance_tests {
            (#$attribute:tt $run:path) => {
                $(
                    #$attribute
                    async fn $name() {
                        $run($crate::testing::log_conformance::LogCase::$name).await;
                    }
                )+
            };
        }
    };
}

table! {
    /// Nothing is read, whatever the start point.
    start::an_empty_log_begins_at_its_floor_wherever_asked [],
    /// The oldest event is the first to come.
    start::the_beginning_skips_no_event [],
    /// What was there before a start from now on does not come.
    start::a_start_from_now_on_brings_nothing_older [],
    /// An event that was stored before the start and commits after it is one of "from now on".
    start::an_event_in_the_air_at_the_start_is_not_skipped [SeveralWriters],
    /// A start in the middle has the numbers below it that nobody has settled as holes.
    start::a_gap_below_the_start_is_a_hole [SeveralWriters],
    /// A start at a time has all that was stored from then on, and no more.
    start::a_start_at_a_time_skips_nothing_younger [MovesTime],
    /// A relay that starts again asks for the same subscription, perhaps with another start point.
    start::a_second_registration_moves_no_progress [],
    /// A leader's statements do not bring back what an operator dropped.
    start::a_dropped_subscription_is_not_made_again_by_its_leader [MovesTime Drops],
    /// Nothing that was never registered is led, nor surveyed.
    start::a_subscription_that_nobody_registered_is_led_by_nobody [],

    /// Two relays would publish everything twice.
    lease::a_second_relay_does_not_lead_beside_the_first [],
    /// A renewal by the leader counts from now.
    lease::a_renewed_lease_does_not_end_at_its_old_time [MovesTime],
    /// What another relay sends renews nothing and tells nothing.
    lease::a_lease_is_not_renewed_by_another_relay [],
    /// A graceful stop hands over at once.
    lease::a_released_lease_is_not_waited_for [],
    /// A release by another than the leader does nothing.
    lease::a_lease_is_not_released_by_another_relay [],
    /// A crashed leader's work is gone on with, from where it was stored.
    lease::a_crashed_leader_is_replaced_and_its_progress_kept [MovesTime],
    /// A leader that was frozen comes back after its lease was taken.
    lease::a_leader_that_was_replaced_renews_nothing [MovesTime],
    /// While an operator has paused it, nobody begins to lead.
    lease::a_paused_subscription_is_led_by_nobody [Pauses],
    /// The table was truncated or restored by hand.
    lease::nobody_leads_where_the_anchor_is_gone [LosesEvents],
    /// The counter was set back: numbers at or below the position would be given out a second time.
    lease::nobody_leads_from_a_position_beyond_the_counter [],

    /// A leader that was frozen sends the flush that it had ready.
    fence::the_flush_of_a_replaced_leader_changes_nothing [],
    /// A flush whose answer was lost is sent again, or one comes from another time.
    fence::a_flush_out_of_turn_changes_nothing [],
    /// The database is not the one that was read.
    fence::a_flush_on_another_history_changes_nothing [],
    /// Nothing of a flush that was fenced off is stored: no hold, no receipt, no event.
    fence::no_half_of_a_fenced_flush_is_stored [MovesTime],
    /// One who gave its lease up has no say any more.
    fence::a_flush_after_a_release_changes_nothing [],
    /// Position, anchor, holes and number come back as they were stored.
    fence::stored_progress_comes_back_as_it_was [],
    /// What a leader stores is its own subscription's.
    fence::a_flush_touches_no_other_subscription [],
    /// An event that the relay stores itself, such as a copy of a dead letter, is one of the log.
    fence::an_event_of_the_relays_own_is_not_lost [],

    /// The row at the position proves that the log is still the one that was read.
    read::the_anchor_comes_with_each_page_and_not_as_a_row [],
    /// A failover to a replica that was behind: numbers are given out again.
    read::a_history_that_was_replaced_is_noticed [LosesEvents],
    /// A number that was drawn earlier commits later.
    read::a_late_commit_is_not_skipped [SeveralWriters],
    /// Nobody sees what is not committed.
    read::an_uncommitted_event_is_not_read [],
    /// What was rolled back never was.
    read::a_rolled_back_event_is_not_read [],
    /// Rows at holes and rows behind the position are one page: were either cut apart, order would break.
    read::holes_and_tail_share_one_limit [],
    /// Page by page, whatever the limit.
    read::no_event_between_two_full_pages_is_skipped [],
    /// Left out, they would look like holes.
    read::events_of_other_topics_do_not_look_like_holes [],
    /// Topics are told apart letter by letter.
    read::topics_that_differ_in_case_are_two [],
    /// Payload, headers and all else, also beyond ASCII.
    read::nothing_of_an_event_is_lost_in_the_log [],
    /// An event for later says so until its time.
    read::a_scheduled_event_says_so_until_its_time [MovesTime],
    /// A relay without events asks too.
    read::an_empty_page_is_no_error [],

    /// The hole of a transaction that is still open may be filled yet.
    proof::an_open_writer_is_listed_until_it_ends [WriterList SeveralWriters],
    /// A transaction that began later has drawn none of the numbers below the barrier.
    proof::a_writer_that_began_later_does_not_hold_up_the_proof [WriterList SeveralWriters],
    /// Only what went in proves anything.
    proof::only_tombstones_that_went_in_are_proofs [Tombstones SeveralWriters],
    /// A tombstone is no event, and it stays.
    proof::a_tombstone_is_not_read_as_an_event [Tombstones SeveralWriters],
    /// With every proof: the number of an open transaction stays a hole, one that was rolled back is forgotten.
    proof::a_hole_is_forgotten_in_time_and_not_too_early [SeveralWriters],

    /// All of a hold, and its event with the id of a replay.
    hold::nothing_of_a_hold_is_lost [],
    /// An operator's discard stays, whatever the leader still knows.
    hold::an_update_does_not_bring_a_discarded_hold_back [],
    /// An insert, an update and a delete in one flush.
    hold::no_change_of_a_hold_is_forgotten [],
    /// The database's clock decides.
    hold::no_event_is_due_before_its_time [MovesTime],
    /// What waits for no time is in no list of due events.
    hold::no_dead_or_blocked_event_is_due [MovesTime],
    /// In order of seq, and no more than asked for.
    hold::due_events_come_in_order [],
    /// Only blocked ones, only of these keys, the first ones of each, in order of seq.
    hold::blocked_events_come_in_order [],
    /// One aggregate with very many blocked events leaves room for the others.
    hold::a_large_key_does_not_starve_the_others [],
    /// The next leader has to know which orders are stopped, and by what.
    hold::no_stopped_order_is_forgotten [],
    /// Type and id are two texts, told apart letter by letter.
    hold::no_two_orders_are_taken_for_one [],
    /// A hold whose event is gone keeps none of the others from coming.
    hold::a_hold_without_an_event_is_not_in_the_way [LosesEvents],
    /// Each subscription has holds of its own.
    hold::the_holds_of_two_subscriptions_are_apart [],

    /// What was published is remembered.
    receipt::no_receipt_is_lost [ShowsWhatIsStored],
    /// A second delivery has the new id.
    receipt::a_second_delivery_has_a_receipt_too [ShowsWhatIsStored],
    /// Overdue ones only, and once in each time.
    receipt::an_event_without_acknowledgement_is_sent_again_once [MovesTime],
    /// What a consumer has acknowledged is done.
    receipt::an_acknowledged_event_is_not_sent_again [MovesTime Acknowledges],
    /// What is on hold goes out by itself.
    receipt::an_event_on_hold_is_not_sent_again_beside_it [MovesTime],

    /// A leader that does not hear of a pause goes on.
    intervention::a_pause_is_seen_by_the_leader [Pauses],
    /// A leader that does not hear of a requeue or a discard goes on with what it remembers.
    intervention::a_requeue_or_discard_is_seen_by_the_leader [Requeues],
    /// The count is an operator's, not the leader's.
    intervention::a_flush_takes_no_intervention_back [Pauses],
    /// Dead becomes due, its attempts and errors are forgotten, its place in the order and its replay stay.
    intervention::a_requeued_event_is_due_as_if_new [Requeues],
    /// What is not dead has a time of its own.
    intervention::a_requeue_changes_no_hold_that_is_not_dead [Requeues],
    /// A discarded one is settled.
    intervention::a_discarded_event_is_not_held_any_more [Requeues],
    /// In its aggregate's order, with the id that makes consumers process it again.
    intervention::a_replayed_event_comes_in_its_order [Replays],
    /// What is not settled will come anyway.
    intervention::a_replay_does_not_double_what_is_not_settled [Replays],

    /// Somebody may still want all of it.
    purge::nothing_goes_while_there_is_no_subscription [],
    /// The slowest reader counts, and the row at its position is its anchor.
    purge::nothing_goes_that_a_subscription_has_not_read [],
    /// A hole may be filled yet, or is an event that is not published yet.
    purge::nothing_goes_above_a_hole [],
    /// Also a dead one: an operator may still want it.
    purge::nothing_goes_that_is_on_hold [],
    /// The log keeps what a consumer has not acknowledged.
    purge::nothing_goes_before_it_is_acknowledged [Acknowledges],
    /// By the database's clock, from when it was stored.
    purge::nothing_goes_within_its_retention [MovesTime],
    /// An old event behind a younger one waits for it: what goes is a prefix.
    purge::nothing_goes_from_the_middle [MovesTime],
    /// Small transactions, one after the other.
    purge::a_chunk_takes_no_more_than_it_was_told [],
    /// Moved, not deleted.
    purge::an_archived_event_is_not_lost [Archives],
    /// Else a new subscription would take what is gone for holes.
    purge::a_new_subscription_does_not_begin_below_the_floor [],
    /// Nothing is known of what is gone.
    purge::the_receipt_of_a_purged_event_goes_with_it [ShowsWhatIsStored],

    /// Other processes see that the broker is away, and why.
    report::a_state_is_shown_with_its_error [ShowsWhatIsStored],
    /// A stale leader's word is not the subscription's.
    report::a_replaced_leader_reports_nothing [ShowsWhatIsStored],
    /// A leader does not undo what an operator did.
    report::a_report_does_not_end_a_pause [ShowsWhatIsStored Pauses],
    /// Leader, topics, order.
    report::a_description_is_shown [ShowsWhatIsStored],
    /// Nor does it describe it.
    report::a_replaced_leader_describes_nothing [ShowsWhatIsStored],
    /// Position, holes, and holds by state.
    report::the_survey_says_where_the_subscription_stands [],
    /// What is settled, held or of another topic is not pending.
    report::nothing_is_pending_that_is_settled_or_held [],
    /// The age of the oldest one that is.
    report::the_oldest_pending_event_has_its_age [MovesTime],
}

impl LogCase {
    /// What keeps it from being run, if anything does.
    #[must_use]
    pub fn switched_off_by(self, capabilities: LogCapabilities) -> Option<LogCapability> {
        self.needs().iter().copied().find(|need| !capabilities.has(*need))
    }
}

impl fmt::Display for LogCase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What became of each case: one line each, as text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogReport {
    /// By case.
    pub verdicts: BTreeMap<LogCase, Verdict>,
}

impl LogReport {
    /// The cases that were not run, and what each lacked.
    pub fn switched_off(&self) -> impl Iterator<Item = (LogCase, LogCapability)> {
        self.verdicts.iter().filter_map(|(case, verdict)| match verdict {
            Verdict::Passed => None,
            Verdict::SwitchedOff(lacking) => Some((*case, *lacking)),
        })
    }
}

impl fmt::Display for LogReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (case, verdict) in &self.verdicts {
            match verdict {
                Verdict::Passed => writeln!(f, "{case}: passed")?,
                Verdict::SwitchedOff(lacking) => writeln!(f, "{case}: switched off, it needs {lacking}")?,
            }
        }
        Ok(())
    }
}
