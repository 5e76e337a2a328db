//! The tests' own queues, on a real SQS server.

use aws_sdk_sqs::types::QueueAttributeName;
use outbox_tests::sqs::TestQueue;

#[tokio::test]
async fn a_fifo_test_queue_keeps_one_of_two_copies_on_sqs() {
    TestQueue::run_fifo(async |queue| {
        for _ in 0..2 {
            let send = queue.client.send_message().queue_url(&queue.url).message_body("paid");
            send.message_group_id("order-1").message_deduplication_id("one").send().await?;
        }
        assert!(queue.url.ends_with(".fifo"), "{}", queue.url);
        assert_eq!(queue.depth().await?, 1, "the second has the first one's deduplication id");
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn attributes_are_added_to_those_that_make_a_queue_fifo_on_sqs() {
    let queue = TestQueue::create_fifo(&[(QueueAttributeName::VisibilityTimeout, "7")]).await.unwrap();
    let asked = [QueueAttributeName::FifoQueue, QueueAttributeName::VisibilityTimeout];
    let request = queue.client.get_queue_attributes().queue_url(&queue.url);
    let answer = request.set_attribute_names(Some(asked.to_vec())).send().await;
    queue.client.delete_queue().queue_url(&queue.url).send().await.unwrap();

    let attributes = answer.unwrap().attributes.unwrap();
    assert_eq!(attributes[&QueueAttributeName::FifoQueue], "true");
    assert_eq!(attributes[&QueueAttributeName::VisibilityTimeout], "7");
}
