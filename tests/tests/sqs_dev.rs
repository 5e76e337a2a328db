//! Queues for development, on a real SQS server: what is made, what is taken as it is, and what is refused.

use std::{
    panic::AssertUnwindSafe,
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use aws_sdk_sqs::{Client, types::QueueAttributeName as Attribute};
use futures_util::FutureExt as _;
use outbox_sqs::dev::{DevError, DevQueue};
use outbox_tests::sqs::{client, endpoint};

static NEXT: AtomicU32 = AtomicU32::new(0);

/// A name of its own for each test.
fn fresh() -> DevQueue {
    let started = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_millis();
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    DevQueue::named(format!("outbox-dev-{started}-{}-{number}", std::process::id()))
}

/// Deletes the queues whether the test passes or not.
async fn with(queue: DevQueue, test: impl AsyncFnOnce(Client, DevQueue)) {
    let (client, _) = client(&endpoint());
    let outcome = AssertUnwindSafe(test(client.clone(), queue.clone())).catch_unwind().await;
    queue.delete(&client).await.expect("delete the test's queues");
    outcome.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
}

async fn attribute(client: &Client, url: &str, name: Attribute) -> Option<String> {
    let request = client.get_queue_attributes().queue_url(url).attribute_names(Attribute::All);
    request.send().await.expect("the queue is there").attributes?.remove(&name)
}

/// Receives without waiting for long, and lets what it received come again at once.
async fn receive(client: &Client, url: &str, wait: i32) -> Option<String> {
    let request = client.receive_message().queue_url(url).visibility_timeout(0).wait_time_seconds(wait);
    request.send().await.expect("the queue is there").messages?.pop()?.body
}

async fn goes_to_its_dead_letter_queue_after_two_receives(queue: DevQueue) {
    with(queue.max_receive_count(2), async |client, queue| {
        let made = queue.create(&client).await.expect("a server");
        let is_fifo = made.url.ends_with(".fifo");
        assert_eq!(made.dead_letter_url.ends_with(".fifo"), is_fifo);

        let mut send = client.send_message().queue_url(&made.url).message_body("poison");
        if is_fifo {
            send = send.message_group_id("order-1").message_deduplication_id("1");
        }
        send.send().await.expect("it is a queue");

        let mut received = 0;
        for _ in 0..20 {
            received += usize::from(receive(&client, &made.url, 1).await.is_some());
            if let Some(dead) = receive(&client, &made.dead_letter_url, 0).await {
                assert_eq!((received, dead.as_str()), (2, "poison"));
                return;
            }
        }
        panic!("not in the dead-letter queue after {received} receives");
    })
    .await;
}

#[tokio::test]
async fn a_message_goes_to_the_dead_letter_queue_of_a_standard_queue_on_sqs() {
    goes_to_its_dead_letter_queue_after_two_receives(fresh()).await;
}

#[tokio::test]
async fn a_message_goes_to_the_dead_letter_queue_of_a_fifo_queue_on_sqs() {
    goes_to_its_dead_letter_queue_after_two_receives(fresh().fifo()).await;
}

#[tokio::test]
async fn settings_are_those_that_were_stated_on_sqs() {
    let queue =
        fresh().fifo().visibility_timeout(Duration::from_secs(7)).retention(Duration::from_secs(3600));
    with(queue, async |client, queue| {
        let made = queue.create(&client).await.expect("a server");
        for (url, name, expected) in [
            (&made.url, Attribute::FifoQueue, "true"),
            (&made.url, Attribute::VisibilityTimeout, "7"),
            (&made.url, Attribute::MessageRetentionPeriod, "3600"),
            (&made.dead_letter_url, Attribute::FifoQueue, "true"),
            (&made.dead_letter_url, Attribute::MessageRetentionPeriod, "1209600"),
        ] {
            let found = attribute(&client, url, name.clone()).await;
            assert_eq!(found.as_deref(), Some(expected), "{name} of {url}");
        }
    })
    .await;
}

#[tokio::test]
async fn queues_with_the_same_settings_are_taken_and_others_are_named_on_sqs() {
    with(fresh().visibility_timeout(Duration::from_secs(7)), async |client, queue| {
        let made = queue.create(&client).await.expect("a server");
        let send = client.send_message().queue_url(&made.url).message_body("kept");
        send.send().await.expect("it is a queue");
        assert_eq!(queue.create(&client).await.expect("it is as it should be"), made);
        assert_eq!(receive(&client, &made.url, 5).await.as_deref(), Some("kept"), "nothing was made anew");

        let other = queue.clone().visibility_timeout(Duration::from_secs(8)).max_receive_count(3);
        match other.create(&client).await {
            Err(DevError::Differs { differences, .. }) => {
                assert!(differences.contains("VisibilityTimeout: expected 8, found 7"), "{differences}");
                assert!(differences.contains("RedrivePolicy: expected"), "{differences}");
            }
            other => panic!("expected the differences, found {other:?}"),
        }
        let found = attribute(&client, &made.url, Attribute::VisibilityTimeout).await;
        assert_eq!(found.as_deref(), Some("7"), "what is there stays as it is");
    })
    .await;
}

#[tokio::test]
async fn both_queues_are_deleted_and_what_is_not_there_is_no_error_on_sqs() {
    let (client, _) = client(&endpoint());
    let queue = fresh();
    queue.delete(&client).await.expect("nothing was there");
    let made = queue.create(&client).await.expect("a server");
    queue.delete(&client).await.expect("both were there");
    for url in [made.url, made.dead_letter_url] {
        let asked = client.get_queue_attributes().queue_url(url).send().await;
        assert!(asked.is_err_and(|error| error.into_service_error().is_queue_does_not_exist()));
    }
}
