//! The cases.

use std::{collections::BTreeSet, time::Duration};

use futures_util::future::join_all;
use uuid::Uuid;

use super::{
    PublisherFixture,
    messages::{TOPIC, arrived, message, messages},
};
use crate::{
    message::{Message, names},
    publisher::{Outcome, Publisher, PublisherHealth, Topics},
};

async fn publish_all(publisher: &impl Publisher, batch: &[Message]) {
    let outcomes = publisher.publish(batch).await;
    assert_eq!(outcomes.len(), batch.len(), "one outcome for each message");
    for (message, outcome) in batch.iter().zip(&outcomes) {
        assert!(outcome.is_published(), "message {}: {outcome:?}", message.seq);
    }
}

/// As many messages as the publisher takes at once: each has an outcome, and each arrives.
///
/// # Panics
/// Where the case fails.
pub async fn every_message_of_a_full_batch_has_its_outcome_and_arrives(fixture: &impl PublisherFixture) {
    let publisher = fixture.publisher().await;
    publisher.start().await.expect("a publisher with good settings starts");
    assert!(publisher.max_batch() >= 1, "a batch holds at least one message");
    let batch = messages(publisher.max_batch().min(1_000));
    publish_all(&publisher, &batch).await;
    arrived(fixture, &batch).await;
}

/// Nothing to send is no failure.
///
/// # Panics
/// Where the case fails.
pub async fn an_empty_batch_has_no_outcomes(fixture: &impl PublisherFixture) {
    assert_eq!(fixture.publisher().await.publish(&[]).await, []);
}

/// Id, source, type, version, aggregate, number, time and headers arrive as they were sent.
///
/// # Panics
/// Where the case fails.
pub async fn nothing_of_a_message_is_lost_on_the_way(fixture: &impl PublisherFixture) {
    let publisher = fixture.publisher().await;
    let mut sent = message(4_711);
    sent.event_version = 3;
    sent.headers.insert(names::CORRELATION_ID, "c-1");
    sent.headers.insert(names::CAUSATION_ID, "c-0");
    sent.headers.insert(names::TRACEPARENT, "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
    publish_all(&publisher, std::slice::from_ref(&sent)).await;
    let received = arrived(fixture, std::slice::from_ref(&sent)).await.swap_remove(0);
    assert_eq!(received.id, sent.id.to_string());
    assert_eq!(received.source, &*sent.source);
    assert_eq!(received.event_type, sent.event_type);
    assert_eq!(received.event_version, sent.event_version);
    assert_eq!(received.aggregate_type, sent.aggregate_type);
    assert_eq!(received.aggregate_id, sent.aggregate_id);
    assert_eq!(received.sequence, Some(sent.seq));
    assert_eq!(received.occurred_at, Some(sent.occurred_at));
    for name in [names::CORRELATION_ID, names::CAUSATION_ID, names::TRACEPARENT] {
        assert_eq!(received.headers.get(name), sent.headers.get(name), "{name}");
    }
}

/// A payload is passed through, not read and written anew: numbers keep their digits, text its escapes.
///
/// # Panics
/// Where the case fails.
pub async fn a_payload_arrives_as_it_was_written(fixture: &impl PublisherFixture) {
    let publisher = fixture.publisher().await;
    let payloads = [
        r#"{"b":1.0,"a":12345678901234567890,"c":1e400}"#,
        r#"{"text":"\u00e9 é 😀 \" \\ \n <&> ]]>"}"#,
        r#""just text""#,
        "null",
        "[]",
    ];
    for (payload, number) in payloads.into_iter().zip(1..) {
        let sent = Message { payload: payload.to_owned(), ..message(number) };
        publish_all(&publisher, std::slice::from_ref(&sent)).await;
        let received = arrived(fixture, &[sent]).await.swap_remove(0);
        assert_eq!(received.payload, payload);
    }
}

/// A relay publishes several batches at once.
///
/// # Panics
/// Where the case fails.
pub async fn batches_at_the_same_time_do_not_mix_up_their_outcomes(fixture: &impl PublisherFixture) {
    let publisher = fixture.publisher().await;
    let batches: Vec<_> = (0..8).map(|_| messages(publisher.max_batch().min(10))).collect();
    join_all(batches.iter().map(|batch| publish_all(&publisher, batch))).await;
    arrived(fixture, &batches.concat()).await;
}

/// One message that can never go does not take the others of its batch with it, and its outcome is its own.
///
/// # Panics
/// Where the case fails.
pub async fn a_message_without_a_route_is_rejected_and_the_rest_is_sent(fixture: &impl PublisherFixture) {
    let stray = Message { topic: format!("not-{TOPIC}"), ..message(2) };
    rejects_only(fixture, stray).await;
}

/// The same for a message that is larger than the broker's `limit`.
///
/// # Panics
/// Where the case fails.
pub async fn a_message_that_is_too_large_is_rejected_and_the_rest_is_sent(
    fixture: &impl PublisherFixture,
    limit: usize,
) {
    let oversize = Message { payload: format!("\"{}\"", "x".repeat(limit)), ..message(2) };
    rejects_only(fixture, oversize).await;
}

async fn rejects_only(fixture: &impl PublisherFixture, misfit: Message) {
    let publisher = fixture.publisher().await;
    let alone = publisher.publish(std::slice::from_ref(&misfit)).await;
    assert!(
        matches!(alone.as_slice(), [Outcome::Rejected { .. }]),
        "expected one rejection, found {alone:?}"
    );
    if publisher.max_batch() < 3 {
        return;
    }
    let batch = [message(1), misfit, message(3)];
    let outcomes = publisher.publish(&batch).await;
    let [first, rejected, last] = outcomes.as_slice() else {
        panic!("expected three outcomes, found {outcomes:?}");
    };
    assert!(first.is_published() && last.is_published(), "{outcomes:?}");
    assert!(matches!(rejected, Outcome::Rejected { .. }), "{outcomes:?}");
    let [first, _, last] = batch;
    arrived(fixture, &[first, last]).await;
}

/// Large messages that fit by themselves do not reject each other, however few of them the broker takes in one request.
///
/// # Panics
/// Where the case fails.
pub async fn large_messages_of_one_batch_do_not_reject_each_other(
    fixture: &impl PublisherFixture,
    limit: usize,
) {
    let publisher = fixture.publisher().await;
    let payload = format!("\"{}\"", "x".repeat(limit / 3));
    // What the publisher says that it takes at once.
    let fits = (publisher.max_batch_bytes() / payload.len()).max(1);
    let count = publisher.max_batch().min(fits).min(5);
    let batch: Vec<_> =
        (1..).take(count).map(|number| Message { payload: payload.clone(), ..message(number) }).collect();
    publish_all(&publisher, &batch).await;
    arrived(fixture, &batch).await;
}

/// A message without an aggregate goes out as well, and arrives without one.
///
/// # Panics
/// Where the case fails.
pub async fn a_message_without_an_aggregate_arrives_without_one(fixture: &impl PublisherFixture) {
    let publisher = fixture.publisher().await;
    let alone = |number| Message { aggregate_type: None, aggregate_id: None, ..message(number) };
    let batch: Vec<_> = (1..=2).map(alone).take(publisher.max_batch()).collect();
    publish_all(&publisher, &batch).await;
    for received in arrived(fixture, &batch).await {
        assert_eq!((received.aggregate_type, received.aggregate_id), (None, None));
    }
}

/// A replay has the id of the first delivery. A broker that de-duplicates must not swallow it, and consumers tell it by
/// its replay id.
///
/// # Panics
/// Where the case fails.
pub async fn a_replay_is_not_swallowed_and_carries_its_id(fixture: &impl PublisherFixture) {
    let publisher = fixture.publisher().await;
    let first = message(1);
    publish_all(&publisher, std::slice::from_ref(&first)).await;
    let received = arrived(fixture, std::slice::from_ref(&first)).await.swap_remove(0);
    assert_eq!(received.replay, None);
    let replay = Uuid::new_v4();
    let again = [Message { replay: Some(replay), ..first }];
    publish_all(&publisher, &again).await;
    let expected = Some(replay.to_string());
    // An at-least-once broker may deliver the first one twice meanwhile.
    for _ in 0..10 {
        if arrived(fixture, &again).await.iter().any(|received| received.replay == expected) {
            return;
        }
    }
    panic!("expected the message to arrive with replay {replay}, found it without, ten times");
}

/// Each message has an id of the broker's own, by which its log finds the message again.
///
/// # Panics
/// Where the case fails.
pub async fn each_message_is_named_by_the_broker(fixture: &impl PublisherFixture) {
    let publisher = fixture.publisher().await;
    let batch = messages(publisher.max_batch().min(5));
    let mut names = BTreeSet::new();
    for outcome in publisher.publish(&batch).await {
        match outcome {
            Outcome::Published { broker_id: Some(id) } => names.insert(id),
            other => panic!("expected a message with an id of the broker's, found {other:?}"),
        };
    }
    assert_eq!(names.len(), batch.len(), "found {names:?}");
}

/// A subscription takes its topics from its publisher: one that is not told is never read.
///
/// # Panics
/// Where the case fails.
pub async fn the_topics_of_its_routes_are_told(fixture: &impl PublisherFixture) {
    match fixture.publisher().await.topics() {
        Topics::Only(topics) => assert!(topics.contains(TOPIC), "found {topics:?}"),
        Topics::All => panic!("expected the topics of its routes, found all"),
    }
}

/// Several messages of an aggregate in one batch, where the publisher says that it keeps their order.
///
/// # Panics
/// Where the case fails.
pub async fn an_aggregate_arrives_in_the_order_of_one_batch(fixture: &impl PublisherFixture) {
    let publisher = fixture.publisher().await;
    if !publisher.keeps_order_in_batch() {
        return;
    }
    let count = i64::try_from(publisher.max_batch().min(10)).unwrap_or(1);
    let aggregate = message(1).aggregate_id;
    let events: Vec<_> =
        (1..=count).map(|number| Message { aggregate_id: aggregate.clone(), ..message(number) }).collect();
    publish_all(&publisher, &events).await;
    let mut order: Vec<_> = arrived(fixture, &events).await.iter().filter_map(|one| one.sequence).collect();
    order.dedup();
    assert_eq!(order, (1..=count).collect::<Vec<_>>());
}

/// A message that cannot go, here because it is larger than the broker's `limit`, keeps those of its aggregate behind
/// it in the same batch, and nothing else. What was held back can be sent later.
///
/// # Panics
/// Where the case fails.
pub async fn nothing_of_an_aggregate_overtakes_a_message_that_was_not_sent(
    fixture: &impl PublisherFixture,
    limit: usize,
) {
    let publisher = fixture.publisher().await;
    let first = message(1);
    let of_the_same = |number| Message { aggregate_id: first.aggregate_id.clone(), ..message(number) };
    let oversize = Message { payload: format!("\"{}\"", "x".repeat(limit)), ..of_the_same(3) };
    let behind = of_the_same(4);
    let batch = [first.clone(), of_the_same(2), oversize, behind.clone(), message(5)];
    if publisher.max_batch() < batch.len() {
        return;
    }
    let outcomes = publisher.publish(&batch).await;
    assert_eq!(outcomes.len(), batch.len(), "one outcome for each message");
    for place in [0, 1, 4] {
        assert!(outcomes[place].is_published(), "message {}: {outcomes:?}", place + 1);
    }
    assert!(matches!(outcomes[2], Outcome::Rejected { .. }), "{outcomes:?}");
    assert!(matches!(outcomes[3], Outcome::HeldBack { .. }), "{outcomes:?}");
    publish_all(&publisher, std::slice::from_ref(&behind)).await;
    let sent = [batch[0].clone(), batch[1].clone(), behind, batch[4].clone()];
    let mut order: Vec<_> = arrived(fixture, &sent)
        .await
        .into_iter()
        .filter(|received| received.aggregate_id == first.aggregate_id)
        .filter_map(|received| received.sequence)
        .collect();
    order.dedup();
    assert_eq!(order, [1, 2, 4]);
}

/// Batches that follow each other keep an aggregate's order.
///
/// # Panics
/// Where the case fails.
pub async fn an_aggregate_arrives_in_the_order_of_its_batches(fixture: &impl PublisherFixture) {
    let publisher = fixture.publisher().await;
    let first = message(1);
    let events: Vec<_> = (1..=20)
        .map(|number| Message { aggregate_id: first.aggregate_id.clone(), ..message(number) })
        .collect();
    for event in &events {
        publish_all(&publisher, std::slice::from_ref(event)).await;
    }
    let mut order: Vec<_> = arrived(fixture, &events).await.iter().filter_map(|one| one.sequence).collect();
    order.dedup();
    assert_eq!(order, (1..=20).collect::<Vec<_>>());
}

/// A broker that cannot be reached is no message's fault, and what was not sent can be sent when it is back.
///
/// # Panics
/// Where the case fails.
pub async fn an_absent_broker_is_unavailable_and_not_the_fault_of_a_message(fixture: &impl PublisherFixture) {
    let publisher = fixture.publisher().await;
    let batch = messages(publisher.max_batch().min(3));
    fixture.set_away(true).await;
    let attempt = tokio::time::timeout(Duration::from_secs(60), publisher.publish(&batch)).await;
    fixture.set_away(false).await;
    let outcomes = attempt.expect("an absent broker is noticed within a minute");
    assert_eq!(outcomes.len(), batch.len(), "one outcome for each message");
    for outcome in &outcomes {
        assert!(matches!(outcome, Outcome::Unavailable { .. }), "expected unavailable, found {outcome:?}");
    }
    publish_all(&publisher, &batch).await;
    arrived(fixture, &batch).await;
}

/// A readiness endpoint says what is the case: a publisher whose broker answers is not called unhealthy, and one whose
/// broker is away is not called healthy. Where `tells` is set, it says which of the two it is.
///
/// # Panics
/// Where the case fails.
pub async fn an_absent_broker_is_not_called_healthy(fixture: &impl PublisherFixture, tells: bool) {
    let publisher = fixture.publisher().await;
    publisher.start().await.expect("a publisher with good settings starts");
    let present = publisher.health().await;
    assert!(!present.is_unhealthy() && (!tells || present == PublisherHealth::Healthy), "found {present:?}");
    fixture.set_away(true).await;
    let away = tokio::time::timeout(Duration::from_secs(60), publisher.health()).await;
    fixture.set_away(false).await;
    let away = away.expect("an absent broker is noticed within a minute");
    assert!(away != PublisherHealth::Healthy && (!tells || away.is_unhealthy()), "found {away:?}");
    let back = publisher.health().await;
    assert!(!back.is_unhealthy(), "it is back, found {back:?}");
}
