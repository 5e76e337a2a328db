//! What holds up one aggregate, one topic or one session's locks does not hold up the others.

use std::time::Duration;

use outbox_core::{
    log::HoldState,
    publisher::Outcome,
    relay::{Ordering, RelayConfig},
    retry::RetryPolicy,
    testing::{Answer, ScriptedPublisher},
};
use tokio::time::{Instant, sleep, timeout};

use crate::*;

#[tokio::test(start_paused = true)]
async fn a_total_order_with_a_full_read_ahead_tries_again() {
    let log = log();
    append(&log, 60, 10);
    let publisher = ScriptedPublisher::new();
    publisher.then(Answer::Publish).then(Answer::Each(Outcome::failed("not yet")));
    let config = RelayConfig { page_size: 10, read_ahead: 20, ..RelayConfig::default() };
    let relay = Relay::new(log.clone(), "/test")
        .config(config)
        .subscription(
            Subscription::new(NAME, publisher.clone())
                .retry(RetryPolicy::fixed(Duration::from_secs(1), 3))
                .ordering(Ordering::Total),
        )
        .spawn();
    sleep(Duration::from_secs(3600)).await;
    assert_eq!(publisher.published().len(), 60, "{:?}", log.holds(NAME));
    relay.stop().await.expect("stops");
}

#[tokio::test(start_paused = true)]
async fn a_total_order_with_a_full_read_ahead_follows_a_replay() {
    use outbox_core::log::{
        Acquired, Due, EventLog as _, Flush, Flushed, Hold, HoldChange, Owner, SubscriptionName,
    };
    let log = log();
    append(&log, 300, 10);
    let publisher = ScriptedPublisher::new();
    let make = || {
        let config = RelayConfig { page_size: 10, read_ahead: 20, ..RelayConfig::default() };
        Relay::new(log.clone(), "/test")
            .config(config)
            .subscription(Subscription::new(NAME, publisher.clone()).ordering(Ordering::Total))
            .spawn()
    };
    let relay = make();
    drained(&log).await;
    relay.stop().await.expect("stops");
    // As a replay under a total order stores it.
    let (name, owner) = (SubscriptionName::new(NAME).expect("name"), Owner::random());
    let Acquired::Leader(stored) = log.acquire(&name, owner, Duration::from_secs(5)).await.expect("a") else {
        panic!()
    };
    let key = || (String::new(), String::new());
    let holds = (1..=300)
        .map(|seq| {
            HoldChange::Insert(Hold {
                seq,
                aggregate: Some(key()),
                state: HoldState::Blocked,
                attempts: 0,
                due: Due::Never,
                last_error: None,
                replay: None,
            })
        })
        .collect();
    let flush = Flush {
        position: stored.position,
        anchor: stored.anchor,
        holes: stored.holes,
        previous_flush_no: stored.flush_no,
        holds,
        ..Flush::default()
    };
    assert_eq!(log.flush(&name, owner, &flush).await.expect("f"), Flushed::Stored);
    log.release(&name, owner).await.expect("r");
    append(&log, 300, 10);
    let relay = make();
    sleep(Duration::from_secs(3600)).await;
    assert_eq!(publisher.published().len(), 900, "held {}", log.holds(NAME).len());
    relay.stop().await.expect("stops");
}

fn topic(topic: &str, aggregate: &str) -> outbox_core::event::NewEvent {
    new_event(topic, aggregate, "x")
}

#[tokio::test(start_paused = true)]
async fn a_retry_of_a_topic_that_is_not_taken_any_more_frees_its_aggregate() {
    let log = log();
    log.append(topic("old", "a"));
    let publisher = ScriptedPublisher::new();
    publisher.always(Answer::Each(Outcome::failed("no")));
    let policy = || RetryPolicy::fixed(Duration::from_secs(5), 3);
    let relay = Relay::new(log.clone(), "/test")
        .subscription(Subscription::new(NAME, publisher.clone()).retry(policy()).topics(["old", "new"]))
        .spawn();
    until("retry", || log.holds(NAME).iter().any(|hold| hold.state == HoldState::Retry)).await;
    relay.stop().await.expect("stops");
    publisher.always(Answer::Publish);
    let relay = Relay::new(log.clone(), "/test")
        .subscription(Subscription::new(NAME, publisher.clone()).retry(policy()).topics(["new"]))
        .spawn();
    log.append(topic("new", "a"));
    sleep(Duration::from_secs(24 * 3600)).await;
    assert_eq!(publisher.published().len(), 1, "{:?}", log.holds(NAME));
    relay.stop().await.expect("stops");
}

#[tokio::test(start_paused = true)]
async fn a_scheduled_event_of_a_topic_that_is_not_taken_any_more_starves_no_retry() {
    let log = log();
    let mut event = topic("old", "a");
    event.deliver_at = Some(chrono::Utc::now() + Duration::from_secs(5));
    log.append(event);
    let publisher = ScriptedPublisher::new();
    let policy = || RetryPolicy::fixed(Duration::from_secs(5), 3);
    let make = |topics: &[&str]| {
        Relay::new(log.clone(), "/test")
            .subscription(
                Subscription::new(NAME, publisher.clone())
                    .retry(policy())
                    .topics(topics.iter().map(|topic| (*topic).to_owned())),
            )
            .spawn()
    };
    let relay = make(&["old", "new"]);
    until("hold", || log.holds(NAME).len() == 1).await;
    relay.stop().await.expect("stops");
    let relay = make(&["new"]);
    sleep(Duration::from_secs(30)).await;
    // Fails once, later ones of other aggregates twice a second too.
    publisher.always(Answer::Each(Outcome::failed("no")));
    let poison = log.append(topic("new", "poison"));
    for n in 0..600 {
        log.append(topic("new", &format!("b{n}")));
        sleep(Duration::from_millis(500)).await;
    }
    let hold = log.holds(NAME).into_iter().find(|hold| hold.seq == poison).expect("held");
    assert_eq!(hold.state, HoldState::Dead, "three attempts, five seconds apart");
    relay.stop().await.expect("stops");
}

#[tokio::test(start_paused = true)]
async fn a_stop_ends_where_nothing_can_be_stored() {
    let log = log();
    append(&log, 5, 5);
    let publisher = ScriptedPublisher::new();
    log.be_busy_for_flushes(usize::MAX);
    let relay = spawn(&log, publisher.clone());
    until("published", || publisher.published().len() == 5).await;
    let stopped = timeout(Duration::from_secs(3600), relay.stop()).await;
    assert!(stopped.is_ok(), "an hour after it was told to stop");
}

#[tokio::test(start_paused = true)]
async fn publishing_pauses_where_nothing_can_be_stored() {
    let log = log();
    let publisher = ScriptedPublisher::new();
    publisher.always(Answer::After(Duration::from_millis(5), Box::new(Answer::Publish)));
    log.be_busy_for_flushes(usize::MAX);
    append(&log, 50_000, 5_000);
    let relay = spawn(&log, publisher.clone());
    sleep(Duration::from_secs(600)).await;
    let published = publisher.published().len();
    assert!(
        published < 25_000,
        "{published} published and not stored: more than a flush interval and a read-ahead"
    );
    log.be_busy_for_flushes(0);
    drained(&log).await;
    assert_eq!(publisher.published().len(), 50_000, "each once");
    relay.stop().await.expect("stops");
}

/// On a clock that runs only while nobody is busy, a leader that spins never gets through the hour.
#[tokio::test(start_paused = true)]
async fn nobody_spins_where_neither_the_broker_nor_the_database_takes_anything() {
    let log = log();
    append(&log, 50, 50);
    let publisher = ScriptedPublisher::new().max_batch(10);
    publisher.then(Answer::Publish).always(Answer::Each(Outcome::unavailable("away")));
    log.be_busy_for_flushes(usize::MAX);
    let relay = spawn(&log, publisher.clone());
    sleep(Duration::from_secs(3600)).await;
    assert!(publisher.published().len() < 50);
    log.be_busy_for_flushes(0);
    publisher.always(Answer::Publish);
    drained(&log).await;
    relay.stop().await.expect("stops");
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_asks_for_an_endless_pause_gets_an_hour() {
    let log = log();
    append(&log, 1, 1);
    let publisher = ScriptedPublisher::new();
    publisher
        .always(Answer::by(|_| Outcome::Throttled { retry_after: Some(Duration::MAX), reason: "x".into() }));
    let relay = spawn(&log, publisher.clone());
    sleep(Duration::from_secs(3600)).await;
    assert!((1..3).contains(&publisher.calls()), "{} calls", publisher.calls());
    relay.stop().await.expect("stops");
}

#[tokio::test(start_paused = true)]
async fn an_intervention_cuts_no_publish_off() {
    let log = log();
    append(&log, 1, 1);
    let publisher = ScriptedPublisher::new();
    publisher.always(Answer::After(Duration::from_secs(9), Box::new(Answer::Publish)));
    let config = RelayConfig { shutdown_deadline: Duration::from_secs(1), ..RelayConfig::default() };
    let relay = spawn_with(&log, publisher.clone(), config);
    until("sent", || publisher.calls() == 1).await;
    log.pause(NAME);
    log.resume(NAME);
    sleep(Duration::from_secs(100)).await;
    assert_eq!(publisher.calls(), 1, "sent once");
    relay.stop().await.expect("stops");
}

#[tokio::test(start_paused = true)]
async fn what_is_released_does_not_hold_up_healthy_aggregates() {
    let log = log();
    append(&log, 10_000, 200);
    let publisher = ScriptedPublisher::new().max_batch(10);
    let slow = |failing: bool| {
        Answer::After(
            Duration::from_millis(20),
            Box::new(Answer::by(move |message| {
                if failing && message.seq <= 200 { Outcome::failed("no") } else { Outcome::published() }
            })),
        )
    };
    publisher.always(slow(true));
    let config = RelayConfig {
        page_size: 10,
        read_ahead: 40,
        max_in_flight: 2,
        poll_max: Duration::from_millis(50),
        ..RelayConfig::default()
    };
    let relay = Relay::new(log.clone(), "/test")
        .config(config)
        .subscription(
            Subscription::new(NAME, publisher.clone()).retry(RetryPolicy::fixed(Duration::from_secs(60), 3)),
        )
        .spawn();
    until("blocked", || log.holds(NAME).len() == 10_000).await;
    publisher.always(slow(false));
    until("released", || publisher.published().len() > 260).await;
    let before = publisher.published().len();
    let healthy = log.append(new_event("orders", "healthy", "x"));
    until("healthy", || publisher.published_seqs().contains(&healthy)).await;
    drained(&log).await;
    relay.stop().await.expect("stops");
    assert!(publisher.published_seqs().iter().position(|seq| *seq == healthy).expect("p") < before + 200);
}

#[tokio::test(start_paused = true)]
async fn linger_is_waited_for_once_and_not_behind_each_event_of_an_aggregate() {
    let log = log();
    append(&log, 20, 1);
    let publisher = ScriptedPublisher::new();
    let relay = Relay::new(log.clone(), "/test")
        .subscription(Subscription::new(NAME, publisher.clone()).linger(Duration::from_secs(1)))
        .spawn();
    let began = Instant::now();
    until("all", || publisher.published().len() == 20).await;
    assert!(began.elapsed() < Duration::from_secs(2));
    relay.stop().await.expect("stops");
}

async fn hot(linger: Duration, in_flight: usize) -> (usize, Duration) {
    let log = log();
    for n in 0..3_000 {
        log.append(new_event("orders", "hot", &n.to_string()));
    }
    let cold = log.append(new_event("orders", "cold", "x"));
    let publisher = ScriptedPublisher::new().max_batch(10);
    publisher.always(Answer::After(Duration::from_millis(10), Box::new(Answer::Publish)));
    let config = RelayConfig { page_size: 100, read_ahead: 200, ..RelayConfig::default() };
    let relay = Relay::new(log.clone(), "/test")
        .config(config)
        .subscription(Subscription::new(NAME, publisher.clone()).linger(linger).max_in_flight(in_flight))
        .spawn();
    let began = Instant::now();
    until("cold", || publisher.published_seqs().contains(&cold)).await;
    let before = publisher.published().len();
    relay.stop().await.expect("stops");
    (before, began.elapsed())
}

#[tokio::test(start_paused = true)]
async fn a_hot_aggregate_holds_up_nobody_whatever_the_limits() {
    for (linger, in_flight) in [(Duration::ZERO, 2), (Duration::ZERO, 1), (Duration::from_millis(500), 16)] {
        let (before, took) = hot(linger, in_flight).await;
        assert!(before < 200, "{before} of 3,000 came first, with {linger:?} and {in_flight}: {took:?}");
    }
}
