//! The broker in this process behaves as a queue service does.

use std::time::Duration;

use outbox_core::{
    memory::{BrokerConfig, Depth, Faults, MemoryBroker},
    message::Message,
    publisher::{Outcome, Publisher},
    source::{Incoming, Source},
    wire::Encoded,
};
use tokio::time::{Instant, sleep};
use uuid::Uuid;

const QUEUE: &str = "orders";

fn messages(count: usize) -> Vec<Message> {
    let message = || Message::new(Uuid::now_v7(), "/test", QUEUE, "test.happened", r#"{"a":1}"#);
    (0..count).map(|_| message()).collect()
}

async fn send(broker: &MemoryBroker, count: usize) {
    let outcomes = broker.publisher().publish(&messages(count)).await;
    assert!(outcomes.len() == count && outcomes.iter().all(Outcome::is_published), "{outcomes:?}");
}

async fn receive(broker: &MemoryBroker, max: usize) -> Vec<Incoming> {
    broker.source(QUEUE).receive(max).await.expect("there")
}

#[tokio::test(start_paused = true)]
async fn what_is_not_acknowledged_comes_again_when_its_visibility_ends() {
    let broker = MemoryBroker::new();
    send(&broker, 3).await;
    let first = receive(&broker, 10).await;
    assert_eq!(first.iter().map(|one| one.attempt).collect::<Vec<_>>(), [1, 1, 1]);
    assert!(receive(&broker, 10).await.is_empty(), "invisible to others");
    let source = broker.source(QUEUE);
    assert!(source.ack(&[first[0].receipt.clone()]).await.expect("there").is_empty());
    source.extend(&first[1].receipt, Duration::from_secs(60)).await.expect("there");
    sleep(Duration::from_secs(30)).await;

    let again = receive(&broker, 10).await;
    assert_eq!(again.len(), 1, "neither the acknowledged one nor the extended one");
    assert_eq!(again[0].attempt, 2);
    let late = source.ack(&[first[2].receipt.clone(), again[0].receipt.clone()]).await.expect("there");
    assert_eq!(late, [first[2].receipt.clone()], "an old receipt acknowledges nothing and says so");
    assert_eq!(broker.depth(QUEUE), Depth { in_flight: 1, ..Depth::default() });
}

#[tokio::test(start_paused = true)]
async fn what_is_given_back_comes_again_after_its_delay() {
    let broker = MemoryBroker::new();
    send(&broker, 1).await;
    let first = receive(&broker, 1).await;
    let source = broker.source(QUEUE);
    source.nack(&first[0].receipt, Duration::from_millis(700)).await.expect("there");
    let began = Instant::now();
    let again = receive(&broker, 1).await;
    assert_eq!(again[0].attempt, 2);
    assert!(began.elapsed() >= Duration::from_millis(700) && began.elapsed() < Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn a_waiting_receive_is_woken_by_an_arrival() {
    let broker = MemoryBroker::new();
    let waiting = tokio::spawn({
        let broker = broker.clone();
        async move { receive(&broker, 10).await.len() }
    });
    sleep(Duration::from_millis(100)).await;
    let began = Instant::now();
    send(&broker, 1).await;
    assert_eq!(waiting.await.expect("no panic"), 1);
    assert!(began.elapsed() < Duration::from_millis(10));
}

#[tokio::test(start_paused = true)]
async fn what_was_delivered_too_often_is_kept_aside() {
    let config = BrokerConfig { max_deliveries: Some(3), ..BrokerConfig::default() };
    let broker = MemoryBroker::with_config(config);
    send(&broker, 1).await;
    for attempt in 1..=3 {
        let one = receive(&broker, 1).await;
        assert_eq!(one[0].attempt, attempt);
        broker.source(QUEUE).nack(&one[0].receipt, Duration::ZERO).await.expect("there");
    }
    assert!(receive(&broker, 1).await.is_empty());
    assert_eq!(broker.depth(QUEUE), Depth { dead: 1, ..Depth::default() });
    assert_eq!(broker.dead(QUEUE).expect("a message").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_refuses_until_there_is_room() {
    let broker = MemoryBroker::with_config(BrokerConfig { capacity: 2, ..BrokerConfig::default() });
    let outcomes = broker.publisher().publish(&messages(3)).await;
    assert_eq!(outcomes.iter().map(Outcome::is_published).collect::<Vec<_>>(), [true, true, false]);
    assert!(matches!(outcomes[2], Outcome::Unavailable { .. }), "{outcomes:?}");
    let one = receive(&broker, 1).await;
    broker.source(QUEUE).ack(&[one[0].receipt.clone()]).await.expect("there");
    send(&broker, 1).await;
}

#[tokio::test(start_paused = true)]
async fn a_body_that_is_no_message_is_delivered_as_such() {
    let broker = MemoryBroker::new();
    broker.put(QUEUE, Encoded { body: "no message".into(), attributes: Vec::new() });
    assert!(receive(&broker, 1).await[0].message.is_err());
}

#[tokio::test(start_paused = true)]
async fn faults_are_decided_by_the_seed() {
    let run = async |seed| {
        let faults = Faults { seed, duplicate: 0.2, fail: 0.2, unavailable: 0.1, ..Faults::default() };
        let broker = MemoryBroker::with_config(BrokerConfig { faults, ..BrokerConfig::default() });
        let mut published = Vec::new();
        for _ in 0..50 {
            let outcomes = broker.publisher().publish(&messages(10)).await;
            published.extend(outcomes.iter().map(Outcome::is_published));
        }
        (published, broker.depth(QUEUE).ready)
    };
    let (published, stored) = run(7).await;
    assert_eq!((published.clone(), stored), run(7).await);
    assert_ne!(published, run(8).await.0);
    let count = published.iter().filter(|published| **published).count();
    assert!((250..=450).contains(&count), "{count} of 500");
    assert!(stored > count + count / 10, "some are stored twice: {stored} of {count}");
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_lost_leaves_the_messages_stored() {
    let faults = Faults { lose_answer: 1.0, ..Faults::default() };
    let broker = MemoryBroker::with_config(BrokerConfig { faults, ..BrokerConfig::default() });
    let outcomes = broker.publisher().publish(&messages(4)).await;
    assert!(outcomes.iter().all(|outcome| matches!(outcome, Outcome::Failed { .. })));
    assert_eq!(broker.depth(QUEUE).ready, 4);
}
