//! Who leads.

use std::time::Duration;

use crate::{
    log::{Acquired, EventLog, Flush, LogError, Owner, SubscriptionName},
    testing::log_conformance::{
        LogFixture, Operation,
        leader::{LEASE, Leader, name, numbers, store},
    },
};

async fn acquire(log: &impl EventLog, name: &SubscriptionName) -> Acquired {
    log.acquire(name, Owner::random(), LEASE).await.expect("an answer")
}

fn is_held(answer: &Acquired) -> Duration {
    match answer {
        Acquired::Held { expires_in } => *expires_in,
        other => panic!("expected that another relay leads, found {other:?}"),
    }
}

fn is_led(answer: &Acquired) {
    assert!(matches!(answer, Acquired::Leader(_)), "expected to lead, found {answer:?}");
}

pub(crate) async fn a_second_relay_does_not_lead_beside_the_first(fixture: &impl LogFixture) {
    let leader = Leader::of(fixture, "conformance").await;
    let other = fixture.log().await;
    let expires_in = is_held(&acquire(&other, &leader.name).await);
    assert!(expires_in <= LEASE && expires_in > LEASE / 2, "found {expires_in:?}");
    is_held(&acquire(&leader.log, &leader.name).await);
    // Another subscription has a lease of its own.
    Leader::of(fixture, "another").await;
}

pub(crate) async fn a_renewed_lease_does_not_end_at_its_old_time(fixture: &impl LogFixture) {
    let leader = Leader::of(fixture, "conformance").await;
    fixture.pass(LEASE * 3 / 4).await;
    let renewed = leader.log.renew(&leader.name, leader.owner, LEASE).await.expect("an answer");
    assert_eq!(renewed, Some(0), "it leads, and no operator has done anything");
    fixture.pass(LEASE * 3 / 4).await;
    is_held(&acquire(&fixture.log().await, &leader.name).await);
}

pub(crate) async fn a_lease_is_not_renewed_by_another_relay(fixture: &impl LogFixture) {
    let leader = Leader::of(fixture, "conformance").await;
    let other = fixture.log().await;
    let renewed = other.renew(&leader.name, Owner::random(), LEASE * 10).await.expect("an answer");
    assert_eq!(renewed, None);
    assert!(is_held(&acquire(&other, &leader.name).await) <= LEASE);
}

pub(crate) async fn a_released_lease_is_not_waited_for(fixture: &impl LogFixture) {
    let leader = Leader::of(fixture, "conformance").await;
    leader.log.release(&leader.name, leader.owner).await.expect("to release");
    is_led(&acquire(&fixture.log().await, &leader.name).await);
    let renewed = leader.log.renew(&leader.name, leader.owner, LEASE).await.expect("an answer");
    assert_eq!(renewed, None, "it gave the lease up");
}

pub(crate) async fn a_lease_is_not_released_by_another_relay(fixture: &impl LogFixture) {
    let leader = Leader::of(fixture, "conformance").await;
    let other = fixture.log().await;
    other.release(&leader.name, Owner::random()).await.expect("nothing to release is no error");
    is_held(&acquire(&other, &leader.name).await);
}

pub(crate) async fn a_crashed_leader_is_replaced_and_its_progress_kept(fixture: &impl LogFixture) {
    let (seqs, last) = store(fixture, 5).await;
    let mut leader = Leader::of(fixture, "conformance").await;
    leader.stands_at(seqs[4], last, [seqs[0], seqs[2], seqs[3]]).await;
    fixture.pass(LEASE * 2).await;
    let next = Leader::of(fixture, "conformance").await;
    assert_eq!(next.progress, leader.progress);
    let page = next.read(10).await;
    assert_eq!(numbers(&page.rows), [seqs[0], seqs[2], seqs[3]], "what was not settled comes again");
}

pub(crate) async fn a_leader_that_was_replaced_renews_nothing(fixture: &impl LogFixture) {
    let stale = Leader::of(fixture, "conformance").await;
    fixture.pass(LEASE * 2).await;
    let leader = Leader::of(fixture, "conformance").await;
    assert_eq!(stale.log.renew(&stale.name, stale.owner, LEASE * 10).await.expect("an answer"), None);
    stale.log.release(&stale.name, stale.owner).await.expect("nothing to release is no error");
    let expires_in = is_held(&acquire(&fixture.log().await, &leader.name).await);
    assert!(expires_in <= LEASE, "found {expires_in:?}");
}

pub(crate) async fn a_paused_subscription_is_led_by_nobody(fixture: &impl LogFixture) {
    let leader = Leader::of(fixture, "conformance").await;
    let other = fixture.log().await;
    fixture.operate(&leader.name, Operation::Pause).await;
    let renewed = leader.log.renew(&leader.name, leader.owner, LEASE).await.expect("an answer");
    assert_eq!(renewed, Some(1), "the leader keeps its lease until it has ended in good order");
    let answer = acquire(&other, &leader.name).await;
    assert!(!matches!(answer, Acquired::Leader(_)), "found {answer:?}");
    leader.log.release(&leader.name, leader.owner).await.expect("to release");
    assert_eq!(acquire(&other, &leader.name).await, Acquired::Paused);
    fixture.operate(&leader.name, Operation::Resume).await;
    is_led(&acquire(&other, &leader.name).await);
}

pub(crate) async fn nobody_leads_where_the_anchor_is_gone(fixture: &impl LogFixture) {
    let (seqs, last) = store(fixture, 2).await;
    let mut leader = Leader::of(fixture, "conformance").await;
    leader.stands_at(seqs[1], last, []).await;
    leader.log.release(&leader.name, leader.owner).await.expect("to release");
    fixture.remove(seqs[1]).await;
    let (log, owner) = (fixture.log().await, Owner::random());
    let error = log.acquire(&leader.name, owner, LEASE).await.expect_err("the anchor is gone");
    assert!(matches!(error, LogError::AnchorGone { position, .. } if position == seqs[1]), "found {error:?}");
    assert_eq!(
        log.renew(&leader.name, owner, LEASE).await.expect("an answer"),
        None,
        "the lease was not taken"
    );
}

pub(crate) async fn nobody_leads_from_a_position_beyond_the_counter(fixture: &impl LogFixture) {
    let (seqs, _) = store(fixture, 1).await;
    let mut leader = Leader::of(fixture, "conformance").await;
    leader.stores(Flush { position: seqs[0] + 100, ..leader.flush() }).await;
    leader.log.release(&leader.name, leader.owner).await.expect("to release");
    let error = leader.log.acquire(&name("conformance"), Owner::random(), LEASE).await;
    assert!(matches!(error, Err(LogError::Refused(_))), "found {error:?}");
}
