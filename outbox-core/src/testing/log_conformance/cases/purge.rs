//! What purge takes, and what it leaves because somebody still needs it.

use std::time::Duration;

use crate::{
    log::{
        AfterRetention, Due, EventLog as _, Flush, HoldChange, HoldState, PurgeRequest, Purged, Receipt,
        StartPoint,
    },
    message::Seq,
    publisher::Topics,
    testing::log_conformance::{
        LogFixture, Operation,
        leader::{Leader, hold, inserts, name, numbers, ranges, store},
    },
};

const HOUR: Duration = Duration::from_secs(3_600);
const ALL: PurgeRequest = PurgeRequest { keep: Duration::ZERO, then: AfterRetention::Delete, chunk: 100 };

async fn purge(fixture: &impl LogFixture, request: PurgeRequest) -> Purged {
    fixture.log().await.purge(request).await.expect("to purge")
}

/// What the log still has.
async fn left(fixture: &impl LogFixture) -> Vec<Seq> {
    let reader = Leader::from(fixture, "onlooker", StartPoint::Now).await;
    let page = reader.read_from(0, &ranges([]), &Topics::All, 100).await;
    numbers(&page.rows)
}

/// So many events, and a leader that is done with all of them.
async fn done<F: LogFixture>(fixture: &F, count: usize) -> (Leader<F::Log>, Vec<Seq>) {
    let (seqs, last) = store(fixture, count).await;
    let mut leader = Leader::of(fixture, "conformance").await;
    leader.stands_at(seqs[count - 1], last, []).await;
    (leader, seqs)
}

pub(crate) async fn nothing_goes_while_there_is_no_subscription(fixture: &impl LogFixture) {
    let (seqs, _) = store(fixture, 3).await;
    let purged = purge(fixture, ALL).await;
    assert_eq!((purged.removed, purged.floor, purged.more), (0, 0, false));
    assert_eq!(left(fixture).await, seqs);
}

pub(crate) async fn nothing_goes_that_a_subscription_has_not_read(fixture: &impl LogFixture) {
    let (seqs, _) = store(fixture, 3).await;
    let mut slow = Leader::of(fixture, "slow").await;
    let (_, later) = done(fixture, 3).await;
    assert_eq!(purge(fixture, ALL).await.removed, 0, "one has read nothing yet");
    let page = slow.read(10).await;
    slow.stands_at(seqs[2], page.rows[2].id, []).await;
    let purged = purge(fixture, ALL).await;
    assert_eq!((purged.removed, purged.floor), (2, seqs[1]));
    assert_eq!(
        left(fixture).await,
        [seqs[2..].to_vec(), later].concat(),
        "the row at a position is the anchor"
    );
    assert_eq!(slow.read(10).await.anchor, slow.progress.anchor);
}

pub(crate) async fn nothing_goes_above_a_hole(fixture: &impl LogFixture) {
    let (seqs, last) = store(fixture, 6).await;
    let mut leader = Leader::of(fixture, "conformance").await;
    leader.stands_at(seqs[5], last, [seqs[2], seqs[3]]).await;
    assert_eq!(purge(fixture, ALL).await.floor, seqs[1]);
    assert_eq!(left(fixture).await, seqs[2..]);
}

pub(crate) async fn nothing_goes_that_is_on_hold(fixture: &impl LogFixture) {
    let (mut leader, seqs) = done(fixture, 6).await;
    leader.stores_holds(inserts([hold(seqs[2], HoldState::Dead, Due::Never)])).await;
    assert_eq!(purge(fixture, ALL).await.floor, seqs[1]);
    leader.stores_holds(vec![HoldChange::Delete(seqs[2])]).await;
    assert_eq!(purge(fixture, ALL).await.floor, seqs[4]);
}

pub(crate) async fn nothing_goes_before_it_is_acknowledged(fixture: &impl LogFixture) {
    let (mut leader, seqs) = done(fixture, 6).await;
    let receipts = vec![
        Receipt { seq: seqs[1], broker_id: None, ack_within: None },
        Receipt { seq: seqs[2], broker_id: None, ack_within: Some(HOUR) },
    ];
    let flush = Flush { receipts, ..leader.flush() };
    leader.stores(flush).await;
    assert_eq!(purge(fixture, ALL).await.floor, seqs[1]);
    fixture.operate(&leader.name, Operation::Acknowledge(seqs[2])).await;
    assert_eq!(purge(fixture, ALL).await.floor, seqs[4]);
}

pub(crate) async fn nothing_goes_within_its_retention(fixture: &impl LogFixture) {
    let (_, old) = done(fixture, 3).await;
    let hour = PurgeRequest { keep: HOUR, ..ALL };
    assert_eq!(purge(fixture, hour).await.removed, 0);
    fixture.pass(2 * HOUR).await;
    let purged = purge(fixture, hour).await;
    assert_eq!((purged.removed, purged.floor), (2, old[1]));
}

pub(crate) async fn nothing_goes_from_the_middle(fixture: &impl LogFixture) {
    let (old, _) = store(fixture, 3).await;
    fixture.pass(2 * HOUR).await;
    let (_, young) = done(fixture, 3).await;
    let purged = purge(fixture, PurgeRequest { keep: HOUR, ..ALL }).await;
    assert_eq!((purged.removed, purged.floor), (3, old[2]));
    assert_eq!(left(fixture).await, young);
}

pub(crate) async fn a_chunk_takes_no_more_than_it_was_told(fixture: &impl LogFixture) {
    let (_, seqs) = done(fixture, 6).await;
    let two = PurgeRequest { chunk: 2, ..ALL };
    assert_eq!(purge(fixture, two).await, Purged { removed: 2, floor: seqs[1], more: true });
    assert_eq!(purge(fixture, two).await, Purged { removed: 2, floor: seqs[3], more: true });
    assert_eq!(purge(fixture, two).await, Purged { removed: 1, floor: seqs[4], more: false });
    assert_eq!(purge(fixture, two).await, Purged { removed: 0, floor: seqs[4], more: false });
}

pub(crate) async fn an_archived_event_is_not_lost(fixture: &impl LogFixture) {
    let (_, seqs) = done(fixture, 4).await;
    let purged = purge(fixture, PurgeRequest { then: AfterRetention::Archive, ..ALL }).await;
    assert_eq!(purged.removed, 3);
    assert_eq!(fixture.archived().await, seqs[..3]);
    assert_eq!(left(fixture).await, seqs[3..]);
}

pub(crate) async fn a_new_subscription_does_not_begin_below_the_floor(fixture: &impl LogFixture) {
    let (_, seqs) = done(fixture, 4).await;
    let purged = purge(fixture, ALL).await;
    for (subscription, start) in [("beginning", StartPoint::Beginning), ("now", StartPoint::Now)] {
        let leader = Leader::from(fixture, subscription, start).await;
        assert!(leader.progress.position >= purged.floor, "{start:?} begins at {}", leader.progress.position);
        assert_eq!(leader.progress.holes, ranges([]), "{start:?}: what was purged is no hole");
    }
    let beginning = Leader { name: name("beginning"), ..Leader::of(fixture, "another").await };
    assert_eq!(numbers(&beginning.read(10).await.rows), seqs[3..]);
}

pub(crate) async fn the_receipt_of_a_purged_event_goes_with_it(fixture: &impl LogFixture) {
    let (mut leader, seqs) = done(fixture, 3).await;
    let receipt = |seq| Receipt { seq, broker_id: None, ack_within: None };
    let flush = Flush { receipts: seqs.iter().copied().map(receipt).collect(), ..leader.flush() };
    leader.stores(flush).await;
    assert_eq!(purge(fixture, ALL).await.floor, seqs[1]);
    let receipts = fixture.stored(&leader.name).await.receipts;
    assert_eq!(receipts.into_keys().collect::<Vec<_>>(), seqs[2..]);
}
