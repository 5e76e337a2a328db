//! The answers to questions after a queue.

use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use serde_json::Value;

use super::*;
use crate::stub::{Answer, client};

const ARN: &str = "arn:aws:sqs:us-east-1:123456789012:orders.fifo";

fn found(request: &Value) -> Answer {
    let (name, account) = (&request["QueueName"], &request["QueueOwnerAWSAccountId"]);
    let account = account.as_str().unwrap_or("own");
    Answer::body(
        &serde_json::json!({ "QueueUrl": format!("http://sqs.invalid/{account}/{}", name.as_str().expect("a name")) }),
    )
}

#[tokio::test]
async fn a_name_and_an_arn_are_asked_for_once_and_a_url_never() {
    let (client, requests) = client(found);
    for (named, url, asked) in [
        ("http://sqs.invalid/1/orders", "http://sqs.invalid/1/orders", 0),
        ("orders", "http://sqs.invalid/own/orders", 1),
        (ARN, "http://sqs.invalid/123456789012/orders.fifo", 1),
    ] {
        let queue = Queue::new(named);
        let before = requests.count();
        for _ in 0..3 {
            let clone = queue.clone();
            assert_eq!(clone.url(&client).await.expect("it is there").as_str(), url);
        }
        assert_eq!(requests.count() - before, asked, "{named}");
    }
}

#[tokio::test]
async fn an_outage_when_the_url_is_asked_for_is_asked_about_again() {
    let is_away = AtomicBool::new(true);
    let (client, requests) = client(move |request| {
        if is_away.swap(false, SeqCst) { Answer::error(503, "ServiceUnavailable") } else { found(request) }
    });
    let queue = Queue::new("orders");
    assert!(matches!(queue.url(&client).await, Err(AskError::Away(_))));
    assert!(queue.url(&client).await.is_ok());
    assert_eq!(requests.count(), 2, "the SDK does not retry for us");
}

#[tokio::test]
async fn a_queue_that_cannot_be_found_by_its_name_is_refused_in_words_that_help() {
    for (code, expected) in [
        ("AWS.SimpleQueueService.NonExistentQueue", "the queue orders cannot be used"),
        ("AccessDenied", "by its URL"),
    ] {
        let (client, _) = client(move |_| Answer::error(400, code));
        let error = Queue::new("orders").check(&client).await.expect_err(code).to_string();
        assert!(error.contains(expected), "{error}");
    }
    let (client, requests) = client(found);
    let error =
        Queue::new("arn:aws:sqs:eu-west-1:1:orders").check(&client).await.expect_err("another region");
    assert!(error.to_string().contains("us-east-1") && error.to_string().contains("eu-west-1"), "{error}");
    assert_eq!(requests.count(), 0);
}

#[tokio::test]
async fn the_attributes_win_over_the_name_and_the_name_counts_without_them() {
    let attributes = |attributes: Value| Answer::body(&serde_json::json!({ "Attributes": attributes }));
    let (fifo, _) = client(move |_| attributes(serde_json::json!({ "QueueArn": ARN, "FifoQueue": "true" })));
    let queue = Queue::new("http://gateway.invalid/orders");
    assert_eq!(queue.kind(), QueueKind::Standard, "what the name says");
    queue.check(&fifo).await.expect("it is there");
    assert_eq!(queue.kind(), QueueKind::Fifo);

    let (denied, _) = client(|_| Answer::error(403, "AccessDenied"));
    let queue = Queue::new("http://sqs.invalid/1/orders.fifo");
    queue.check(&denied).await.expect("no permission to ask is no error");
    assert_eq!(queue.kind(), QueueKind::Fifo);
}
