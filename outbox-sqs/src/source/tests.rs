//! The answers of SQS that no local server gives.

use aws_smithy_http_client::test_util::NeverClient;
use serde_json::{Value, json};
use tokio::time::timeout;

use super::*;
use crate::stub::{Answer, Requests, client, ids};

const QUEUE: &str = "http://sqs.invalid/1/orders";

fn source(answer: impl Fn(&Value) -> Answer + Send + Sync + 'static) -> (SqsSource, Requests) {
    let (client, requests) = client(answer);
    (SqsSource::new(client, QUEUE), requests)
}

fn receipts(range: std::ops::Range<usize>) -> Vec<Receipt> {
    range.map(|number| Receipt(format!("handle{number}").into())).collect()
}

fn deleted(request: &Value, but: &[&str]) -> Value {
    ids(request).iter().filter(|id| !but.contains(id)).map(|id| json!({ "Id": id })).collect()
}

#[tokio::test]
async fn deliveries_that_were_not_deleted_are_given_back() {
    let (source, requests) = source(|request| {
        let failed = json!([{ "Id": "3", "Code": "ReceiptHandleIsInvalid", "SenderFault": true }]);
        // 3 failed; 5 is in neither list.
        Answer::body(&json!({ "Successful": deleted(request, &["3", "5"]), "Failed": failed }))
    });
    let kept = source.ack(&receipts(0..23)).await.expect("the broker answered");
    let handles: Vec<&str> = kept.iter().map(|receipt| &*receipt.0).collect();
    assert_eq!(handles, ["handle3", "handle5", "handle13", "handle15"]);
    assert_eq!(requests.count(), 3, "ten a request");
}

#[tokio::test]
async fn a_request_that_fails_among_others_gives_back_its_own_deliveries_only() {
    let (source, _) = source(|request| {
        if request["Entries"][0]["ReceiptHandle"] == "handle10" {
            return Answer::error(403, "AccessDenied");
        }
        Answer::body(&json!({ "Successful": deleted(request, &[]), "Failed": [] }))
    });
    assert_eq!(source.ack(&receipts(0..25)).await.expect("the broker answered"), receipts(10..20));
}

#[tokio::test]
async fn an_ack_of_nothing_asks_nobody_and_an_outage_is_an_error() {
    let (source, requests) = source(|_| Answer::error(400, "AccessDenied"));
    assert_eq!(source.ack(&[]).await.expect("nothing to do"), []);
    assert_eq!(requests.count(), 0);
    let error = source.ack(&receipts(0..2)).await.expect_err("refused");
    assert!(matches!(error, SourceError::Unavailable { .. }), "{error:?}");
}

#[tokio::test]
async fn a_delivery_that_is_no_longer_ours_can_be_given_back_but_not_extended() {
    // The last is what the service says of a message that was deleted or is another's.
    for code in
        ["AWS.SimpleQueueService.MessageNotInflight", "ReceiptHandleIsInvalid", "InvalidParameterValue"]
    {
        let (source, _) = source(move |_| Answer::error(400, code));
        let receipt = &receipts(0..1)[0];
        source.nack(receipt, Duration::from_secs(1)).await.expect("it comes again by itself");
        let is_ours = source.extend(receipt, Duration::from_secs(1)).await.expect("no outage");
        assert!(!is_ours, "{code}");
    }
    let (source, _) = source(|_| Answer::error(403, "AccessDenied"));
    assert!(source.extend(&receipts(0..1)[0], Duration::from_secs(1)).await.is_err(), "that is no answer");
}

/// A client's own timeouts may be none.
#[tokio::test(start_paused = true)]
async fn a_connection_that_died_silently_does_not_hold_an_answer() {
    let (answering, _) = client(|_| Answer::body(&"{}"));
    let config = answering.config().to_builder().http_client(NeverClient::new()).build();
    let source = SqsSource::new(Client::from_conf(config), QUEUE);
    let receipts = receipts(0..25);
    for (call, longest) in [("ack", 10), ("nack", 10), ("extend", 10), ("retention", 10), ("receive", 30)] {
        let answer = async {
            match call {
                "ack" => source.ack(&receipts).await.map(drop),
                "nack" => source.nack(&receipts[0], Duration::ZERO).await,
                "extend" => source.extend(&receipts[0], Duration::from_secs(30)).await.map(drop),
                "retention" => source.retention().await.map(drop),
                _ => source.receive(10).await.map(drop),
            }
        };
        let limit = Duration::from_secs(longest) + Duration::from_secs(1);
        let answer = timeout(limit, answer).await.unwrap_or_else(|_| panic!("{call} hangs"));
        assert!(matches!(answer, Err(SourceError::Unavailable { .. })), "{call}: {answer:?}");
    }
}

#[tokio::test]
async fn a_delay_is_rounded_up_and_never_beyond_the_longest() {
    let (source, requests) = source(|_| Answer::body(&"{}"));
    let receipt = &receipts(0..1)[0];
    for delay in
        [Duration::ZERO, Duration::from_millis(1), Duration::from_secs(90), Duration::from_secs(1 << 40)]
    {
        source.nack(receipt, delay).await.expect("accepted");
    }
    let delays: Vec<_> = requests.all().iter().map(|request| request["VisibilityTimeout"].clone()).collect();
    assert_eq!(delays, [0, 1, 90, 42_300]);
}

#[tokio::test]
async fn a_receive_asks_for_what_the_consumer_needs() {
    let (source, requests) = source(|_| Answer::body(&"{}"));
    let source = source.wait(Duration::from_secs(3)).visibility_timeout(Duration::from_secs(45));
    for max in [0, 4, 100] {
        assert!(source.receive(max).await.expect("an empty answer is normal").is_empty());
    }
    let requests = requests.all();
    let asked: Vec<_> = requests.iter().map(|request| request["MaxNumberOfMessages"].clone()).collect();
    assert_eq!(asked, [1, 4, 10]);
    assert_eq!(requests[0]["WaitTimeSeconds"], 3);
    assert_eq!(requests[0]["VisibilityTimeout"], 45);
    assert_eq!(requests[0]["MessageAttributeNames"], json!(["All"]));
    assert_eq!(requests[0]["MessageSystemAttributeNames"], json!(["ApproximateReceiveCount"]));
    assert_eq!(source.visibility(), Some(Duration::from_secs(45)));
}

#[tokio::test]
async fn a_lost_queue_is_an_outage_to_a_running_consumer_and_an_error_at_start() {
    let (source, requests) = source(|_| Answer::error(400, "AWS.SimpleQueueService.NonExistentQueue"));
    let error = source.receive(10).await.expect_err("missing");
    assert!(matches!(error, SourceError::Unavailable { .. }), "{error:?}");
    assert_eq!(requests.count(), 1);
    let error = source.start().await.expect_err("missing");
    assert!(matches!(error, SourceError::Refused(_)), "{error:?}");
}

#[tokio::test]
async fn a_failed_receive_is_left_to_the_consumers_own_backoff() {
    let (source, requests) = source(|_| Answer::status(503));
    let error = source.receive(10).await.expect_err("away");
    assert!(matches!(error, SourceError::Unavailable { .. }), "{error:?}");
    assert_eq!(requests.count(), 1, "one attempt");
}

#[tokio::test]
async fn settings_that_cannot_work_are_refused_at_start_by_name() {
    let (client, requests) = client(|_| Answer::body(&"{}"));
    let new = || SqsSource::new(client.clone(), QUEUE);
    for (source, expected) in [
        (SqsSource::new(client.clone(), "http://sqs.invalid/1/orders.fifo"), "FIFO"),
        (SqsSource::new(client.clone(), "my orders"), "a queue's URL"),
        (new().wait(Duration::from_secs(21)), "wait"),
        (new().visibility_timeout(Duration::ZERO), "visibility timeout"),
        (new().visibility_timeout(Duration::from_secs(13 * 3600)), "visibility timeout"),
    ] {
        let error = source.start().await.expect_err(expected);
        assert!(matches!(error, SourceError::Refused(_)) && error.to_string().contains(expected), "{error}");
    }
    assert_eq!(requests.count(), 0);
}

#[tokio::test]
async fn retention_is_unknown_without_the_permission_to_ask() {
    let (denied, _) = source(|_| Answer::error(403, "AccessDenied"));
    assert_eq!(denied.retention().await.expect("unknown is no error"), None);
    let (allowed, _) = source(|_| Answer::body(&r#"{"Attributes":{"MessageRetentionPeriod":"345600"}}"#));
    assert_eq!(allowed.retention().await.expect("known"), Some(Duration::from_secs(4 * 86_400)));
    let (missing, _) = source(|_| Answer::error(400, "AWS.SimpleQueueService.NonExistentQueue"));
    assert!(missing.retention().await.is_err());
}
