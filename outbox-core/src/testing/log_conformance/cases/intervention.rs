//! What operators do, and that a leader sees it.

use chrono::DateTime;
use uuid::Uuid;

use crate::{
    log::{Due, EventLog, Flush, Hold, HoldChange, HoldState},
    publisher::Topics,
    testing::log_conformance::{
        LogFixture, Operation,
        leader::{LEASE, Leader, event, held_numbers, hold, hold_of, inserts, key, ranges, store},
    },
};

/// The count as a leader sees it: in a page that has the row at its position, and in a renewal.
async fn interventions(leader: &Leader<impl EventLog>) -> i64 {
    let read = leader.read(10).await.interventions.expect("the page has a row");
    let renewed = leader.log.renew(&leader.name, leader.owner, LEASE).await.expect("an answer");
    assert_eq!(renewed, Some(read), "a page and a renewal say the same");
    read
}

/// A leader that has read all there is.
async fn caught_up<F: LogFixture>(fixture: &F) -> (Leader<F::Log>, Vec<i64>) {
    let (seqs, last) = store(fixture, 3).await;
    let mut leader = Leader::of(fixture, "conformance").await;
    leader.stands_at(seqs[2], last, []).await;
    (leader, seqs)
}

pub(crate) async fn a_pause_is_seen_by_the_leader(fixture: &impl LogFixture) {
    let (leader, _) = caught_up(fixture).await;
    assert_eq!(interventions(&leader).await, leader.progress.interventions);
    fixture.operate(&leader.name, Operation::Pause).await;
    let paused = interventions(&leader).await;
    assert!(paused > leader.progress.interventions, "found {paused}");
    fixture.operate(&leader.name, Operation::Resume).await;
    assert!(interventions(&leader).await > paused);
}

pub(crate) async fn a_requeue_or_discard_is_seen_by_the_leader(fixture: &impl LogFixture) {
    let (mut leader, seqs) = caught_up(fixture).await;
    let dead = |seq| hold(seq, HoldState::Dead, Due::Never);
    leader.stores_holds(inserts([dead(seqs[0]), dead(seqs[1])])).await;
    fixture.operate(&leader.name, Operation::Requeue(seqs[0])).await;
    let requeued = interventions(&leader).await;
    assert!(requeued > leader.progress.interventions, "found {requeued}");
    fixture.operate(&leader.name, Operation::Discard(seqs[1])).await;
    assert!(interventions(&leader).await > requeued);
}

pub(crate) async fn a_flush_takes_no_intervention_back(fixture: &impl LogFixture) {
    let (mut leader, _) = caught_up(fixture).await;
    fixture.operate(&leader.name, Operation::Pause).await;
    fixture.operate(&leader.name, Operation::Resume).await;
    let before = interventions(&leader).await;
    leader.stores(leader.flush()).await;
    assert_eq!(interventions(&leader).await, before);
    assert_eq!(leader.replaced(fixture).await.progress.interventions, before);
}

pub(crate) async fn a_requeued_event_is_due_as_if_new(fixture: &impl LogFixture) {
    let (mut leader, seqs) = caught_up(fixture).await;
    let dead = Hold {
        attempts: 9,
        last_error: Some("no".to_owned()),
        replay: Some(Uuid::new_v4()),
        ..hold_of("a0", seqs[0], HoldState::Dead, Due::Never)
    };
    let replay = dead.replay;
    leader.stores_holds(inserts([dead])).await;
    fixture.operate(&leader.name, Operation::Requeue(seqs[0])).await;
    let due = leader.due(10).await;
    assert_eq!(held_numbers(&due), [seqs[0]]);
    let found = &due[0].0;
    assert_eq!((found.state, found.attempts, &found.last_error), (HoldState::Retry, 0, &None));
    assert_eq!(found.aggregate, Some(key("a0")), "it keeps its place in the order that it stops");
    assert_eq!((found.replay, due[0].1.replay), (replay, replay), "else an inbox drops it as processed");
}

pub(crate) async fn a_requeue_changes_no_hold_that_is_not_dead(fixture: &impl LogFixture) {
    let (mut leader, seqs) = caught_up(fixture).await;
    let retry = Hold { attempts: 2, ..hold(seqs[0], HoldState::Retry, Due::At(DateTime::UNIX_EPOCH)) };
    let blocked = hold_of("a1", seqs[1], HoldState::Blocked, Due::Never);
    leader.stores_holds(inserts([retry.clone(), blocked])).await;
    for seq in seqs {
        fixture.operate(&leader.name, Operation::Requeue(seq)).await;
    }
    assert_eq!(leader.due(10).await.into_iter().map(|(hold, _)| hold).collect::<Vec<_>>(), [retry]);
}

pub(crate) async fn a_discarded_event_is_not_held_any_more(fixture: &impl LogFixture) {
    let (mut leader, seqs) = caught_up(fixture).await;
    let dead = hold_of("a0", seqs[0], HoldState::Dead, Due::Never);
    leader.stores_holds(inserts([dead.clone()])).await;
    fixture.operate(&leader.name, Operation::Discard(seqs[0])).await;
    assert_eq!(leader.log.stopped(&leader.name).await.expect("an answer"), [], "its order is free");
    leader.stores_holds(vec![HoldChange::Update(dead)]).await;
    let survey = leader.log.survey(&leader.name, &Topics::All).await.expect("a survey");
    assert_eq!(survey.holds.dead, 0, "a leader that still knew it does not bring it back");
}

pub(crate) async fn a_replayed_event_comes_in_its_order(fixture: &impl LogFixture) {
    let first = fixture.append(event("a")).await;
    let alone = fixture.append(event("")).await;
    let last = event("a");
    let second = fixture.append(last.clone()).await;
    let mut leader = Leader::of(fixture, "conformance").await;
    leader.stands_at(second, last.id, []).await;
    let replay = Some(Uuid::new_v4());
    let seqs = vec![first, alone, second];
    fixture.operate(&leader.name, Operation::Replay { seqs, replay }).await;
    assert!(interventions(&leader).await > leader.progress.interventions);

    let blocked = leader.blocked(&["a"], 10).await;
    assert_eq!(held_numbers(&blocked), [first, second]);
    assert!(blocked.iter().all(|(_, message)| message.replay == replay), "consumers process it again");
    let due = leader.due(10).await;
    assert_eq!(held_numbers(&due), [alone], "without an order it may go at once");
    assert_eq!((due[0].1.replay, &due[0].0.aggregate), (replay, &None));
}

pub(crate) async fn a_replay_does_not_double_what_is_not_settled(fixture: &impl LogFixture) {
    let (seqs, _) = store(fixture, 4).await;
    let anchor = event("anchor");
    let position = fixture.append(anchor.clone()).await;
    let above = fixture.append(event("above")).await;
    let mut leader = Leader::of(fixture, "conformance").await;
    let dead = hold(seqs[0], HoldState::Dead, Due::Never);
    let flush = Flush {
        position,
        anchor: Some(anchor.id),
        holes: ranges([seqs[1]]),
        holds: inserts([dead]),
        ..leader.flush()
    };
    leader.stores(flush).await;
    let seqs = [seqs, vec![above]].concat();
    fixture.operate(&leader.name, Operation::Replay { seqs: seqs.clone(), replay: None }).await;
    let blocked = leader.blocked(&["a0", "a1", "a2", "a3", "above"], 10).await;
    assert_eq!(held_numbers(&blocked), [seqs[2], seqs[3]], "only those that were settled");
    let survey = leader.log.survey(&leader.name, &Topics::All).await.expect("a survey");
    assert_eq!((survey.holds.dead, survey.holes, survey.position), (1, 1, position));
}
