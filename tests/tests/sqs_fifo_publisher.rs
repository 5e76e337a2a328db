//! FIFO queues against a real SQS server over HTTP, and what publishing costs through the relay.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context as _, Result};
use aws_sdk_sqs::types::{Message as Received, MessageSystemAttributeName, QueueAttributeName};
use outbox_core::{
    log::HoleProof,
    message::Message,
    publisher::{Outcome, Publisher as _},
    relay::{Relay, Subscription},
    testing::{MemoryLog, new_event},
    wire::WireFormat,
};
use outbox_sqs::{GroupBy, SqsPublisher};
use outbox_tests::{database::until, sqs::TestQueue};
use uuid::Uuid;

fn message(aggregate: &str, payload: impl Into<String>) -> Message {
    let mut message = Message::new(Uuid::now_v7(), "/shop", "orders", "order.placed", payload);
    message.aggregate_type = Some("order".to_owned());
    message.aggregate_id = Some(aggregate.to_owned());
    message
}

fn publisher(queue: &TestQueue) -> SqsPublisher {
    SqsPublisher::new(queue.client.clone()).route("orders", &queue.url).wire_format(WireFormat::Raw)
}

/// Receives and deletes until so many have come.
async fn receive(queue: &TestQueue, count: usize) -> Result<Vec<Received>> {
    let mut received = Vec::new();
    for _ in 0..count + 20 {
        if received.len() >= count {
            return Ok(received);
        }
        let request = queue.client.receive_message().queue_url(&queue.url).max_number_of_messages(10);
        let answer = request
            .wait_time_seconds(2)
            .message_system_attribute_names(MessageSystemAttributeName::All)
            .send()
            .await?;
        for message in answer.messages.unwrap_or_default() {
            let receipt = message.receipt_handle().context("a delivery has a receipt")?;
            queue.client.delete_message().queue_url(&queue.url).receipt_handle(receipt).send().await?;
            received.push(message);
        }
    }
    anyhow::bail!("expected {count} messages, found {}", received.len())
}

fn group(message: &Received) -> Option<&str> {
    message.attributes()?.get(&MessageSystemAttributeName::MessageGroupId).map(String::as_str)
}

fn bodies_by_group(received: &[Received]) -> BTreeMap<&str, Vec<&str>> {
    let mut groups: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for message in received {
        let group = group(message).unwrap_or("none");
        groups.entry(group).or_default().push(message.body().unwrap_or_default());
    }
    groups
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_aggregate_reaches_its_own_group_of_an_sqs_fifo_queue_in_order() {
    TestQueue::run_fifo(async |queue| {
        let publisher = publisher(&queue);
        publisher.start().await?;
        let batch: Vec<_> =
            (0..30).map(|number| message(["a", "b", "Zoë & sons"][number % 3], number.to_string())).collect();
        let outcomes = publisher.publish(&batch).await;
        assert!(outcomes.iter().all(Outcome::is_published), "{outcomes:?}");
        assert_eq!(queue.requests.of("SendMessageBatch"), 10, "one of each group in a request");

        let received = receive(&queue, 30).await?;
        let groups = bodies_by_group(&received);
        assert_eq!(groups.len(), 3, "{:?}", groups.keys());
        for (first, numbers) in [(0, &groups["order/a"]), (1, &groups["order/b"])] {
            let expected: Vec<_> = (0..10).map(|round| (first + 3 * round).to_string()).collect();
            assert_eq!(numbers.join(" "), expected.join(" "));
        }
        let hashed = groups.keys().find(|group| group.len() == 64).context("the third is hashed")?;
        assert_eq!(groups[hashed].len(), 10);
        Ok(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_an_sqs_fifo_queue_refuses_holds_its_group_back_and_no_other() {
    let small = [(QueueAttributeName::MaximumMessageSize, "2048")];
    let queue = TestQueue::create_fifo(&small).await.expect("a queue for the test");
    // Not started: the queue's limit is not known, so that the server itself refuses.
    let large = "x".repeat(4000);
    let batch =
        [message("a", "1"), message("b", "1"), message("a", large), message("a", "3"), message("b", "2")];
    let outcomes = publisher(&queue).publish(&batch).await;
    let depth = queue.depth().await;
    queue.client.delete_queue().queue_url(&queue.url).send().await.expect("delete the test's queue");

    for sent in [0, 1, 4] {
        assert!(outcomes[sent].is_published(), "{outcomes:?}");
    }
    assert!(matches!(outcomes[2], Outcome::Rejected { .. }), "{outcomes:?}");
    assert!(matches!(outcomes[3], Outcome::HeldBack { .. }), "{outcomes:?}");
    assert_eq!(depth.expect("the server is there"), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_sqs_fifo_queue_drops_a_copy_and_takes_a_replay_that_is_to_be_processed_again() {
    TestQueue::run_fifo(async |queue| {
        let publisher = publisher(&queue);
        let first = message("a", "1");
        let mut replay = first.clone();
        replay.replay = Some(Uuid::now_v7());
        for (again, depth) in [(&first, 1), (&first, 1), (&replay, 2), (&replay, 2)] {
            let outcomes = publisher.publish(std::slice::from_ref(again)).await;
            assert!(outcomes[0].is_published(), "a copy that is dropped is there already: {outcomes:?}");
            assert_eq!(queue.depth().await?, depth);
        }
        Ok(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_standard_sqs_queue_is_fair_where_groups_are_asked_for() {
    TestQueue::run(async |queue| {
        let mut tenant = message("a", "1");
        tenant.headers.insert("tenant", "acme");
        let fair = publisher(&queue).group_by(GroupBy::Header("tenant".to_owned()));
        let batch = [tenant, message("b", "2")];
        assert!(fair.publish(&batch).await.iter().all(Outcome::is_published));
        assert!(publisher(&queue).publish(&[message("c", "3")]).await[0].is_published());
        assert_eq!(queue.requests.of("SendMessageBatch"), 2);

        let received = receive(&queue, 3).await?;
        let expected = [("acme", vec!["1"]), ("none", vec!["3"]), ("order/b", vec!["2"])];
        assert_eq!(bodies_by_group(&received), expected.into());
        Ok(())
    })
    .await;
}

/// Publishes events of so many aggregates with a relay: how many requests they cost.
async fn requests_through_the_relay(queue: &TestQueue, events: usize, aggregates: usize) -> Result<usize> {
    let log = MemoryLog::new(HoleProof::WriterList);
    for number in 0..events {
        let aggregate = (number % aggregates).to_string();
        log.append(new_event("orders", &aggregate, &number.to_string()));
    }
    let relay =
        Relay::new(log.clone(), "/shop").subscription(Subscription::new("orders", publisher(queue))).spawn();
    until("all to be published", Duration::from_secs(120), async || log.is_drained("orders").then_some(()))
        .await;
    relay.stop().await?;
    assert_eq!(queue.depth().await?, events);
    Ok(queue.requests.of("SendMessageBatch"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_events_cost_about_a_hundred_requests_to_a_standard_sqs_queue() {
    TestQueue::run(async |queue| {
        let requests = requests_through_the_relay(&queue, 1_000, 1_000).await?;
        println!("API calls per 1,000 events: {requests} (standard queue, 1,000 aggregates)");
        assert!((100..=150).contains(&requests), "{requests} requests");
        Ok(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_events_of_as_many_aggregates_cost_about_a_hundred_requests_to_an_sqs_fifo_queue() {
    TestQueue::run_fifo(async |queue| {
        let requests = requests_through_the_relay(&queue, 1_000, 1_000).await?;
        println!("API calls per 1,000 events: {requests} (FIFO queue, 1,000 aggregates)");
        assert!((100..=150).contains(&requests), "{requests} requests");
        Ok(())
    })
    .await;
}

/// One group can have only one message on its way: the next goes when that is confirmed, in a request of its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_event_of_a_single_aggregate_costs_a_request_to_an_sqs_fifo_queue() {
    TestQueue::run_fifo(async |queue| {
        let requests = requests_through_the_relay(&queue, 200, 1).await?;
        println!(
            "API calls per 1,000 events: {} (FIFO queue, one aggregate; 200 events measured)",
            requests * 5
        );
        assert_eq!(requests, 200);
        Ok(())
    })
    .await;
}
