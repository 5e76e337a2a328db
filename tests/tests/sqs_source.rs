//! The source against a real SQS server over HTTP.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use aws_sdk_sqs::{Client, config::timeout::TimeoutConfig, types::QueueAttributeName};
use chrono::{DateTime, Utc};
use outbox_core::{
    message::{Message, ReceivedMessage, names},
    publisher::{Outcome, Publisher as _},
    source::{Incoming, Receipt, Source as _, SourceError},
    wire::WireFormat,
};
use outbox_sqs::{SqsPublisher, SqsSource};
use outbox_tests::{database::until, sqs::TestQueue};
use uuid::Uuid;

fn message(number: i64) -> Message {
    let payload = format!("{{\"number\":{number}}}");
    let mut message = Message::new(Uuid::now_v7(), "/shop", "orders", "order.placed", payload);
    message.seq = number;
    message
}

fn source(queue: &TestQueue) -> SqsSource {
    SqsSource::new(queue.client.clone(), &queue.url).wait(Duration::from_secs(5))
}

async fn publish(queue: &TestQueue, format: WireFormat, messages: &[Message]) {
    let publisher = SqsPublisher::new(queue.client.clone()).route("orders", &queue.url).wire_format(format);
    let outcomes = publisher.publish(messages).await;
    assert!(outcomes.iter().all(Outcome::is_published), "{outcomes:?}");
}

/// Receives until there are as many deliveries, at most 20 times.
async fn receive(source: &SqsSource, count: usize) -> Result<Vec<Incoming>> {
    let mut all = Vec::new();
    for _ in 0..20 {
        all.extend(source.receive(10).await?);
        if all.len() >= count {
            return Ok(all);
        }
    }
    anyhow::bail!("expected {count} deliveries, found {}", all.len())
}

async fn receive_one(source: &SqsSource) -> Result<Incoming> {
    receive(source, 1).await?.pop().context("one delivery")
}

fn decoded(incoming: &Incoming) -> &ReceivedMessage {
    incoming.message.as_ref().expect("a message")
}

async fn every_field_survives(queue: &TestQueue, format: WireFormat) -> Result<()> {
    let mut sent = message(42);
    sent.event_version = 3;
    sent.aggregate_type = Some("order".to_owned());
    sent.aggregate_id = Some("o-1 ü/🦀".to_owned());
    sent.payload = "{ \"text\": \"<tag> & \\u0007 \\\"quoted\\\" ü 🦀\",\n\"n\": 1.50 }".to_owned();
    sent.occurred_at = "2026-03-01T12:34:56.789012Z".parse::<DateTime<Utc>>()?;
    sent.replay = Some(Uuid::now_v7());
    for (name, value) in [
        (names::CORRELATION_ID, "request 7"),
        (names::CAUSATION_ID, "0198-cause"),
        (names::TRACEPARENT, "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
        (names::TRACESTATE, "vendor=1"),
        (names::TENANT, "acme"),
        ("mine", "ü & <b>"),
        ("yours", "2"),
    ] {
        sent.headers.insert(name, value);
    }

    publish(queue, format, std::slice::from_ref(&sent)).await;
    let incoming = receive_one(&source(queue)).await?;
    let received = decoded(&incoming);

    assert_eq!(incoming.attempt, 1);
    assert_eq!(incoming.group, None);
    assert_eq!(received.id, sent.id.to_string());
    assert_eq!(received.source, "/shop");
    assert_eq!(received.event_type, "order.placed");
    assert_eq!(received.event_version, 3);
    assert_eq!(received.aggregate_type, sent.aggregate_type);
    assert_eq!(received.aggregate_id, sent.aggregate_id);
    assert_eq!(received.sequence, Some(42));
    assert_eq!(received.occurred_at, Some(sent.occurred_at));
    assert_eq!(received.payload, sent.payload, "byte for byte");
    assert_eq!(received.replay, sent.replay.map(|replay| replay.to_string()));
    assert_eq!(received.headers, sent.headers);
    Ok(())
}

#[tokio::test]
async fn every_field_survives_sqs_as_cloud_events() {
    TestQueue::run(async |queue| every_field_survives(&queue, WireFormat::CloudEvents).await).await;
}

/// More than ten attributes: the rest travels folded.
#[tokio::test]
async fn every_field_survives_sqs_as_raw_payload() {
    TestQueue::run(async |queue| every_field_survives(&queue, WireFormat::Raw).await).await;
}

#[tokio::test]
async fn acknowledged_messages_are_gone_from_sqs_and_the_others_come_again() {
    TestQueue::run(async |queue| {
        let messages: Vec<_> = (0..25).map(message).collect();
        publish(&queue, WireFormat::CloudEvents, &messages).await;
        let source = source(&queue).visibility_timeout(Duration::from_secs(20));
        let deliveries = receive(&source, 25).await?;
        let ids: BTreeSet<_> = deliveries.iter().map(|incoming| decoded(incoming).id.clone()).collect();
        assert_eq!(ids, messages.iter().map(|message| message.id.to_string()).collect());

        let (done, open): (Vec<_>, Vec<_>) =
            deliveries.iter().partition(|incoming| decoded(incoming).sequence != Some(7));
        let mut receipts: Vec<_> = done.iter().map(|incoming| incoming.receipt.clone()).collect();
        let unknown = Receipt("no receipt of this queue".into());
        receipts.push(unknown.clone());
        assert_eq!(source.ack(&receipts).await?, [unknown], "what SQS did not take is given back");
        assert_eq!(queue.requests.of("DeleteMessageBatch"), 3, "ten a request");

        source.nack(&open[0].receipt, Duration::ZERO).await?;
        let again = receive_one(&source).await?;
        assert_eq!(decoded(&again).sequence, Some(7));
        assert_eq!(again.attempt, 2);
        assert_eq!(source.ack(&[again.receipt]).await?, []);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_delivery_whose_handler_died_comes_again_from_sqs() {
    TestQueue::run(async |queue| {
        publish(&queue, WireFormat::CloudEvents, &[message(1)]).await;
        let source = source(&queue).visibility_timeout(Duration::from_secs(1));
        assert_eq!(receive_one(&source).await?.attempt, 1);
        let again = receive_one(&source).await?;
        assert_eq!((again.attempt, decoded(&again).sequence), (2, Some(1)));
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_delivery_that_was_given_back_to_sqs_comes_after_its_delay() {
    TestQueue::run(async |queue| {
        publish(&queue, WireFormat::CloudEvents, &[message(1)]).await;
        let source = source(&queue).visibility_timeout(Duration::from_secs(600));
        let first = receive_one(&source).await?;
        let given_back = Instant::now();
        source.nack(&first.receipt, Duration::from_millis(1500)).await?;
        let again = receive_one(&source).await?;
        assert_eq!(again.attempt, 2);
        // Far from the ten minutes of its visibility, and not before the delay.
        let waited = given_back.elapsed();
        assert!(waited >= Duration::from_millis(1500), "{waited:?}");
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_delivery_that_is_extended_stays_invisible_in_sqs() {
    TestQueue::run(async |queue| {
        publish(&queue, WireFormat::CloudEvents, &[message(1)]).await;
        let source = source(&queue).visibility_timeout(Duration::from_secs(1)).wait(Duration::from_secs(3));
        let first = receive_one(&source).await?;
        source.extend(&first.receipt, Duration::from_secs(60)).await?;
        // Three times the visibility that it was received with.
        assert!(source.receive(10).await?.is_empty());
        assert_eq!(source.ack(&[first.receipt]).await?, []);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_receive_from_sqs_that_is_dropped_loses_nothing_and_ends_at_once() {
    TestQueue::run(async |queue| {
        let source = source(&queue).wait(Duration::from_secs(20)).visibility_timeout(Duration::from_secs(1));
        let stopped = Instant::now();
        tokio::select! {
            received = source.receive(10) => panic!("the queue was empty: {received:?}"),
            // The request is out by then: the server waits for a first message.
            () = until("the request", Duration::from_secs(10), async || (queue.requests.of("ReceiveMessage") > 0).then_some(())) => {}
        }
        assert!(stopped.elapsed() < Duration::from_secs(10), "the long poll was not waited for");

        publish(&queue, WireFormat::CloudEvents, &[message(1)]).await;
        let incoming = receive_one(&source).await?;
        assert_eq!(decoded(&incoming).sequence, Some(1));
        Ok(())
    })
    .await;
}

/// Programs set short timeouts on a client for their other requests.
#[tokio::test]
async fn a_long_poll_of_sqs_is_not_cut_by_the_timeouts_of_the_client() {
    TestQueue::run(async |queue| {
        let short = Duration::from_millis(500);
        let timeouts = TimeoutConfig::builder()
            .read_timeout(short)
            .operation_attempt_timeout(short)
            .operation_timeout(short)
            .build();
        let config = queue.client.config().to_builder().timeout_config(timeouts).build();
        let source = SqsSource::new(Client::from_conf(config), &queue.url).wait(Duration::from_secs(2));
        assert!(source.receive(10).await?.is_empty());
        assert_eq!(queue.requests.of("ReceiveMessage"), 1);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_body_that_is_no_event_is_left_to_the_redrive_policy_of_sqs() {
    TestQueue::run(async |queue| {
        queue.client.send_message().queue_url(&queue.url).message_body("hello").send().await?;
        let source = source(&queue);
        let incoming = receive_one(&source).await?;
        assert!(incoming.message.is_err(), "{incoming:?}");
        assert_eq!(source.ack(&[incoming.receipt]).await?, [], "it can be thrown away all the same");
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn the_retention_of_an_sqs_queue_is_known() {
    let day = [(QueueAttributeName::MessageRetentionPeriod, "86400")];
    TestQueue::run_with(&day, async |queue| {
        let source = source(&queue);
        source.start().await?;
        assert_eq!(source.retention().await?, Some(Duration::from_secs(86_400)));
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_missing_sqs_queue_is_refused_at_start_and_waited_for_later() {
    TestQueue::run(async |queue| {
        let missing = SqsSource::new(queue.client.clone(), format!("{}-missing", queue.url));
        let error = missing.start().await.expect_err("there is no such queue");
        assert!(matches!(error, SourceError::Refused(_)), "{error:?}");
        let error = missing.receive(1).await.expect_err("there is no such queue");
        assert!(matches!(error, SourceError::Unavailable { .. }), "{error:?}");
        Ok(())
    })
    .await;
}
