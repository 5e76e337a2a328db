//! What is remembered of what was published.

use std::time::Duration;

use crate::{
    log::{Due, EventLog, Flush, HoldState, Receipt},
    message::Seq,
    testing::log_conformance::{
        LogFixture, Operation, ReceiptView,
        leader::{Leader, held_numbers, hold, inserts, store},
    },
};

const HOUR: Duration = Duration::from_secs(3_600);

fn receipt(seq: Seq, broker_id: Option<&str>, ack_within: Option<Duration>) -> Receipt {
    Receipt { seq, broker_id: broker_id.map(str::to_owned), ack_within }
}

/// A leader that has published these events.
async fn published<F: LogFixture>(fixture: &F, receipts: Vec<Receipt>) -> Leader<F::Log> {
    let mut leader = Leader::of(fixture, "conformance").await;
    let flush = Flush { receipts, ..leader.flush() };
    leader.stores(flush).await;
    leader
}

async fn resend(leader: &Leader<impl EventLog>) -> u64 {
    leader.log.resend_unacknowledged(&leader.name, HOUR, 10).await.expect("an answer")
}

pub(crate) async fn no_receipt_is_lost(fixture: &impl LogFixture) {
    let (seqs, _) = store(fixture, 2).await;
    let receipts = vec![receipt(seqs[0], Some("m-1"), None), receipt(seqs[1], None, Some(HOUR))];
    let leader = published(fixture, receipts).await;
    let stored = fixture.stored(&leader.name).await.receipts;
    let expected = [
        (seqs[0], ReceiptView { broker_id: Some("m-1".to_owned()), is_awaited: false }),
        (seqs[1], ReceiptView { broker_id: None, is_awaited: true }),
    ];
    assert_eq!(stored.into_iter().collect::<Vec<_>>(), expected);
}

pub(crate) async fn a_second_delivery_has_a_receipt_too(fixture: &impl LogFixture) {
    let (seqs, _) = store(fixture, 1).await;
    let mut leader = published(fixture, vec![receipt(seqs[0], Some("m-1"), None)]).await;
    let flush = Flush { receipts: vec![receipt(seqs[0], Some("m-2"), Some(HOUR))], ..leader.flush() };
    leader.stores(flush).await;
    let stored = fixture.stored(&leader.name).await.receipts;
    let newest = ReceiptView { broker_id: Some("m-2".to_owned()), is_awaited: true };
    assert_eq!(stored.into_iter().collect::<Vec<_>>(), [(seqs[0], newest)]);
}

pub(crate) async fn an_event_without_acknowledgement_is_sent_again_once(fixture: &impl LogFixture) {
    let (seqs, _) = store(fixture, 3).await;
    let receipts = vec![
        receipt(seqs[0], None, Some(HOUR)),
        receipt(seqs[1], None, None),
        receipt(seqs[2], None, Some(10 * HOUR)),
    ];
    let mut leader = published(fixture, receipts).await;
    assert_eq!(resend(&leader).await, 0, "there is time yet");
    fixture.pass(2 * HOUR).await;
    assert_eq!(resend(&leader).await, 1);
    assert_eq!(resend(&leader).await, 0, "its consumer has so much time again");
    let due = leader.due(10).await;
    assert_eq!(held_numbers(&due), [seqs[0]]);
    assert_eq!((due[0].0.state, &due[0].0.aggregate), (HoldState::Scheduled, &None), "it stops no order");
    leader.stores_holds(vec![crate::log::HoldChange::Delete(seqs[0])]).await;
    fixture.pass(2 * HOUR).await;
    assert_eq!(resend(&leader).await, 1, "and after that it is sent again");
}

pub(crate) async fn an_acknowledged_event_is_not_sent_again(fixture: &impl LogFixture) {
    let (seqs, _) = store(fixture, 2).await;
    let receipts = vec![receipt(seqs[0], None, Some(HOUR)), receipt(seqs[1], None, Some(HOUR))];
    let leader = published(fixture, receipts).await;
    fixture.operate(&leader.name, Operation::Acknowledge(seqs[0])).await;
    fixture.pass(2 * HOUR).await;
    assert_eq!(resend(&leader).await, 1);
    assert_eq!(held_numbers(&leader.due(10).await), [seqs[1]]);
}

pub(crate) async fn an_event_on_hold_is_not_sent_again_beside_it(fixture: &impl LogFixture) {
    let (seqs, _) = store(fixture, 1).await;
    let mut leader = published(fixture, vec![receipt(seqs[0], None, Some(HOUR))]).await;
    let dead = hold(seqs[0], HoldState::Dead, Due::Never);
    leader.stores_holds(inserts([dead])).await;
    fixture.pass(2 * HOUR).await;
    assert_eq!(resend(&leader).await, 0);
    assert_eq!(leader.due(10).await, [], "an operator decides about a dead one");
}
