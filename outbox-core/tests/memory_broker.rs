//! The broker in this process behaves as a queue service does.

use std::time::Duration;

use outbox_core::{
    memory::{BrokerConfig, Depth, Faults, MemoryBroker},
    message::Message,
    publisher::{Outcome, Publisher, PublisherHealth},
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

/// The event of this number of an order.
fn of(order: &str, number: u32) -> Message {
    let mut message =
        Message::new(Uuid::now_v7(), "/test", QUEUE, "test.happened", format!("\"{order}{number}\""));
    message.aggregate_type = Some("order".into());
    message.aggregate_id = Some(order.into());
    message
}

fn payloads(received: &[Incoming]) -> Vec<String> {
    let payload =
        |one: &Incoming| one.message.as_ref().expect("a message").payload.trim_matches('"').to_owned();
    received.iter().map(payload).collect()
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
    assert_eq!(again[0].broker_id, first[2].broker_id, "the same message");
    assert_ne!(again[0].broker_id, first[1].broker_id, "another");
    let late = source.ack(&[first[2].receipt.clone(), again[0].receipt.clone()]).await.expect("there");
    assert_eq!(late, [first[2].receipt.clone()], "an old receipt acknowledges nothing and says so");
    assert_eq!(broker.depth(QUEUE), Depth { in_flight: 1, ..Depth::default() });
}

#[tokio::test(start_paused = true)]
async fn a_later_event_of_an_aggregate_never_overtakes_an_earlier_one() {
    let broker = MemoryBroker::new();
    let source = broker.source(QUEUE);
    let events = [("a", 1), ("a", 2), ("b", 1), ("a", 3), ("b", 2)].map(|(id, number)| of(id, number));
    let _ = broker.publisher().publish(&events).await;

    let first = receive(&broker, 10).await;
    assert_eq!(payloads(&first), ["a1", "b1"], "one of each");
    assert_eq!(first[0].group.as_deref(), Some("order/a"));
    assert_eq!(broker.depth(QUEUE), Depth { ready: 3, in_flight: 2, ..Depth::default() });
    assert!(receive(&broker, 10).await.is_empty(), "the others stand behind those that are out");

    source.nack(&first[0].receipt, Duration::from_millis(500)).await.expect("there");
    source.ack(&[first[1].receipt.clone()]).await.expect("there");
    assert_eq!(payloads(&receive(&broker, 10).await), ["b2"], "a2 waits for a1, which is delayed");
    let again = receive(&broker, 10).await;
    assert_eq!((payloads(&again), again[0].attempt), (vec!["a1".to_owned()], 2));
    sleep(Duration::from_secs(30)).await;
    assert_eq!(payloads(&receive(&broker, 10).await), ["b2", "a1"], "also where the visibility ended");
}

#[tokio::test(start_paused = true)]
async fn an_acknowledgement_wakes_one_who_waits_for_the_next_of_the_aggregate() {
    let broker = MemoryBroker::new();
    let _ = broker.publisher().publish(&[of("a", 1), of("a", 2)]).await;
    let first = receive(&broker, 10).await;
    let waiting = tokio::spawn({
        let broker = broker.clone();
        async move { payloads(&receive(&broker, 10).await) }
    });
    sleep(Duration::from_millis(100)).await;
    let began = Instant::now();
    broker.source(QUEUE).ack(&[first[0].receipt.clone()]).await.expect("there");
    assert_eq!(waiting.await.expect("no panic"), ["a2"]);
    assert!(began.elapsed() < Duration::from_millis(10));
}

#[tokio::test(start_paused = true)]
async fn a_confirmed_event_is_not_published_before_a_consumer_has_acknowledged_it() {
    let broker = MemoryBroker::new();
    let batch = messages(1);
    let publishing = tokio::spawn({
        let (publisher, batch) = (broker.publisher().confirmed(), batch.clone());
        async move { publisher.publish(&batch).await }
    });
    let one = receive(&broker, 1).await;
    sleep(Duration::from_secs(5)).await;
    assert!(!publishing.is_finished(), "received, and lost if the process ended now");
    broker.source(QUEUE).ack(&[one[0].receipt.clone()]).await.expect("there");
    assert_eq!(publishing.await.expect("no panic"), [Outcome::published()]);
}

#[tokio::test(start_paused = true)]
async fn what_is_not_acknowledged_in_time_is_not_published_and_is_stored_once_however_often_it_is_sent() {
    let broker = MemoryBroker::new();
    let publisher = broker.publisher().confirmed();
    let batch = messages(3);
    let limit = Duration::from_secs(9);
    for _ in 0..3 {
        let outcomes = publisher.publish_within(&batch, limit).await;
        assert!(
            outcomes.iter().all(|outcome| matches!(outcome, Outcome::Unavailable { .. })),
            "{outcomes:?}"
        );
    }
    assert_eq!(broker.depth(QUEUE).total(), 3);

    let (outcomes, ()) = tokio::join!(publisher.publish_within(&batch, limit), async {
        let all = receive(&broker, 10).await;
        broker.source(QUEUE).ack(&[all[1].receipt.clone()]).await.expect("there");
    });
    let published: Vec<_> = outcomes.iter().map(Outcome::is_published).collect();
    assert_eq!(published, [false, true, false], "one that is slow takes no other along");
}

#[tokio::test(start_paused = true)]
async fn a_confirmed_event_that_was_received_too_often_is_not_published_and_lets_its_aggregate_go_on() {
    let config = BrokerConfig { max_deliveries: Some(1), ..BrokerConfig::default() };
    let broker = MemoryBroker::with_config(config);
    let publisher = broker.publisher().confirmed();
    let (batch, source) = ([of("a", 1), of("a", 2)], broker.source(QUEUE));
    let (outcomes, ()) = tokio::join!(publisher.publish(&batch), async {
        let first = receive(&broker, 10).await;
        source.nack(&first[0].receipt, Duration::ZERO).await.expect("there");
        let next = receive(&broker, 10).await;
        assert_eq!(payloads(&next), ["a2"]);
        source.ack(&[next[0].receipt.clone()]).await.expect("there");
    });
    assert!(matches!(outcomes[0], Outcome::Failed { .. }), "{outcomes:?}");
    assert!(outcomes[1].is_published());
}

#[tokio::test(start_paused = true)]
async fn dead_messages_fill_a_queue_until_they_are_taken() {
    let config = BrokerConfig { capacity: 2, max_deliveries: Some(1), ..BrokerConfig::default() };
    let broker = MemoryBroker::with_config(config);
    send(&broker, 2).await;
    for one in receive(&broker, 10).await {
        broker.source(QUEUE).nack(&one.receipt, Duration::ZERO).await.expect("there");
    }
    assert!(receive(&broker, 10).await.is_empty());
    assert_eq!(broker.depth(QUEUE), Depth { dead: 2, ..Depth::default() });
    assert!(!broker.publisher().publish(&messages(1)).await[0].is_published(), "no room for more");
    assert_eq!(broker.take_dead(QUEUE).len(), 2);
    assert_eq!(broker.depth(QUEUE), Depth::default());
    send(&broker, 2).await;
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
    assert_eq!(broker.dead(QUEUE).len(), 1);
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

#[tokio::test(start_paused = true)]
async fn a_publisher_tells_of_a_broker_that_is_away_and_of_a_full_queue() {
    let broker = MemoryBroker::with_config(BrokerConfig { capacity: 2, ..BrokerConfig::default() });
    let publisher = broker.publisher().route("orders", QUEUE);
    assert_eq!(publisher.health().await, PublisherHealth::Healthy);
    broker.set_away(true);
    assert!(publisher.health().await.is_unhealthy());
    broker.set_away(false);
    broker.publisher().publish(&messages(2)).await;
    let full = publisher.health().await;
    assert!(matches!(&full, PublisherHealth::Unhealthy { reason } if reason.contains(QUEUE)), "{full:?}");
}
