//! Events whose time has not come.

use std::time::Duration;

use chrono::Utc;
use outbox_core::{
    log::HoldState,
    publisher::Outcome,
    testing::{Answer, ScriptedPublisher},
};
use tokio::time::{Instant, sleep};

use crate::*;

/// An event that is due so long from now. The log's clock begins with the real one and moves with the test's.
fn due_in(log: &MemoryLog, began: Instant, wait: Duration, aggregate: &str) -> Seq {
    let mut event = new_event("orders", aggregate, "later");
    event.deliver_at = Some(Utc::now() + began.elapsed() + wait);
    log.append(event)
}

#[tokio::test(start_paused = true)]
async fn a_scheduled_event_goes_out_when_due_and_blocks_nobody() {
    let (began, log, publisher) = (Instant::now(), log(), ScriptedPublisher::new());
    let relay = spawn(&log, publisher.clone());
    let hour = Duration::from_secs(3600);
    let scheduled = due_in(&log, began, hour, "a0");
    let later = append(&log, 3, 1);
    until("the others", || publisher.published_seqs() == later).await;
    until("the hold", || log.holds(NAME).len() == 1).await;
    let hold = log.holds(NAME).remove(0);
    assert_eq!((hold.seq, hold.state, hold.attempts), (scheduled, HoldState::Scheduled, 0));
    assert!(log.subscription(NAME).expect("registered").progress.holes.is_empty(), "settled in the log");

    sleep(hour - began.elapsed() - Duration::from_secs(2)).await;
    assert_eq!(publisher.published_seqs(), later);
    let questions = log.counts().due;
    assert!(questions < 10, "nobody asks while nothing is due: {questions}");
    until("the scheduled one", || publisher.published_seqs().contains(&scheduled)).await;
    assert!(began.elapsed() < hour + Duration::from_secs(3), "{:?}", began.elapsed());
    drained(&log).await;
    assert_eq!(publisher.published().len(), 4, "and only once");
    relay.stop().await.expect("stops");
}

#[tokio::test(start_paused = true)]
async fn scheduled_events_survive_a_change_of_leader_and_a_late_start() {
    let (began, log, publisher) = (Instant::now(), log(), ScriptedPublisher::new());
    let first = spawn(&log, publisher.clone());
    let seqs: Vec<_> = (1..=20).map(|n| due_in(&log, began, Duration::from_secs(60 * n), "")).collect();
    until("the holds", || log.holds(NAME).len() == 20).await;
    first.stop().await.expect("stops");
    sleep(Duration::from_secs(630)).await;
    assert!(publisher.published().is_empty());
    let second = spawn(&log, publisher.clone());
    until("those that are due", || publisher.published().len() == 10).await;
    drained(&log).await;
    assert_eq!(publisher.published_seqs(), seqs);
    second.stop().await.expect("stops");
}

#[tokio::test(start_paused = true)]
async fn a_due_event_that_is_not_published_is_kept_and_not_fetched_twice() {
    let (began, log, publisher) = (Instant::now(), log(), ScriptedPublisher::new());
    publisher.always(Answer::Each(Outcome::unavailable("not yet")));
    let relay = spawn(&log, publisher.clone());
    due_in(&log, began, Duration::from_secs(10), "a0");
    sleep(Duration::from_secs(600)).await;
    assert_eq!(log.holds(NAME).len(), 1, "its hold stays until it is published");
    publisher.always(Answer::Publish);
    drained(&log).await;
    sleep(Duration::from_secs(60)).await;
    assert_eq!(publisher.published().len(), 1);
    relay.stop().await.expect("stops");
}

#[tokio::test(start_paused = true)]
async fn an_event_whose_time_has_come_before_it_is_read_needs_no_hold() {
    let (began, log, publisher) = (Instant::now(), log(), ScriptedPublisher::new());
    due_in(&log, began, Duration::from_secs(10), "a0");
    sleep(Duration::from_secs(20)).await;
    let relay = spawn(&log, publisher.clone());
    drained(&log).await;
    assert_eq!(publisher.published().len(), 1);
    relay.stop().await.expect("stops");
}

#[tokio::test(start_paused = true)]
async fn a_scheduled_event_of_a_topic_that_is_not_taken_any_more_is_kept_and_nobody_spins() {
    let (began, log, all) = (Instant::now(), log(), ScriptedPublisher::new());
    let relay = spawn(&log, all.clone());
    let scheduled = due_in(&log, began, Duration::from_secs(60), "a0");
    until("the hold", || log.holds(NAME).len() == 1).await;
    relay.stop().await.expect("stops");

    let narrowed = ScriptedPublisher::new();
    let subscription = Subscription::new(NAME, narrowed.clone()).topics(["mail"]);
    let relay = Relay::new(log.clone(), "/test").subscription(subscription).spawn();
    sleep(Duration::from_secs(60)).await;
    let questions = log.counts().due;
    sleep(Duration::from_secs(100)).await;
    let asked = log.counts().due - questions;
    assert!(asked < 500, "asked {asked} times in 100 seconds");
    assert!(narrowed.published_seqs().is_empty(), "found {:?}", narrowed.published_seqs());
    let dead: Vec<_> = log.holds(NAME).iter().map(|hold| hold.state).collect();
    assert_eq!(dead, [HoldState::Dead], "for an operator to see");
    relay.stop().await.expect("stops");

    assert!(log.requeue(NAME, scheduled));
    let relay = spawn(&log, all.clone());
    until("the kept one", || all.published_seqs() == [scheduled]).await;
    relay.stop().await.expect("stops");
}
