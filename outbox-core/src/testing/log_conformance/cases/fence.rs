//! Whose flush counts, and that it counts as a whole.

use std::time::Duration;

use uuid::Uuid;

use crate::{
    log::{Due, EventLog, Flush, Flushed, HoldState, Receipt},
    message::Seq,
    publisher::Topics,
    testing::log_conformance::{
        LogFixture,
        leader::{Leader, event, hold, inserts, message_of, name, numbers, ranges, store},
    },
};

/// A flush that was fenced off has changed nothing that the next leader sees.
async fn changes_nothing<F: LogFixture>(fixture: &F, leader: &Leader<F::Log>, flush: &Flush) {
    assert_eq!(leader.send(flush).await, Flushed::Fenced);
    let log = fixture.log().await;
    assert_eq!(log.survey(&leader.name, &Topics::All).await.expect("a survey").position, 0);
}

pub(crate) async fn the_flush_of_a_replaced_leader_changes_nothing(fixture: &impl LogFixture) {
    let (seqs, last) = store(fixture, 1).await;
    let stale = Leader::of(fixture, "conformance").await;
    stale.log.release(&stale.name, stale.owner).await.expect("to release");
    let mut leader = Leader::of(fixture, "conformance").await;
    let flush = Flush { position: seqs[0], anchor: Some(last), ..stale.flush() };
    changes_nothing(fixture, &stale, &flush).await;
    leader.stores(flush).await;
}

pub(crate) async fn a_flush_out_of_turn_changes_nothing(fixture: &impl LogFixture) {
    let (seqs, last) = store(fixture, 1).await;
    let mut leader = Leader::of(fixture, "conformance").await;
    let first = leader.flush();
    leader.stores(first.clone()).await;
    let moved = Flush { position: seqs[0], anchor: Some(last), ..first };
    changes_nothing(fixture, &leader, &moved).await;
    changes_nothing(fixture, &leader, &Flush { previous_flush_no: 2, ..moved.clone() }).await;
    leader.stores(Flush { previous_flush_no: 1, ..moved }).await;
}

pub(crate) async fn a_flush_on_another_history_changes_nothing(fixture: &impl LogFixture) {
    let (seqs, last) = store(fixture, 1).await;
    let leader = Leader::of(fixture, "conformance").await;
    let moved = |position: Seq, anchor| Flush { position, anchor: Some(anchor), ..leader.flush() };
    changes_nothing(fixture, &leader, &moved(seqs[0], Uuid::now_v7())).await;
    changes_nothing(fixture, &leader, &moved(seqs[0] + 1, last)).await;
    assert_eq!(leader.send(&moved(seqs[0], last)).await, Flushed::Stored);
}

pub(crate) async fn no_half_of_a_fenced_flush_is_stored(fixture: &impl LogFixture) {
    let (seqs, last) = store(fixture, 2).await;
    let mut leader = Leader::of(fixture, "conformance").await;
    leader.stores(leader.flush()).await;
    let late = Flush {
        position: seqs[1],
        anchor: Some(last),
        previous_flush_no: 0,
        holds: inserts([hold(seqs[0], HoldState::Scheduled, Due::After(Duration::ZERO))]),
        receipts: vec![Receipt { seq: seqs[1], broker_id: None, ack_within: Some(Duration::from_secs(1)) }],
        captured: vec![event("copy")],
        ..leader.flush()
    };
    changes_nothing(fixture, &leader, &late).await;
    fixture.pass(Duration::from_secs(5)).await;
    assert_eq!(leader.due(10).await, [], "no hold");
    let resent = leader.log.resend_unacknowledged(&leader.name, Duration::from_secs(1), 10).await;
    assert_eq!(resent.expect("an answer"), 0, "no receipt");
    assert_eq!(numbers(&leader.read(10).await.rows), seqs, "no event");
}

pub(crate) async fn a_flush_after_a_release_changes_nothing(fixture: &impl LogFixture) {
    let (seqs, last) = store(fixture, 1).await;
    let leader = Leader::of(fixture, "conformance").await;
    leader.log.release(&leader.name, leader.owner).await.expect("to release");
    changes_nothing(fixture, &leader, &Flush { position: seqs[0], anchor: Some(last), ..leader.flush() })
        .await;
}

pub(crate) async fn stored_progress_comes_back_as_it_was(fixture: &impl LogFixture) {
    let (seqs, last) = store(fixture, 9).await;
    let mut leader = Leader::of(fixture, "conformance").await;
    leader.stands_at(seqs[8], last, [seqs[0], seqs[2], seqs[3], seqs[4], seqs[7]]).await;
    let stored = leader.progress.clone();
    let next = leader.replaced(fixture).await;
    assert_eq!(next.progress, stored);
    assert_eq!(next.progress.flush_no, 1);
}

pub(crate) async fn a_flush_touches_no_other_subscription(fixture: &impl LogFixture) {
    let (seqs, last) = store(fixture, 2).await;
    let mut leader = Leader::of(fixture, "conformance").await;
    let other = Leader::of(fixture, "conformance-2").await;
    let flush = Flush {
        position: seqs[1],
        anchor: Some(last),
        holds: inserts([hold(seqs[0], HoldState::Dead, Due::Never)]),
        ..leader.flush()
    };
    leader.stores(flush).await;
    let before = other.progress.clone();
    let after = other.replaced(fixture).await;
    assert_eq!(after.progress, before);
    let survey = after.log.survey(&name("conformance-2"), &Topics::All).await.expect("a survey");
    assert_eq!((survey.position, survey.holds.dead), (0, 0));
}

pub(crate) async fn an_event_of_the_relays_own_is_not_lost(fixture: &impl LogFixture) {
    let (seqs, last) = store(fixture, 1).await;
    let mut leader = Leader::of(fixture, "conformance").await;
    let copies = [event("copy of one"), event("copy of another")];
    let flush = Flush { position: seqs[0], anchor: Some(last), captured: copies.to_vec(), ..leader.flush() };
    leader.stores(flush).await;
    let page = leader.read_from(seqs[0], &ranges([]), &Topics::All, 10).await;
    assert_eq!(page.rows.len(), copies.len());
    for (row, copy) in page.rows.iter().zip(&copies) {
        let message = message_of(row);
        assert_eq!((message.id, &message.aggregate_id), (copy.id, &copy.aggregate_id));
        assert_eq!((&message.topic, &message.payload), (&copy.topic, &copy.payload));
    }
}
