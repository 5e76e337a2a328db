//! The publisher against a real SQS server over HTTP.

use std::{sync::Arc, time::Duration};

use aws_sdk_sqs::types::{MessageAttributeValue, MessageSystemAttributeName, QueueAttributeName};
use outbox_core::{
    message::{Message, names},
    publisher::{Outcome, Publisher as _},
    wire::WireFormat,
};
use outbox_sqs::SqsPublisher;
use outbox_tests::sqs::{TestQueue, client, endpoint};
use uuid::Uuid;

fn message(number: usize, payload: impl Into<String>) -> Message {
    let mut message = Message::new(Uuid::now_v7(), "/shop", "orders", "order.placed", payload);
    message.seq = i64::try_from(number).expect("a small number");
    message.aggregate_type = Some("order".to_owned());
    message.aggregate_id = Some(number.to_string());
    message
}

fn publisher(queue: &TestQueue) -> SqsPublisher {
    SqsPublisher::new(queue.client.clone()).route("orders", &queue.url)
}

#[tokio::test]
async fn a_thousand_messages_over_sqs_cost_about_a_hundred_requests() {
    TestQueue::run(async |queue| {
        let publisher = publisher(&queue);
        let messages: Vec<_> =
            (0..1000).map(|number| message(number, format!("{{\"number\":{number}}}"))).collect();
        let mut published = 0;
        for batch in messages.chunks(publisher.max_batch()) {
            let outcomes = publisher.publish(batch).await;
            assert_eq!(outcomes.len(), batch.len());
            published += outcomes.iter().filter(|outcome| outcome.is_published()).count();
        }
        let requests = queue.requests.of("SendMessageBatch");
        println!("1,000 messages: {requests} SendMessageBatch requests");
        assert_eq!(published, 1000);
        assert_eq!(requests, 100);
        assert_eq!(queue.depth().await?, 1000);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn bad_messages_in_an_sqs_batch_do_not_take_the_good_ones_along() {
    TestQueue::run(async |queue| {
        let publisher = publisher(&queue).wire_format(WireFormat::Raw);
        let bodies = ["\"a\"", "bell \u{7}", "\"b\"", "\u{FFFE}", &"x".repeat(1024 * 1024 + 1), "", "\"c\""];
        let messages: Vec<_> =
            bodies.iter().enumerate().map(|(number, body)| message(number, *body)).collect();
        let outcomes = publisher.publish(&messages).await;
        for (number, outcome) in outcomes.iter().enumerate() {
            match number {
                0 | 2 | 6 => assert!(outcome.is_published(), "{number}: {outcome:?}"),
                _ => assert!(matches!(outcome, Outcome::Rejected { .. }), "{number}: {outcome:?}"),
            }
        }
        assert_eq!(queue.depth().await?, 3);
        Ok(())
    })
    .await;
}

/// What the server says of a message that only it knows to be too large: the queue's own limit.
#[tokio::test]
async fn a_message_above_the_limit_of_its_sqs_queue_is_rejected_alone() {
    let small = [(QueueAttributeName::MaximumMessageSize, "2048")];
    TestQueue::run_with(&small, async |queue| {
        let large = format!("\"{}\"", "x".repeat(4000));
        let messages = [message(0, "1"), message(1, large), message(2, "3")];
        let outcomes = publisher(&queue).publish(&messages).await;
        assert!(outcomes[0].is_published() && outcomes[2].is_published(), "{outcomes:?}");
        assert!(matches!(&outcomes[1], Outcome::Rejected { .. }), "{outcomes:?}");
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn sqs_requests_hold_at_most_a_mebibyte_together() {
    TestQueue::run(async |queue| {
        // Ten together are 4 MiB: two fit in one request.
        let payload = format!("\"{}\"", "x".repeat(400 * 1024));
        let messages: Vec<_> = (0..10).map(|number| message(number, payload.clone())).collect();
        let outcomes = publisher(&queue).publish(&messages).await;
        assert!(outcomes.iter().all(Outcome::is_published), "{outcomes:?}");
        assert_eq!(queue.requests.of("SendMessageBatch"), 5);
        Ok(())
    })
    .await;
}

/// The rule that the crate computes by: names, types and values of attributes count, in bytes.
#[tokio::test]
async fn the_size_of_a_message_is_counted_as_sqs_counts_it() {
    TestQueue::run(async |queue| {
        for (extra, fits) in [(0, true), (1, false)] {
            let body = "x".repeat(1024 * 1024 - "name".len() - "String".len() - "välue".len() + extra);
            let value = MessageAttributeValue::builder().data_type("String").string_value("välue").build()?;
            let request = queue.client.send_message().queue_url(&queue.url).message_body(body);
            let answer = request.message_attributes("name", value).send().await;
            assert_eq!(answer.is_ok(), fits, "{extra}: {answer:?}");
        }
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn the_largest_message_that_is_sent_is_taken_by_sqs() {
    TestQueue::run(async |queue| {
        // Its refusal says what a message of this length counts for.
        let refused =
            publisher(&queue).max_bytes(1).publish(&[message(0, "x".repeat(1_000_000))]).await.remove(0);
        let Outcome::Rejected { reason } = &refused else { panic!("{refused:?}") };
        let found = reason.split("found ").nth(1).and_then(|rest| rest.split(':').next());
        let counted: usize = found.expect("the size").parse()?;
        let largest = 1_000_000 + (1024 * 1024 - counted);

        let outcomes = publisher(&queue).publish(&[message(0, "x".repeat(largest))]).await;
        assert!(outcomes[0].is_published(), "{outcomes:?}");
        let outcomes = publisher(&queue).publish(&[message(0, "x".repeat(largest + 1))]).await;
        assert!(matches!(outcomes[0], Outcome::Rejected { .. }), "{outcomes:?}");
        assert_eq!(queue.requests.of("SendMessageBatch"), 1, "what is too large is not sent");
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn several_topics_reach_their_own_sqs_queue_in_one_call() {
    TestQueue::run(async |orders| {
        TestQueue::run(async |payments: Arc<TestQueue>| {
            let publisher = publisher(&orders).route("payments", &payments.url);
            publisher.start().await?;
            let mut messages: Vec<_> = (0..30).map(|number| message(number, "1")).collect();
            for message in messages.iter_mut().step_by(3) {
                message.topic = "payments".to_owned();
            }
            let outcomes = publisher.publish(&messages).await;
            assert!(outcomes.iter().all(Outcome::is_published), "{outcomes:?}");
            assert_eq!((orders.depth().await?, payments.depth().await?), (20, 10));
            Ok(())
        })
        .await;
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn the_trace_of_an_event_reaches_the_sqs_trace_header() {
    TestQueue::run(async |queue| {
        let mut traced = message(1, "1");
        traced.headers.insert(names::TRACEPARENT, "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
        assert!(publisher(&queue).publish(&[traced]).await[0].is_published());

        let received = queue
            .client
            .receive_message()
            .queue_url(&queue.url)
            .wait_time_seconds(10)
            .message_system_attribute_names(MessageSystemAttributeName::All)
            .send()
            .await?;
        let header = received.messages()[0]
            .attributes()
            .and_then(|all| all.get(&MessageSystemAttributeName::AwsTraceHeader));
        let expected = "Root=1-4bf92f35-77b34da6a3ce929d0e0e4736;Parent=00f067aa0ba902b7;Sampled=1";
        assert_eq!(header.map(String::as_str), Some(expected));
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_missing_sqs_queue_is_an_error_at_start_and_an_outage_later() {
    TestQueue::run(async |queue| {
        let missing =
            SqsPublisher::new(queue.client.clone()).route("orders", format!("{}-missing", queue.url));
        let error = missing.start().await.expect_err("there is no such queue").to_string();
        assert!(error.contains("-missing"), "{error}");

        let outcomes = missing.publish(&[message(1, "1"), message(2, "2")]).await;
        assert!(
            outcomes.iter().all(|outcome| matches!(outcome, Outcome::Unavailable { .. })),
            "{outcomes:?}"
        );
        assert_eq!(queue.requests.of("SendMessageBatch"), 1, "the SDK does not retry for us");

        publisher(&queue).start().await?;
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn an_sqs_endpoint_that_nobody_listens_on_is_an_outage_also_at_start() {
    // A port that was free a moment ago.
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .and_then(|socket| socket.local_addr())
        .expect("a port")
        .port();
    let nobody = format!("http://127.0.0.1:{port}");
    assert_ne!(nobody, endpoint());
    let (client, requests) = client(&nobody);
    let publisher = SqsPublisher::new(client).route("orders", format!("{nobody}/000000000000/orders"));

    let start = tokio::time::timeout(Duration::from_secs(30), publisher.start()).await;
    start.expect("start ends").expect("an outage is no error at start");
    let outcomes = publisher.publish(&[message(1, "1"), message(2, "2")]).await;
    assert!(outcomes.iter().all(|outcome| matches!(outcome, Outcome::Unavailable { .. })), "{outcomes:?}");
    assert_eq!(requests.of("SendMessageBatch"), 1, "the SDK does not retry for us");
}
