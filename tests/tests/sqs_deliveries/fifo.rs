//! The source on a FIFO queue of a real SQS server.

use std::time::Duration;

use outbox_core::source::{Incoming, Receipt, Source as _};
use outbox_tests::sqs::TestQueue;

use crate::world::{receive, send, source};

fn id(incoming: &Incoming) -> &str {
    &incoming.message.as_ref().expect("an event").id
}

fn ids(batch: &[Incoming]) -> Vec<&str> {
    batch.iter().map(id).collect()
}

#[tokio::test]
async fn deliveries_of_a_fifo_queue_of_sqs_say_their_group_and_come_in_its_order() {
    TestQueue::run_fifo(async |queue| {
        send(&queue, &["a1", "b1", "a2", "b2", "a3"]).await?;
        let source = source(&queue);
        source.start().await?;
        let all = receive(&source, 5).await?;
        for (group, expected) in [("a", &["a1", "a2", "a3"][..]), ("b", &["b1", "b2"])] {
            let of_group = all.iter().filter(|incoming| incoming.group.as_deref() == Some(group));
            assert_eq!(of_group.map(id).collect::<Vec<_>>(), expected);
        }
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_group_of_sqs_waits_for_the_one_that_was_given_back_and_others_do_not() {
    TestQueue::run_fifo(async |queue| {
        send(&queue, &["a1", "a2"]).await?;
        let source = source(&queue);
        let first = receive(&source, 2).await?;
        assert_eq!(ids(&first), ["a1", "a2"]);
        // As a consumer does whose handler of the first failed.
        for incoming in &first {
            source.nack(&incoming.receipt, Duration::from_secs(3)).await?;
        }
        send(&queue, &["a3", "b1"]).await?;
        let other = receive(&source, 1).await?;
        assert_eq!(ids(&other), ["b1"], "the group waits, another does not");
        let again = receive(&source, 3).await?;
        assert_eq!(ids(&again), ["a1", "a2", "a3"]);
        assert_eq!(again.iter().map(|incoming| incoming.attempt).collect::<Vec<_>>(), [2, 2, 1]);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_receipt_of_a_fifo_queue_of_sqs_that_is_too_old_is_given_back_by_itself() {
    TestQueue::run_fifo(async |queue| {
        send(&queue, &["a1", "b1"]).await?;
        let source = source(&queue);
        let late = receive(&source.clone().visibility_timeout(Duration::from_secs(1)), 2).await?;
        let [late, kept] = &late[..] else { anyhow::bail!("expected two, found {}", late.len()) };
        assert_eq!(
            source.extend_all(std::slice::from_ref(&kept.receipt), Duration::from_secs(60)).await?,
            []
        );
        // It is another's by now: the old receipt is worth nothing any more.
        let again = receive(&source.clone().visibility_timeout(Duration::from_secs(1)), 1).await?;
        assert_eq!(id(&again[0]), id(late));
        let receipts = [late.receipt.clone(), kept.receipt.clone()];
        assert_eq!(source.ack(&receipts).await?, std::slice::from_ref(&late.receipt), "the other is deleted");
        let last = receive(&source, 1).await?;
        assert_eq!(source.ack(&[last[0].receipt.clone()]).await?, []);
        assert_eq!(queue.depth().await?, 0);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn many_deliveries_are_extended_in_sqs_ten_a_request() {
    TestQueue::run(async |queue| {
        for number in 0..12 {
            queue.client.send_message().queue_url(&queue.url).message_body(number.to_string()).send().await?;
        }
        let source = source(&queue).visibility_timeout(Duration::from_secs(4));
        let all = receive(&source, 12).await?;
        let mut receipts: Vec<_> = all.iter().map(|incoming| incoming.receipt.clone()).collect();
        let foreign = Receipt("no receipt of this queue".into());
        receipts.push(foreign.clone());
        assert_eq!(source.extend_all(&receipts, Duration::from_secs(60)).await?, [foreign]);
        assert_eq!(queue.requests.of("ChangeMessageVisibilityBatch"), 2);
        assert_eq!(queue.requests.of("ChangeMessageVisibility"), 0);
        // Longer than the visibility that they were received with.
        let none = source.wait(Duration::from_secs(6)).receive(10).await?;
        assert!(none.is_empty(), "{none:?}");
        Ok(())
    })
    .await;
}
