//! The rules of a page, one by one.

use std::{collections::BTreeSet, time::Duration};

use outbox_core::{
    log::{Barrier, Page, Row, RowKind, StoredProgress},
    message::{Message, Seq},
    progress::{Absence, HoleClosing, NextStep, Progress, Ripening, SeqRanges},
};
use tokio::time::Instant;
use uuid::Uuid;

const MANY: usize = 100;

fn id(seq: Seq) -> Uuid {
    Uuid::from_u128(u128::from(seq.unsigned_abs()))
}

fn event(seq: Seq) -> Row {
    let mut message = Message::new(id(seq), "/rules", "topic", "type", "null");
    message.seq = seq;
    Row { seq, id: id(seq), kind: RowKind::Event { message: Box::new(message), scheduled_for: None } }
}

fn page(anchor: Seq, rows: impl IntoIterator<Item = Row>) -> Page {
    Page { anchor: (anchor > 0).then(|| id(anchor)), rows: rows.into_iter().collect(), ..Page::default() }
}

fn ranges(text: &str) -> SeqRanges {
    text.parse().expect("ranges")
}

/// A progress that has read these rows.
fn having_read(seqs: &[Seq]) -> Progress {
    let mut progress = Progress::load(StoredProgress::default());
    let rows = seqs.iter().map(|seq| event(*seq));
    progress.absorb(page(0, rows), MANY, Absence::ProvesNothing, MANY).expect("no anchor yet");
    progress
}

fn seqs(events: &[outbox_core::progress::ReadEvent]) -> Vec<Seq> {
    events.iter().map(|event| event.message.seq).collect()
}

#[test]
fn a_gap_becomes_unseen_and_a_row_that_shows_there_is_delivered() {
    let mut progress = having_read(&[2, 5]);
    assert_eq!(progress.unseen(), &ranges("1,3-4"));
    let absorbed =
        progress.absorb(page(5, [event(3), event(6)]), MANY, Absence::ProvesNothing, MANY).expect("anchored");
    assert_eq!(seqs(&absorbed.events), [3, 6]);
    assert_eq!(progress.unseen(), &ranges("1,4"));
    assert_eq!(progress.unsettled(), &ranges("2-3,5-6"));
    assert_eq!(progress.position(), 6);
}

#[test]
fn a_lost_anchor_lets_nothing_of_the_page_in() {
    for found in [None, Some(id(99))] {
        let mut progress = having_read(&[2, 5]);
        let before = progress.clone();
        let wrong = Page { anchor: found, rows: vec![event(6)], ..Page::default() };
        let lost = progress.absorb(wrong, MANY, Absence::Proves, MANY).expect_err("another log");
        assert_eq!((lost.position, lost.expected, lost.found), (5, id(5), found));
        assert_eq!(progress, before);
    }
}

#[test]
fn stored_holes_are_the_unseen_and_the_unsettled_and_all_of_them_are_asked_for_again() {
    let mut progress = having_read(&[2, 3, 5]);
    progress.settle([3]);
    let flush = progress.to_flush(Vec::new());
    assert_eq!((flush.position, flush.anchor, &flush.holes), (5, Some(id(5)), &ranges("1-2,4-5")));
    let stored = StoredProgress {
        position: 5,
        anchor: flush.anchor,
        holes: flush.holes,
        flush_no: 1,
        interventions: 0,
    };
    let mut loaded = Progress::load(stored);
    assert_eq!(loaded.unseen(), &ranges("1-2,4-5"));
    let rows = page(5, [event(2), event(5), event(7)]);
    let absorbed = loaded.absorb(rows, MANY, Absence::ProvesNothing, MANY).expect("anchored");
    assert_eq!(seqs(&absorbed.events), [2, 5, 7], "the unsettled come first, and 3 does not come again");
}

#[test]
fn a_full_page_says_nothing_of_what_lies_above_its_last_row() {
    let mut progress = having_read(&[2, 4, 6, 8]);
    let absorbed = progress.absorb(page(8, [event(3)]), 1, Absence::ProvesUpTo(100), MANY).expect("anchored");
    assert!(absorbed.more);
    assert_eq!(progress.unseen(), &ranges("5,7"), "1 is gone, 5 and 7 may have been cut off");
    let absorbed = progress.absorb(page(8, []), 1, Absence::ProvesUpTo(5), MANY).expect("anchored");
    assert!(absorbed.moved && !absorbed.more);
    assert_eq!(progress.unseen(), &ranges("7"), "the proof ends at 5");
}

#[test]
fn a_proof_also_covers_the_gaps_of_the_page_that_completes_it() {
    let mut progress = having_read(&[2]);
    let absorbed =
        progress.absorb(page(2, [event(5), event(9)]), MANY, Absence::ProvesUpTo(6), MANY).expect("anchored");
    assert_eq!(progress.unseen(), &ranges("7-8"));
    assert_eq!(absorbed.new_holes, ranges("7-8"));
}

#[test]
fn tombstones_and_other_topics_settle_at_once() {
    let mut progress = having_read(&[]);
    let other = Row { seq: 1, id: id(1), kind: RowKind::OtherTopic { topic: "other".into() } };
    let tombstone = Row { seq: 2, id: id(2), kind: RowKind::Tombstone };
    let absorbed =
        progress.absorb(page(0, [other, tombstone]), MANY, Absence::ProvesNothing, MANY).expect("no anchor");
    assert!(absorbed.events.is_empty() && absorbed.moved);
    assert_eq!(absorbed.other_topics, BTreeSet::from(["other".to_owned()]));
    assert!(progress.unsettled().is_empty() && progress.unseen().is_empty());
    assert_eq!(progress.to_flush(Vec::new()).anchor, Some(id(2)));
}

#[test]
fn at_the_bound_of_holes_reading_waits_and_holes_still_close() {
    let mut progress = having_read(&[2, 4]);
    let rows = page(4, [event(3), event(5), event(7), event(8)]);
    let absorbed = progress.absorb(rows, 4, Absence::ProvesNothing, 1).expect("anchored");
    assert_eq!(seqs(&absorbed.events), [3, 5], "up to the next gap");
    assert!(absorbed.at_hole_bound);
    assert_eq!((progress.position(), progress.unseen()), (5, &ranges("1")));
    let rows = page(5, [event(7), event(8)]);
    let absorbed = progress.absorb(rows, MANY, Absence::ProvesUpTo(100), 1).expect("anchored");
    assert_eq!(seqs(&absorbed.events), [7, 8]);
    assert!(progress.unseen().is_empty());
}

#[test]
fn with_one_writer_at_a_time_gaps_are_no_holes() {
    let mut progress =
        Progress::load(StoredProgress { holes: ranges("1-3"), position: 3, ..Default::default() });
    let absorbed =
        progress.absorb(page(0, [event(2), event(9)]), 2, Absence::Proves, MANY).expect("no anchor");
    assert!(absorbed.new_holes.is_empty());
    assert!(progress.unseen().is_empty());
    assert_eq!(progress.unsettled(), &ranges("2,9"));
}

#[test]
fn a_position_that_was_a_hole_becomes_the_anchor_when_its_row_shows() {
    let mut progress =
        Progress::load(StoredProgress { position: 3, holes: ranges("3"), ..Default::default() });
    progress.absorb(page(3, [event(3)]), MANY, Absence::ProvesNothing, MANY).expect("no anchor yet");
    assert_eq!(progress.to_flush(Vec::new()).anchor, Some(id(3)));
    assert!(progress.absorb(Page::default(), MANY, Absence::ProvesNothing, MANY).is_err());
}

#[test]
fn a_flush_that_was_sent_before_the_barrier_does_not_make_it_durable() {
    let unseen = ranges("1");
    let mut closing = HoleClosing::default();
    assert_eq!(closing.next_step(&SeqRanges::new()), NextStep::Nothing);
    assert_eq!(closing.next_step(&unseen), NextStep::ReadBarrier);
    closing.flush_sent();
    closing.barrier_read(Barrier { upto: 5, writers: ["7/1".to_owned()].into() });
    closing.flush_stored();
    assert_eq!(closing.next_step(&unseen), NextStep::Flush);
    closing.flush_sent();
    assert_eq!(closing.next_step(&unseen), NextStep::Flush, "sent is not stored");
    closing.writers_listed(&BTreeSet::new());
    assert_eq!(closing.absence(), Absence::ProvesNothing, "writers listed too early prove nothing");
    closing.flush_stored();
    assert_eq!(closing.next_step(&unseen), NextStep::ListWriters);
    closing.writers_listed(&["7/1".to_owned(), "8/1".to_owned()].into());
    assert_eq!(closing.absence(), Absence::ProvesNothing, "one of them is still there");
    closing.writers_listed(&["8/1".to_owned()].into());
    assert_eq!((closing.absence(), closing.next_step(&unseen)), (Absence::ProvesUpTo(5), NextStep::Read));
    closing.absorbed(&ranges("5,9"));
    assert_eq!(closing.absence(), Absence::ProvesUpTo(5), "the page was full: 5 is still open");
    closing.absorbed(&ranges("9"));
    assert_eq!(closing.next_step(&unseen), NextStep::ReadBarrier);
}

#[test]
fn an_error_drops_a_proof_in_every_state() {
    let unseen = ranges("1");
    for steps in 1..=3 {
        let mut closing = HoleClosing::default();
        closing.barrier_read(Barrier::default());
        if steps > 1 {
            closing.flush_sent();
            closing.flush_stored();
        }
        if steps > 2 {
            closing.writers_listed(&BTreeSet::new());
        }
        closing.reset();
        assert_eq!(
            (closing.next_step(&unseen), closing.absence()),
            (NextStep::ReadBarrier, Absence::ProvesNothing)
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_hole_is_ripe_after_its_own_grace_and_only_while_it_is_unseen() {
    let (now, second) = (Instant::now(), Duration::from_secs(1));
    let mut ripening = Ripening::new(10 * second);
    ripening.met(&ranges("1-3"), now);
    ripening.met(&ranges("7"), now + second / 2);
    ripening.met(&ranges("9"), now + 5 * second);
    let unseen = ranges("1,3,7,9");
    assert!(ripening.ripe(&unseen, 100, now + 10 * second).is_empty(), "7 is younger, and shares its age");
    assert_eq!(ripening.next(now), Some(now + second / 2 + 10 * second));
    assert_eq!(ripening.ripe(&unseen, 2, now + 11 * second), ranges("1,3"), "lowest first");
    assert_eq!(ripening.ripe(&unseen, 100, now + 11 * second), ranges("1,3,7"));
    assert_eq!(ripening.ripe(&ranges("3,9"), 100, now + 15 * second), ranges("3,9"));
    assert_eq!(
        ripening.next(now + 15 * second),
        Some(now + 15 * second),
        "what could not be filled is ripe still"
    );
    assert!(ripening.ripe(&SeqRanges::new(), 100, now + 15 * second).is_empty());
    assert_eq!(ripening.next(now), None);
}

#[test]
fn nothing_is_concluded_above_the_last_row_of_a_page_that_was_cut_for_its_size() {
    let mut progress = Progress::load(StoredProgress::default());
    let cut = Page { is_cut: true, ..page(0, [event(1), event(3)]) };
    let absorbed = progress.absorb(cut, 100, Absence::ProvesNothing, 100).expect("no anchor yet");
    assert!(absorbed.more, "another read brings the rest");
    let mut unseen = SeqRanges::new();
    unseen.insert(2);
    assert_eq!(progress.unseen(), &unseen);
    unseen.insert_range(8..=9);
    let stored = StoredProgress {
        position: 10,
        anchor: Some(id(10)),
        holes: unseen.clone(),
        ..StoredProgress::default()
    };
    let mut progress = Progress::load(stored);
    let cut = Page { is_cut: true, ..page(10, [event(2)]) };
    progress.absorb(cut, 100, Absence::Proves, 100).expect("the same log");
    unseen.remove(2);
    assert_eq!(progress.unseen(), &unseen, "8 and 9 may be in what was left out");
}
