//! How fast, how full and how far ahead: rate limits, lingering batches, read-ahead in bytes, batches in flight.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use outbox_core::{
    message::Message,
    publisher::{Outcome, Publisher},
    relay::{RateLimit, RelayConfig, RelayError, SubscriptionConfig},
    retry::RetryPolicy,
    testing::{Answer, ScriptedPublisher},
};
use tokio::time::{Instant, sleep};

use crate::*;

/// What went when.
type Calls = Vec<(Instant, Vec<Seq>)>;

/// Publishes everything and notes when; can hang at an aggregate.
#[derive(Clone, Default)]
struct Clocked {
    calls: Arc<Mutex<Calls>>,
    hangs_at: Option<&'static str>,
    max_batch: Option<usize>,
}

#[async_trait]
impl Publisher for Clocked {
    async fn publish(&self, batch: &[Message]) -> Vec<Outcome> {
        if batch
            .iter()
            .any(|message| message.aggregate_id.as_deref() == self.hangs_at && self.hangs_at.is_some())
        {
            std::future::pending::<()>().await;
        }
        let seqs = batch.iter().map(|message| message.seq).collect();
        self.calls.lock().expect("no panic").push((Instant::now(), seqs));
        vec![Outcome::published(); batch.len()]
    }

    fn max_batch(&self) -> usize {
        self.max_batch.unwrap_or(100)
    }
}

impl Clocked {
    fn calls(&self) -> Calls {
        self.calls.lock().expect("no panic").clone()
    }

    fn published(&self) -> usize {
        self.calls().iter().map(|(_, seqs)| seqs.len()).sum()
    }

    /// The most that went within a second, wherever it begins.
    fn most_in_a_second(&self) -> usize {
        let calls = self.calls();
        let from = |start: Instant| {
            let within = calls.iter().filter(|(at, _)| *at >= start && *at < start + Duration::from_secs(1));
            within.map(|(_, seqs)| seqs.len()).sum::<usize>()
        };
        calls.iter().map(|(at, _)| from(*at)).max().unwrap_or(0)
    }
}

fn spawn_limited(log: &MemoryLog, subscription: Subscription) -> RelayHandle {
    Relay::new(log.clone(), "/test").subscription(subscription).spawn()
}

#[tokio::test(start_paused = true)]
async fn a_take_over_does_not_add_to_the_rate() {
    let (log, publisher) = (log(), Clocked::default());
    append(&log, 600, 600);
    let limited = || Subscription::new(NAME, publisher.clone()).rate_limit(RateLimit::per_second(20));
    let began = Instant::now();
    for _ in 0..4 {
        let relay = spawn_limited(&log, limited());
        sleep(Duration::from_millis(2_300)).await;
        relay.stop().await.expect("stops");
    }
    let relay = spawn_limited(&log, limited());
    drained(&log).await;
    assert_eq!(publisher.published(), 600);
    assert!(publisher.most_in_a_second() <= 20, "{} in a second", publisher.most_in_a_second());
    let took = began.elapsed();
    assert!(took >= Duration::from_secs(29) && took < Duration::from_secs(34), "{took:?}");
    relay.stop().await.expect("stops");
}

#[tokio::test(start_paused = true)]
async fn an_outage_under_a_rate_limit_neither_spins_nor_ends_late() {
    let (log, publisher) = (log(), ScriptedPublisher::new());
    append(&log, 50, 50);
    publisher.always(Answer::Each(Outcome::unavailable("gone fishing")));
    let limit = RateLimit::per_second(5);
    let relay = spawn_limited(&log, Subscription::new(NAME, publisher.clone()).rate_limit(limit));
    sleep(Duration::from_secs(3_600)).await;
    assert!((100..=300).contains(&publisher.calls()), "{} calls in an hour", publisher.calls());
    publisher.always(Answer::Publish);
    let back = Instant::now();
    drained(&log).await;
    assert!(back.elapsed() < Duration::from_secs(30 + 11), "{:?}", back.elapsed());
    relay.stop().await.expect("stops");
}

#[tokio::test(start_paused = true)]
async fn at_a_low_rate_no_event_waits_longer_than_its_batch_may_linger() {
    for (pause, at_most_calls) in [(125, 80), (30, 30)] {
        let (log, publisher) = (log(), Clocked::default());
        let linger = Duration::from_millis(100);
        let relay = spawn_limited(&log, Subscription::new(NAME, publisher.clone()).linger(linger));
        let mut stored = HashMap::new();
        for number in 0..80 {
            let seq = log.append(new_event("orders", &format!("a{number}"), "1"));
            log.tell_news();
            stored.insert(seq, Instant::now());
            sleep(Duration::from_millis(pause)).await;
        }
        drained(&log).await;
        let calls = publisher.calls();
        for (at, seqs) in &calls {
            for seq in seqs {
                let waited = at.duration_since(stored[seq]);
                // The clock goes on in milliseconds, and the read comes first.
                assert!(waited <= linger + Duration::from_millis(5), "{waited:?} at one each {pause} ms");
            }
            assert!(at.duration_since(stored[&seqs[0]]) >= linger, "the first one lingers");
        }
        assert!(calls.len() <= at_most_calls, "{} calls for 80 events at one each {pause} ms", calls.len());
        relay.stop().await.expect("stops");
    }
}

#[tokio::test(start_paused = true)]
async fn a_full_batch_does_not_linger() {
    let (log, publisher) = (log(), Clocked { max_batch: Some(10), ..Clocked::default() });
    let began = Instant::now();
    append(&log, 25, 25);
    let linger = Duration::from_secs(60);
    let relay = spawn_limited(&log, Subscription::new(NAME, publisher.clone()).linger(linger));
    until("the full batches", || publisher.published() == 20).await;
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    drained(&log).await;
    assert!(began.elapsed() >= linger && began.elapsed() < linger + Duration::from_secs(1));
    assert_eq!(publisher.calls().len(), 3);
    relay.stop().await.expect("stops");
}

/// How many of so many events a relay has read while its publisher answers nothing.
async fn read_ahead_of(events: usize, bytes: usize, config: RelayConfig) -> Seq {
    let (log, publisher) = (log(), ScriptedPublisher::new());
    publisher.always(Answer::Hang);
    let payload = "x".repeat(bytes);
    for number in 0..events {
        log.append(new_event("orders", &format!("a{number}"), &payload));
    }
    let relay = spawn_with(&log, publisher.clone(), config);
    sleep(Duration::from_secs(5)).await;
    let read = log.subscription(NAME).expect("registered").progress.position;
    publisher.always(Answer::Publish);
    drained(&log).await;
    assert_complete_and_ordered(&publisher.published(), &log.committed());
    relay.stop().await.expect("stops");
    read
}

#[tokio::test(start_paused = true)]
async fn large_events_fill_the_read_ahead_by_their_bytes_and_all_get_through() {
    let config = || RelayConfig { read_ahead_bytes: 1_000_000, ..RelayConfig::default() };
    let read = read_ahead_of(60, 50_000, config()).await;
    assert!((15..=20).contains(&read), "{read} events of 50 kB in a million bytes");
    assert_eq!(
        read_ahead_of(3, 3_000_000, config()).await,
        1,
        "one that is larger than the bound still goes"
    );
    assert_eq!(read_ahead_of(400, 10, config()).await, 400, "small ones are bounded by their number only");
}

#[tokio::test(start_paused = true)]
async fn events_that_grow_from_one_page_to_the_next_do_not_burst_the_bound() {
    let (log, publisher) = (log(), ScriptedPublisher::new());
    publisher.always(Answer::Hang);
    let small = append(&log, 300, 300).len();
    for number in 0..60 {
        log.append(new_event("orders", &format!("b{number}"), &"x".repeat(100_000)));
    }
    let config = RelayConfig { read_ahead_bytes: 2_000_000, ..RelayConfig::default() };
    let relay = spawn_with(&log, publisher.clone(), config);
    sleep(Duration::from_secs(5)).await;
    let read =
        usize::try_from(log.subscription(NAME).expect("registered").progress.position).expect("positive");
    assert!(read >= small && read <= small + 21, "{} large ones", read - small);
    publisher.always(Answer::Publish);
    drained(&log).await;
    assert_complete_and_ordered(&publisher.published(), &log.committed());
    relay.stop().await.expect("stops");
}

#[tokio::test(start_paused = true)]
async fn a_call_that_hangs_holds_one_place_and_one_aggregate() {
    let hangs = Clocked { hangs_at: Some("a3"), max_batch: Some(1), ..Clocked::default() };
    let (log, began) = (log(), Instant::now());
    let seqs = append(&log, 100, 10);
    let relay = spawn_limited(&log, Subscription::new(NAME, hangs.clone()).max_in_flight(2));
    until("the other aggregates", || hangs.published() == 90).await;
    assert!(began.elapsed() < RelayConfig::default().publish_timeout, "while it still hangs");
    let of_the_slow = |seq: &Seq| (seq - seqs[3]) % 10 == 0;
    assert!(!hangs.calls().iter().any(|(_, seqs)| seqs.iter().any(of_the_slow)), "it is not overtaken");
    relay.stop().await.expect("stops");
}

#[tokio::test(start_paused = true)]
async fn a_subscription_has_a_bound_of_its_own_for_what_is_in_flight() {
    let (log, publisher) = (log(), ScriptedPublisher::new().max_batch(1));
    publisher.always(Answer::Hang);
    append(&log, 50, 50);
    let relay = spawn_limited(&log, Subscription::new(NAME, publisher.clone()).max_in_flight(3));
    sleep(Duration::from_secs(5)).await;
    assert_eq!(publisher.calls(), 3);
    publisher.always(Answer::Publish);
    drained(&log).await;
    relay.stop().await.expect("stops");
}

#[tokio::test(start_paused = true)]
async fn a_choice_out_of_range_is_refused_with_the_names_of_subscription_and_field() {
    let refused = async |subscription: Subscription| {
        let relay = Relay::new(log(), "/test").subscription(subscription);
        let error = relay.run_until(std::future::pending()).await.expect_err("out of range");
        assert!(matches!(error, RelayError::Policy { .. }), "{error:?}");
        error.to_string()
    };
    let new = || Subscription::new(NAME, ScriptedPublisher::new());
    let table = [
        (new().max_in_flight(0), "subscription `test`: `max_in_flight` must be at least 1, found 0"),
        (new().linger(Duration::from_secs(61)), "`linger` must be at most 60s, found 61s"),
        (new().rate_limit(RateLimit::per_second(0)), "`rate_limit.per_second` must be at least 1, found 0"),
        (
            new().rate_limit(RateLimit::per_second(1).and_per_day(0)),
            "`rate_limit.per_day` must be at least 1, found 0",
        ),
        (
            new().retry_for("order.paid", RetryPolicy::exponential(Duration::ZERO, Duration::ZERO, 1)),
            "`exponential.base` must be at least 1ms, found 0ns",
        ),
        (
            new().config(SubscriptionConfig { max_in_flight: Some(0), ..SubscriptionConfig::default() }),
            "`max_in_flight` must be at least 1, found 0",
        ),
    ];
    for (subscription, expected) in table {
        let error = refused(subscription).await;
        assert!(error.contains(expected), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_subscription_follows_its_configuration() {
    let (log, publisher) = (log(), Clocked { max_batch: Some(1), ..Clocked::default() });
    append(&log, 40, 40);
    let text = r#"{"rate_limit": {"per_second": 10}, "topics": ["orders"]}"#;
    let config: SubscriptionConfig = serde_json::from_str(text).expect("valid");
    log.append(new_event("mail", "m", "1"));
    let relay = spawn_limited(&log, Subscription::new(NAME, publisher.clone()).config(config));
    until("all orders", || publisher.published() == 40).await;
    assert!(publisher.most_in_a_second() <= 10);
    sleep(Duration::from_secs(10)).await;
    assert_eq!(publisher.published(), 40, "and nothing of another topic");
    relay.stop().await.expect("stops");
}
