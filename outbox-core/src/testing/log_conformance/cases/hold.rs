//! Events on hold.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use crate::{
    event::NewEvent,
    log::{Due, EventLog, Hold, HoldChange, HoldState, Stopped},
    publisher::Topics,
    testing::log_conformance::{
        LogFixture,
        leader::{Leader, NONE, event, held_numbers, hold, hold_of, inserts, key, source, store},
    },
};

const HOUR: Duration = Duration::from_secs(3_600);

fn long_ago() -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::days(9_000)
}

pub(crate) async fn nothing_of_a_hold_is_lost(fixture: &impl LogFixture) {
    let aggregate = "zamówienie 🛒 \"1\"";
    let held = event(aggregate);
    let seq = fixture.append(held.clone()).await;
    let (others, _) = store(fixture, 1).await;
    let mut leader = Leader::of(fixture, "conformance").await;
    let retry = Hold {
        attempts: 3,
        last_error: Some("it said \"nie\" 🛑".to_owned()),
        replay: Some(Uuid::new_v4()),
        ..hold_of(aggregate, seq, HoldState::Retry, Due::At(long_ago()))
    };
    let blocked = hold_of("a0", others[0], HoldState::Blocked, Due::Never);
    leader.stores_holds(inserts([retry.clone(), blocked.clone()])).await;

    let leader = leader.replaced(fixture).await;
    let due = leader.due(10).await;
    assert_eq!(due.len(), 1, "found {due:?}");
    let (found, message) = &due[0];
    assert_eq!(*found, retry);
    assert_eq!((message.seq, message.id, message.replay), (seq, held.id, retry.replay));
    assert_eq!((&message.payload, &message.source), (&held.payload, &source()));
    assert_eq!(message.aggregate_id.as_deref(), Some(aggregate));
    let found = leader.blocked(&["a0"], 10).await;
    assert_eq!(found.len(), 1, "found {found:?}");
    assert_eq!((&found[0].0, found[0].1.replay), (&blocked, None));
}

pub(crate) async fn an_update_does_not_bring_a_discarded_hold_back(fixture: &impl LogFixture) {
    let (seqs, _) = store(fixture, 1).await;
    let mut leader = Leader::of(fixture, "conformance").await;
    let retry = hold(seqs[0], HoldState::Retry, Due::At(long_ago()));
    leader.stores_holds(inserts([retry.clone()])).await;
    leader.stores_holds(vec![HoldChange::Delete(seqs[0])]).await;
    leader.stores_holds(vec![HoldChange::Update(Hold { attempts: 1, ..retry })]).await;
    assert_eq!(leader.due(10).await, []);
    // Nor is it an error to end what is gone.
    leader.stores_holds(vec![HoldChange::Delete(seqs[0])]).await;
}

pub(crate) async fn no_change_of_a_hold_is_forgotten(fixture: &impl LogFixture) {
    let (seqs, _) = store(fixture, 4).await;
    let mut leader = Leader::of(fixture, "conformance").await;
    let retry = |seq| hold(seq, HoldState::Retry, Due::At(long_ago()));
    leader.stores_holds(inserts([retry(seqs[0]), retry(seqs[1]), retry(seqs[2])])).await;
    let changed = Hold {
        attempts: 2,
        last_error: Some("again".to_owned()),
        state: HoldState::Retry,
        aggregate: Some(key("a1")),
        ..retry(seqs[1])
    };
    let changes = vec![
        HoldChange::Delete(seqs[0]),
        HoldChange::Update(changed.clone()),
        HoldChange::Update(hold(seqs[2], HoldState::Dead, Due::Never)),
        HoldChange::Insert(retry(seqs[3])),
    ];
    leader.stores_holds(changes).await;
    let due: Vec<Hold> = leader.due(10).await.into_iter().map(|(hold, _)| hold).collect();
    assert_eq!(due, [changed, retry(seqs[3])]);
    let survey = leader.log.survey(&leader.name, &Topics::All).await.expect("a survey");
    assert_eq!((survey.holds.retry, survey.holds.dead), (2, 1));
}

async fn next_due(leader: &Leader<impl EventLog>) -> Option<Duration> {
    leader.log.next_due(&leader.name).await.expect("an answer")
}

pub(crate) async fn no_event_is_due_before_its_time(fixture: &impl LogFixture) {
    let (seqs, _) = store(fixture, 3).await;
    let mut leader = Leader::of(fixture, "conformance").await;
    assert_eq!(next_due(&leader).await, None);
    leader
        .stores_holds(inserts([
            hold(seqs[0], HoldState::Retry, Due::After(3 * HOUR)),
            hold(seqs[1], HoldState::Retry, Due::After(HOUR)),
            hold(seqs[2], HoldState::Dead, Due::Never),
        ]))
        .await;
    assert_eq!(leader.due(10).await, []);
    let next = next_due(&leader).await.expect("one is scheduled");
    assert!(next <= HOUR && next > HOUR - Duration::from_secs(600), "found {next:?}");
    fixture.pass(2 * HOUR).await;
    assert_eq!(held_numbers(&leader.due(10).await), [seqs[1]]);
    assert_eq!(next_due(&leader).await, Some(Duration::ZERO), "it is overdue");
    fixture.pass(2 * HOUR).await;
    assert_eq!(held_numbers(&leader.due(10).await), [seqs[0], seqs[1]]);
}

pub(crate) async fn no_dead_or_blocked_event_is_due(fixture: &impl LogFixture) {
    let (seqs, _) = store(fixture, 2).await;
    let mut leader = Leader::of(fixture, "conformance").await;
    leader
        .stores_holds(inserts([
            hold(seqs[0], HoldState::Dead, Due::Never),
            hold_of("a1", seqs[1], HoldState::Blocked, Due::Never),
        ]))
        .await;
    fixture.pass(1_000 * HOUR).await;
    assert_eq!(leader.due(10).await, []);
    assert_eq!(leader.log.next_due(&leader.name).await.expect("an answer"), None);
}

pub(crate) async fn due_events_come_in_order(fixture: &impl LogFixture) {
    let (seqs, _) = store(fixture, 4).await;
    let mut leader = Leader::of(fixture, "conformance").await;
    // Later ones are due for longer.
    let due = |seq, days| hold(seq, HoldState::Scheduled, Due::At(long_ago() - TimeDelta::days(days)));
    leader.stores_holds(inserts([due(seqs[3], 4), due(seqs[1], 2), due(seqs[2], 3), due(seqs[0], 1)])).await;
    assert_eq!(held_numbers(&leader.due(10).await), seqs);
    assert_eq!(leader.due(2).await.len(), 2, "no more than asked for");
}

pub(crate) async fn blocked_events_come_in_order(fixture: &impl LogFixture) {
    let mut seqs = Vec::new();
    for aggregate in ["a", "b", "a", "c", "a", "b"] {
        seqs.push(fixture.append(event(aggregate)).await);
    }
    let mut leader = Leader::of(fixture, "conformance").await;
    let blocked = |aggregate, seq| hold_of(aggregate, seq, HoldState::Blocked, Due::Never);
    leader
        .stores_holds(inserts([
            hold_of("a", seqs[0], HoldState::Retry, Due::At(long_ago())),
            blocked("b", seqs[5]),
            blocked("a", seqs[4]),
            blocked("b", seqs[1]),
            blocked("a", seqs[2]),
            blocked("c", seqs[3]),
        ]))
        .await;
    assert_eq!(held_numbers(&leader.blocked(&["b", "a"], 10).await), [seqs[1], seqs[2], seqs[4], seqs[5]]);
    assert_eq!(held_numbers(&leader.blocked(&["nobody"], 10).await), NONE);
    assert_eq!(leader.blocked(&[], 10).await, []);
}

pub(crate) async fn a_large_key_does_not_starve_the_others(fixture: &impl LogFixture) {
    let mut seqs = Vec::new();
    for aggregate in ["large", "large", "large", "large", "small"] {
        seqs.push(fixture.append(event(aggregate)).await);
    }
    let mut leader = Leader::of(fixture, "conformance").await;
    let blocked = |aggregate, seq: &i64| hold_of(aggregate, *seq, HoldState::Blocked, Due::Never);
    let mut holds: Vec<_> = seqs[..4].iter().map(|seq| blocked("large", seq)).collect();
    holds.push(blocked("small", &seqs[4]));
    leader.stores_holds(inserts(holds)).await;
    let first = leader.blocked(&["large", "small"], 2).await;
    assert_eq!(held_numbers(&first), [seqs[0], seqs[1], seqs[4]]);
    leader.stores_holds(vec![HoldChange::Delete(seqs[0]), HoldChange::Delete(seqs[1])]).await;
    assert_eq!(held_numbers(&leader.blocked(&["large"], 2).await), [seqs[2], seqs[3]], "the rest follows");
}

pub(crate) async fn no_stopped_order_is_forgotten(fixture: &impl LogFixture) {
    let (seqs, _) = store(fixture, 8).await;
    let mut leader = Leader::of(fixture, "conformance").await;
    assert_eq!(leader.log.stopped(&leader.name).await.expect("an answer"), []);
    leader
        .stores_holds(inserts([
            hold_of("retries", seqs[0], HoldState::Retry, Due::After(HOUR)),
            hold_of("retries", seqs[1], HoldState::Blocked, Due::Never),
            hold_of("dead", seqs[2], HoldState::Dead, Due::Never),
            hold_of("blocked", seqs[3], HoldState::Blocked, Due::Never),
            hold_of("blocked", seqs[4], HoldState::Blocked, Due::Never),
            // Outside of every order.
            hold(seqs[5], HoldState::Retry, Due::After(HOUR)),
            hold(seqs[6], HoldState::Dead, Due::Never),
            hold(seqs[7], HoldState::Scheduled, Due::After(HOUR)),
        ]))
        .await;
    let leader = leader.replaced(fixture).await;
    let mut stopped = leader.log.stopped(&leader.name).await.expect("an answer");
    stopped.sort_by(|left, right| left.aggregate.cmp(&right.aggregate));
    let order =
        |aggregate, retries, dead, blocked| Stopped { aggregate: key(aggregate), retries, dead, blocked };
    let expected = [
        order("blocked", false, false, true),
        order("dead", false, true, false),
        order("retries", true, false, true),
    ];
    assert_eq!(stopped, expected);
}

pub(crate) async fn no_two_orders_are_taken_for_one(fixture: &impl LogFixture) {
    let keys = [("a", "bc"), ("ab", "c"), ("A", "bc"), ("a", "bc "), ("a", "bć"), ("", "")]
        .map(|(kind, id)| (kind.to_owned(), id.to_owned()));
    let mut held = Vec::new();
    for key in &keys {
        let stored = match key.1.is_empty() {
            true => event(""),
            false => NewEvent { aggregate_type: Some(key.0.clone()), ..event(&key.1) },
        };
        let seq = fixture.append(stored).await;
        held.push(Hold { aggregate: Some(key.clone()), ..hold(seq, HoldState::Blocked, Due::Never) });
    }
    let mut leader = Leader::of(fixture, "conformance").await;
    leader.stores_holds(inserts(held.clone())).await;
    let stopped = leader.log.stopped(&leader.name).await.expect("an answer");
    assert_eq!(stopped.len(), keys.len(), "found {stopped:?}");
    for hold in held {
        let order: Vec<_> = hold.aggregate.clone().into_iter().collect();
        let found = leader.log.blocked(&leader.name, &source(), &order, 10).await.expect("an answer");
        assert_eq!(found.into_iter().map(|(hold, _)| hold).collect::<Vec<_>>(), [hold]);
    }
}

pub(crate) async fn a_hold_without_an_event_is_not_in_the_way(fixture: &impl LogFixture) {
    let mut seqs = Vec::new();
    for _ in 0..4 {
        seqs.push(fixture.append(event("a")).await);
    }
    let mut leader = Leader::of(fixture, "conformance").await;
    leader
        .stores_holds(inserts([
            hold(seqs[0], HoldState::Scheduled, Due::At(long_ago())),
            hold(seqs[1], HoldState::Scheduled, Due::At(long_ago())),
            hold_of("a", seqs[2], HoldState::Blocked, Due::Never),
            hold_of("a", seqs[3], HoldState::Blocked, Due::Never),
        ]))
        .await;
    fixture.remove(seqs[0]).await;
    fixture.remove(seqs[2]).await;
    // The first question may end such holds; the answer after it has to be right.
    leader.due(1).await;
    leader.blocked(&["a"], 1).await;
    assert_eq!(held_numbers(&leader.due(1).await), [seqs[1]]);
    assert_eq!(held_numbers(&leader.blocked(&["a"], 1).await), [seqs[3]]);
}

pub(crate) async fn the_holds_of_two_subscriptions_are_apart(fixture: &impl LogFixture) {
    let (seqs, _) = store(fixture, 1).await;
    let mut leader = Leader::of(fixture, "conformance").await;
    let mut other = Leader::of(fixture, "conformance-2").await;
    let due = hold(seqs[0], HoldState::Retry, Due::At(long_ago()));
    leader.stores_holds(inserts([due.clone()])).await;
    assert_eq!(other.due(10).await, []);
    assert_eq!(other.log.next_due(&other.name).await.expect("an answer"), None);
    other.stores_holds(inserts([hold_of("a0", seqs[0], HoldState::Blocked, Due::Never)])).await;
    other.stores_holds(vec![HoldChange::Delete(seqs[0])]).await;
    assert_eq!(leader.due(10).await.into_iter().map(|(hold, _)| hold).collect::<Vec<_>>(), [due]);
    assert_eq!(leader.log.stopped(&leader.name).await.expect("an answer"), []);
}
