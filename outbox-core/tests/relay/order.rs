//! Order, batches and bounds.

use std::{
    collections::HashSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use outbox_core::{
    log::SubscriptionState,
    message::{Message, Seq},
    publisher::{Outcome, Publisher},
    relay::RelayConfig,
    testing::{Answer, RecordingPublisher, ScriptedPublisher},
};
use tokio::time::{Instant, sleep};

use crate::*;

/// Takes longer for some messages, and sees which aggregates are with it at the same time.
#[derive(Clone, Default)]
struct Watchful {
    record: RecordingPublisher,
    out: Arc<Mutex<HashSet<String>>>,
    doubled: Arc<AtomicUsize>,
    most_at_once: Arc<AtomicUsize>,
    keeps_order: bool,
}

#[async_trait]
impl Publisher for Watchful {
    async fn publish(&self, batch: &[Message]) -> Vec<Outcome> {
        let aggregates: Vec<_> = batch.iter().filter_map(|message| message.aggregate_id.clone()).collect();
        let unique: HashSet<_> = aggregates.iter().cloned().collect();
        let mut doubled = if self.keeps_order { 0 } else { aggregates.len() - unique.len() };
        {
            let mut out = self.out.lock().expect("no panic");
            doubled += unique.iter().filter(|aggregate| !out.insert((*aggregate).clone())).count();
            self.most_at_once.fetch_max(out.len(), Ordering::SeqCst);
        }
        self.doubled.fetch_add(doubled, Ordering::SeqCst);
        // Later batches are faster, so that an overtaking would show.
        let nap = 100 - batch.first().map_or(0, |message| message.seq.unsigned_abs() % 97);
        sleep(Duration::from_millis(nap)).await;
        let outcomes = self.record.publish(batch).await;
        let mut out = self.out.lock().expect("no panic");
        for aggregate in unique {
            out.remove(&aggregate);
        }
        outcomes
    }

    fn max_batch(&self) -> usize {
        10
    }

    fn keeps_order_in_batch(&self) -> bool {
        self.keeps_order
    }
}

#[tokio::test(start_paused = true)]
async fn an_aggregate_is_never_in_two_batches_nor_twice_in_one() {
    let (log, publisher) = (log(), Watchful::default());
    append(&log, 1_000, 25);
    let relay = spawn(&log, publisher.clone());
    drained(&log).await;
    assert_eq!(publisher.doubled.load(Ordering::SeqCst), 0);
    assert!(publisher.most_at_once.load(Ordering::SeqCst) > 10, "aggregates go side by side");
    assert_complete_and_ordered(&publisher.record.messages(), &log.committed());
    relay.stop().await.expect("stops");
}

/// One outcome of a batch held back is nobody's outage: the others go on, and it costs no attempt.
#[tokio::test(start_paused = true)]
async fn what_is_held_back_goes_behind_the_one_that_failed_and_costs_no_attempt() {
    let (log, publisher) = (log(), ScriptedPublisher::new().keeping_order_in_batch());
    let seqs = append(&log, 6, 2);
    let (fails, behind) = (seqs[0], [seqs[2], seqs[4]]);
    publisher.then(Answer::by(move |message| match message.seq {
        seq if seq == fails => Outcome::failed("not now"),
        seq if behind.contains(&seq) => Outcome::held_back("behind the one that failed"),
        _ => Outcome::published(),
    }));
    let relay = spawn(&log, publisher.clone());
    until("the first batch", || publisher.calls() == 1).await;
    until("the other aggregate", || publisher.published().len() >= 3).await;
    until("the hold", || {
        log.subscription(NAME).is_some_and(|stored| stored.holds.values().any(|hold| hold.attempts == 1))
    })
    .await;
    let stored = log.subscription(NAME).expect("registered");
    assert_eq!(stored.state, SubscriptionState::Running, "nobody is away");
    for seq in behind {
        assert!(stored.holds.get(&seq).is_none_or(|hold| hold.attempts == 0), "{:?}", stored.holds);
    }
    drained(&log).await;
    assert_complete_and_ordered(&publisher.published(), &log.committed());
    assert_eq!(publisher.published().len(), 6, "nothing went twice");
    relay.stop().await.expect("stops");
}

#[tokio::test(start_paused = true)]
async fn a_publisher_that_keeps_order_gets_an_aggregate_in_whole_batches() {
    let (log, publisher) = (log(), Watchful { keeps_order: true, ..Watchful::default() });
    append(&log, 200, 2);
    let relay = spawn(&log, publisher.clone());
    drained(&log).await;
    assert_eq!(publisher.doubled.load(Ordering::SeqCst), 0, "still never in two batches");
    let batches = publisher.record.batches();
    assert!(batches.len() <= 24, "batches fill up: {}", batches.len());
    assert_complete_and_ordered(&publisher.record.messages(), &log.committed());
    relay.stop().await.expect("stops");
}

/// Keeps the order within a batch: from a failure on, nothing more of that aggregate goes in this batch.
#[derive(Clone, Default)]
struct Stumbling {
    record: RecordingPublisher,
    attempts: Arc<AtomicUsize>,
}

#[async_trait]
impl Publisher for Stumbling {
    async fn publish(&self, batch: &[Message]) -> Vec<Outcome> {
        let mut broken = HashSet::new();
        let mut outcomes = Vec::new();
        for message in batch {
            let stumbles = self.attempts.fetch_add(1, Ordering::SeqCst) % 11 == 5;
            if stumbles || broken.contains(&message.aggregate_id) {
                broken.insert(message.aggregate_id.clone());
                outcomes.push(Outcome::failed("by turns"));
            } else {
                self.record.publish(std::slice::from_ref(message)).await;
                outcomes.push(Outcome::published());
            }
        }
        outcomes
    }

    fn max_batch(&self) -> usize {
        7
    }

    fn keeps_order_in_batch(&self) -> bool {
        true
    }
}

#[tokio::test(start_paused = true)]
async fn a_partial_failure_of_an_ordered_batch_is_not_overtaken() {
    let (log, publisher) = (log(), Stumbling::default());
    append(&log, 300, 3);
    let relay = spawn(&log, publisher.clone());
    drained(&log).await;
    assert_complete_and_ordered(&publisher.record.messages(), &log.committed());
    assert_eq!(publisher.record.messages().len(), 300, "no duplicates");
    relay.stop().await.expect("stops");
}

#[tokio::test(start_paused = true)]
async fn a_slow_aggregate_does_not_stop_the_others() {
    let (log, publisher) = (log(), Slow::default());
    append(&log, 500, 10);
    let relay = spawn(&log, publisher.clone());
    let began = Instant::now();
    until("the other aggregates", || publisher.0.seqs().len() >= 450).await;
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    drained(&log).await;
    assert!(began.elapsed() > Duration::from_secs(200), "the slow one took its time");
    assert_complete_and_ordered(&publisher.0.messages(), &log.committed());
    relay.stop().await.expect("stops");
}

/// One message at a time; those of aggregate `a3` take five seconds.
#[derive(Clone, Default)]
struct Slow(RecordingPublisher);

#[async_trait]
impl Publisher for Slow {
    async fn publish(&self, batch: &[Message]) -> Vec<Outcome> {
        if batch.iter().any(|message| message.aggregate_id.as_deref() == Some("a3")) {
            sleep(Duration::from_secs(5)).await;
        }
        self.0.publish(batch).await
    }

    fn max_batch(&self) -> usize {
        1
    }
}

#[tokio::test(start_paused = true)]
async fn batches_fill_up_and_reading_ahead_is_bounded() {
    let (log, publisher) = (log(), ScriptedPublisher::new().max_batch(50));
    append(&log, 20_000, 10_000);
    publisher.always(Answer::Each(Outcome::unavailable("not yet")));
    let config = RelayConfig { page_size: 500, read_ahead: 2_000, ..RelayConfig::default() };
    let relay = spawn_with(&log, publisher.clone(), config);
    sleep(Duration::from_secs(300)).await;
    assert_eq!(log.counts().reads, 4, "read ahead to the bound and no further");
    let tried = publisher.calls();
    publisher.always(Answer::Publish);
    drained(&log).await;
    let batches = publisher.calls() - tried;
    assert!((400..=440).contains(&batches), "{batches} batches for 20,000 events");
    assert_complete_and_ordered(&publisher.published(), &log.committed());
    relay.stop().await.expect("stops");
}

#[tokio::test(start_paused = true)]
async fn no_more_batches_than_allowed_are_in_flight() {
    let (log, publisher) = (log(), Crowded::default());
    append(&log, 300, 300);
    let config = RelayConfig { max_in_flight: 4, ..RelayConfig::default() };
    let relay = spawn_with(&log, publisher.clone(), config);
    drained(&log).await;
    assert_eq!(publisher.most.load(Ordering::SeqCst), 4);
    relay.stop().await.expect("stops");
}

#[derive(Clone, Default)]
struct Crowded {
    now: Arc<AtomicUsize>,
    most: Arc<AtomicUsize>,
}

#[async_trait]
impl Publisher for Crowded {
    async fn publish(&self, batch: &[Message]) -> Vec<Outcome> {
        let now = self.now.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(now, Ordering::SeqCst);
        sleep(Duration::from_millis(20)).await;
        self.now.fetch_sub(1, Ordering::SeqCst);
        vec![Outcome::published(); batch.len()]
    }

    fn max_batch(&self) -> usize {
        5
    }
}

#[tokio::test(start_paused = true)]
async fn events_without_an_aggregate_wait_for_nobody() {
    let (log, publisher) = (log(), ScriptedPublisher::new());
    let seqs: Vec<Seq> = (0..300).map(|n| log.append(new_event("orders", "", &n.to_string()))).collect();
    let relay = spawn(&log, publisher.clone());
    drained(&log).await;
    assert_eq!(publisher.calls(), 3, "whole batches");
    assert_complete_and_ordered(&publisher.published(), &seqs);
    relay.stop().await.expect("stops");
}
