//! What there is no time for, and queues that hang: on a clock of their own.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use aws_credential_types::provider::{ProvideCredentials, future};
use aws_sdk_sqs::config::{Credentials, IdentityCache};
use outbox_core::{
    log::HoleProof,
    relay::{Relay, Subscription},
    testing::{MemoryLog, new_event},
};
use serde_json::Value;
use uuid::Uuid;

use super::*;
use crate::{
    publisher::tests::all_sent,
    stub::{Answer, Requests, client},
};

const FIFO: &str = "http://sqs.invalid/1/orders.fifo";

/// Each request takes so long, but for the first ones, which never end.
#[derive(Debug)]
struct Pace {
    begun: Arc<AtomicUsize>,
    hanging: AtomicUsize,
    each: Duration,
}

impl ProvideCredentials for Pace {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        self.begun.fetch_add(1, SeqCst);
        let hangs = self.hanging.fetch_update(SeqCst, SeqCst, |left| left.checked_sub(1)).is_ok();
        future::ProvideCredentials::new(async move {
            if hangs {
                std::future::pending::<()>().await;
            }
            tokio::time::sleep(self.each).await;
            Ok(Credentials::new("test", "test", None, None, "test"))
        })
    }
}

fn paced(hanging: usize, each: Duration) -> (Client, Requests) {
    let (client, requests, _) = counted(hanging, each);
    (client, requests)
}

/// The same, and how many requests were begun.
fn counted(hanging: usize, each: Duration) -> (Client, Requests, Arc<AtomicUsize>) {
    let answer = |request: &Value| {
        if request["Entries"].is_array() { all_sent(request) } else { Answer::body(&"{}") }
    };
    let (client, requests) = client(answer);
    let begun = Arc::new(AtomicUsize::new(0));
    let pace = Pace { begun: begun.clone(), hanging: AtomicUsize::new(hanging), each };
    let config = client.config().to_builder().identity_cache(IdentityCache::no_cache());
    (Client::from_conf(config.credentials_provider(pace).build()), requests, begun)
}

fn message(topic: &str, aggregate: &str) -> Message {
    let mut message = Message::new(Uuid::now_v7(), "/shop", topic, "order.placed", "1");
    message.aggregate_type = Some("order".to_owned());
    message.aggregate_id = Some(aggregate.to_owned());
    message
}

#[tokio::test(start_paused = true)]
async fn what_of_a_long_group_there_is_no_time_for_is_not_begun_and_is_no_outage() {
    let (client, _, begun) = counted(0, Duration::from_millis(130));
    let publisher = SqsPublisher::new(client).route("orders", FIFO);
    let batch: Vec<Message> = (0..100).map(|_| message("orders", "a")).collect();

    let outcomes = publisher.publish_within(&batch, Duration::from_secs(9)).await;

    let published = outcomes.iter().take_while(|outcome| outcome.is_published()).count();
    assert!(published >= 60, "{published} in the time for 69");
    let rest = &outcomes[published..];
    assert!(rest.iter().all(|outcome| matches!(outcome, Outcome::HeldBack { .. })), "{rest:?}");
    assert_eq!(begun.load(SeqCst), published, "none was cut");
}

/// The second round takes far longer than the first.
#[tokio::test(start_paused = true)]
async fn a_round_that_is_cut_behind_one_that_was_answered_is_no_outage() {
    let (client, _) = paced(0, Duration::from_secs(5));
    let publisher = SqsPublisher::new(client).route("orders", FIFO);
    let limit = Duration::from_millis(10_500);
    let outcomes = publisher.publish_within(&[message("orders", "a"), message("orders", "a")], limit).await;
    assert!(outcomes.iter().all(Outcome::is_published), "there is time for two: {outcomes:?}");

    // The answer to the first counts, and the second hangs.
    let (client, requests) = client_that_hangs_after(1);
    let publisher = SqsPublisher::new(client).route("orders", FIFO);
    let outcomes = publisher.publish_within(&[message("orders", "a"), message("orders", "a")], limit).await;
    assert!(outcomes[0].is_published() && matches!(outcomes[1], Outcome::HeldBack { .. }), "{outcomes:?}");
    assert_eq!(requests.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_relay_drains_one_long_group_at_the_pace_of_the_queue() {
    let each = Duration::from_millis(97);
    let (client, _) = paced(0, each);
    let publisher =
        SqsPublisher::new(client).route("orders", FIFO).group_by(GroupBy::Header("tenant".to_owned()));
    let log = MemoryLog::new(HoleProof::WriterList);
    let events = 1_000;
    for number in 0..events {
        let mut event = new_event("orders", &format!("a{number}"), "1");
        event.headers.insert("tenant", "acme");
        log.append(event);
    }
    let began = Instant::now();
    let relay = Relay::new(log.clone(), "/shop")
        .subscription(Subscription::new("sqs", publisher).max_in_flight(1))
        .spawn();
    for _ in 0..6_000 {
        if log.is_drained("sqs") {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let took = began.elapsed();
    relay.stop().await.expect("it stops");
    assert!(log.is_drained("sqs"));
    // By the clock of the test: a pause for an outage would be seconds each.
    assert!(took < each * (events + events / 4), "took {took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_queue_that_hangs_takes_no_turn_of_another() {
    // The queue that is first in order takes ten requests, all that one queue may have.
    let (client, requests) = paced(10, Duration::ZERO);
    let publisher = SqsPublisher::new(client)
        .route("bad", "http://sqs.invalid/1/bad")
        .route("good", "http://sqs.invalid/1/good");
    let bad = (0..95).map(|_| message("bad", "a"));
    let batch: Vec<Message> = bad.chain((0..5).map(|_| message("good", "b"))).collect();

    let outcomes = publisher.publish_within(&batch, Duration::from_secs(9)).await;

    let (bad, good) = outcomes.split_at(95);
    assert!(bad.iter().all(|outcome| matches!(outcome, Outcome::Unavailable { .. })), "{bad:?}");
    assert!(good.iter().all(Outcome::is_published), "{good:?}");
    assert_eq!(requests.count(), 1);
}

/// Answers so many requests at once, and none after them.
fn client_that_hangs_after(count: usize) -> (Client, Requests) {
    #[derive(Debug)]
    struct Until(AtomicUsize);
    impl ProvideCredentials for Until {
        fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
        where
            Self: 'a,
        {
            let is_left = self.0.fetch_update(SeqCst, SeqCst, |left| left.checked_sub(1)).is_ok();
            future::ProvideCredentials::new(async move {
                if !is_left {
                    std::future::pending::<()>().await;
                }
                Ok(Credentials::new("test", "test", None, None, "test"))
            })
        }
    }
    let (client, requests) = client(all_sent);
    let config = client.config().to_builder().identity_cache(IdentityCache::no_cache());
    let config = config.credentials_provider(Until(AtomicUsize::new(count)));
    (Client::from_conf(config.build()), requests)
}
