//! The broker or the database is away, or misbehaves.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use outbox_core::{
    log::SubscriptionState,
    message::Message,
    publisher::{Outcome, Publisher},
    relay::RelayConfig,
    testing::{Answer, RecordingPublisher, ScriptedPublisher},
};
use tokio::time::{Instant, advance, sleep};

use crate::*;

#[tokio::test(start_paused = true)]
async fn an_outage_of_the_broker_loses_nothing_keeps_order_and_does_not_spin() {
    let (log, publisher) = (log(), ScriptedPublisher::new().max_batch(10));
    append(&log, 500, 7);
    publisher.always(Answer::Each(Outcome::unavailable("gone fishing")));
    let relay = spawn(&log, publisher.clone());
    sleep(Duration::from_secs(3600)).await;
    // A probe every 15 to 30 s once the pause has grown, and a few before.
    assert!((100..=300).contains(&publisher.calls()), "{} calls in an hour", publisher.calls());
    let stored = log.subscription(NAME).expect("registered");
    assert_eq!(stored.state, SubscriptionState::BrokerDown);
    assert_eq!(stored.last_error.as_deref(), Some("gone fishing"));
    assert_eq!(stored.progress.holes.count(), 500, "nothing is settled");

    publisher.always(Answer::Publish);
    let back = Instant::now();
    drained(&log).await;
    assert!(back.elapsed() <= Duration::from_secs(32), "back within one probe: {:?}", back.elapsed());
    assert_complete_and_ordered(&publisher.published(), &log.committed());
    assert_eq!(publisher.published().len(), 500, "no duplicates");
    until("the report", || log.subscription(NAME).is_some_and(|s| s.state == SubscriptionState::Running))
        .await;
    relay.stop().await.expect("stops");
}

#[tokio::test(start_paused = true)]
async fn a_publisher_that_only_holds_back_is_not_asked_again_at_once() {
    let (log, publisher) = (log(), ScriptedPublisher::new().max_batch(10));
    append(&log, 30, 7);
    // It ends at some time, so that a relay that spins fails here instead of going on for ever.
    let asked = AtomicUsize::new(0);
    publisher.always(Answer::by(move |_| match asked.fetch_add(1, Ordering::SeqCst) {
        0..50_000 => Outcome::held_back("behind an earlier one"),
        _ => Outcome::published(),
    }));
    let relay = spawn(&log, publisher.clone());
    sleep(Duration::from_secs(3600)).await;
    assert!((100..=300).contains(&publisher.calls()), "{} calls in an hour", publisher.calls());
    let stored = log.subscription(NAME).expect("registered");
    assert_eq!(stored.state, SubscriptionState::BrokerDown);
    assert_eq!(stored.last_error.as_deref(), Some("nothing was tried: behind an earlier one"));
    assert!(stored.holds.is_empty(), "no attempt is counted: {:?}", stored.holds);

    publisher.always(Answer::Publish);
    drained(&log).await;
    assert_complete_and_ordered(&publisher.published(), &log.committed());
    relay.stop().await.expect("stops");
}

#[tokio::test(start_paused = true)]
async fn a_panicking_publisher_does_not_end_the_loop() {
    let (log, publisher) = (log(), ScriptedPublisher::new());
    append(&log, 20, 4);
    for _ in 0..3 {
        publisher.then(Answer::Panic);
    }
    let relay = spawn(&log, publisher.clone());
    drained(&log).await;
    assert_complete_and_ordered(&publisher.published(), &log.committed());
    assert!(!relay.is_finished());
    relay.stop().await.expect("stops");
}

#[tokio::test(start_paused = true)]
async fn a_short_list_of_outcomes_means_not_sent() {
    let (log, publisher) = (log(), ScriptedPublisher::new());
    append(&log, 10, 10);
    publisher.then(Answer::Short(3)).then(Answer::Short(0));
    let relay = spawn(&log, publisher.clone());
    drained(&log).await;
    assert_complete_and_ordered(&publisher.published(), &log.committed());
    assert_eq!(publisher.published().len(), 10, "the three that were published did not go again");
    relay.stop().await.expect("stops");
}

#[tokio::test(start_paused = true)]
async fn a_publisher_that_never_answers_is_given_up_at_the_timeout() {
    let (log, publisher) = (log(), ScriptedPublisher::new());
    append(&log, 5, 5);
    publisher.then(Answer::Hang);
    let began = Instant::now();
    let relay = spawn(&log, publisher.clone());
    drained(&log).await;
    assert!(began.elapsed() >= RelayConfig::default().publish_timeout);
    assert!(began.elapsed() < Duration::from_secs(13), "{:?}", began.elapsed());
    relay.stop().await.expect("stops");
}

/// Takes a second for each message, and for ever where the first event of the log is among them.
#[derive(Clone, Default)]
struct Slow {
    record: RecordingPublisher,
    hangs_at_the_first: bool,
}

#[async_trait]
impl Publisher for Slow {
    async fn publish(&self, batch: &[Message]) -> Vec<Outcome> {
        if self.hangs_at_the_first && batch.iter().any(|message| message.seq == 1) {
            std::future::pending::<()>().await;
        }
        sleep(Duration::from_secs(1) * u32::try_from(batch.len()).expect("a hundred")).await;
        self.record.publish(batch).await
    }
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_takes_too_long_does_not_go_round_for_ever() {
    let (log, publisher) = (log(), Slow::default());
    append(&log, 100, 100);
    let relay = spawn(&log, publisher.clone());
    let began = Instant::now();
    until("all of it", || publisher.record.messages().len() == 100).await;
    assert!(began.elapsed() < Duration::from_secs(600), "{:?}", began.elapsed());
    drained(&log).await;
    relay.stop().await.expect("stops");
}

#[tokio::test(start_paused = true)]
async fn a_message_that_never_gets_through_keeps_no_other_aggregate_from_going() {
    let (log, publisher) = (log(), Slow { hangs_at_the_first: true, ..Slow::default() });
    append(&log, 60, 30);
    let relay = spawn(&log, publisher.clone());
    until("all but one aggregate", || publisher.record.messages().len() == 58).await;
    until("it to be on hold", || log.holds(NAME).first().is_some_and(|hold| hold.seq == 1)).await;
    assert_eq!(
        log.holds(NAME).iter().map(|hold| hold.seq).collect::<Vec<_>>(),
        [1, 31],
        "with its aggregate"
    );
    relay.stop().await.expect("stops");
}

#[tokio::test(start_paused = true)]
async fn a_batch_holds_no_more_bytes_than_the_publisher_takes() {
    #[derive(Clone, Default)]
    struct Narrow(RecordingPublisher, Arc<Mutex<Vec<usize>>>);

    #[async_trait]
    impl Publisher for Narrow {
        async fn publish(&self, batch: &[Message]) -> Vec<Outcome> {
            self.1.lock().expect("no panic").push(batch.len());
            self.0.publish(batch).await
        }
        fn max_batch_bytes(&self) -> usize {
            1
        }
    }

    let (log, publisher) = (log(), Narrow::default());
    append(&log, 20, 20);
    let relay = spawn(&log, publisher.clone());
    drained(&log).await;
    assert_eq!(*publisher.1.lock().expect("no panic"), [1; 20], "what is larger by itself goes alone");
    relay.stop().await.expect("stops");
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_asks_for_a_pause_gets_it() {
    let (log, publisher) = (log(), ScriptedPublisher::new());
    append(&log, 1, 1);
    publisher.then(Answer::Each(Outcome::throttled(Some(Duration::from_secs(90)), "slow down")));
    let relay = spawn(&log, publisher.clone());
    sleep(Duration::from_secs(89)).await;
    assert_eq!(publisher.calls(), 1);
    sleep(Duration::from_secs(2)).await;
    assert_eq!(publisher.calls(), 2);
    relay.stop().await.expect("stops");
}

#[tokio::test(start_paused = true)]
async fn a_database_that_is_away_is_waited_for() {
    let (log, publisher) = (log(), ScriptedPublisher::new());
    log.set_away(true);
    let relay = spawn(&log, publisher.clone());
    sleep(Duration::from_secs(600)).await;
    assert!(!relay.is_finished(), "away at start");
    log.set_away(false);
    append(&log, 100, 5);
    until("the first events", || publisher.published().len() == 100).await;

    log.set_away(true);
    append(&log, 100, 5);
    sleep(Duration::from_secs(600)).await;
    assert!(!relay.is_finished(), "away while leading");
    log.set_away(false);
    drained(&log).await;
    assert_complete_and_ordered(&publisher.published(), &log.committed());
    relay.stop().await.expect("stops");
}

#[tokio::test(start_paused = true)]
async fn a_statement_that_errs_now_and_then_ends_nothing() {
    let (log, publisher) = (log(), ScriptedPublisher::new().max_batch(3));
    let relay = spawn(&log, publisher.clone());
    for _ in 0..40 {
        append(&log, 10, 3);
        log.fail_statements(1);
        advance(Duration::from_millis(70)).await;
    }
    drained(&log).await;
    assert_complete_and_ordered(&publisher.published(), &log.committed());
    relay.stop().await.expect("stops");
}

#[tokio::test(start_paused = true)]
async fn a_flush_whose_answer_is_lost_is_neither_repeated_nor_forgotten() {
    let (log, publisher) = (log(), ScriptedPublisher::new());
    log.lose_flush_answers(3);
    append(&log, 50, 5);
    let began = Instant::now();
    let relay = spawn(&log, publisher.clone());
    drained(&log).await;
    append(&log, 50, 5);
    drained(&log).await;
    assert!(began.elapsed() < Duration::from_secs(10), "a lease of its own is not waited for");
    assert_complete_and_ordered(&publisher.published(), &log.committed());
    relay.stop().await.expect("stops");
}
