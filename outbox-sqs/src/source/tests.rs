//! The answers of SQS that no local server gives.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

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
    for (call, longest) in
        [("ack", 10), ("nack", 10), ("extend", 10), ("extend all", 10), ("retention", 10), ("receive", 30)]
    {
        let answer = async {
            match call {
                "ack" => source.ack(&receipts).await.map(drop),
                "nack" => source.nack(&receipts[0], Duration::ZERO).await,
                "extend" => source.extend(&receipts[0], Duration::from_secs(30)).await.map(drop),
                "extend all" => source.extend_all(&receipts, Duration::from_secs(30)).await.map(drop),
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
    assert_eq!(
        requests[0]["MessageSystemAttributeNames"],
        json!(["ApproximateReceiveCount", "MessageGroupId"])
    );
    assert!(requests[0]["ReceiveRequestAttemptId"].is_null(), "a standard queue knows no such thing");
    assert_eq!(source.visibility(), Some(Duration::from_secs(45)));
}

#[tokio::test]
async fn many_are_extended_ten_a_request_and_those_that_are_lost_are_given_back() {
    let (source, requests) = source(|request| {
        let failed = json!([{ "Id": "3", "Code": "InvalidParameterValue", "SenderFault": true }]);
        Answer::body(&json!({ "Successful": deleted(request, &["3"]), "Failed": failed }))
    });
    let lost = source.extend_all(&receipts(0..23), Duration::from_millis(29_500)).await;
    // The last request has three entries: its answer speaks of a fourth, which is nobody.
    assert_eq!(lost.expect("answered"), [&receipts(3..4)[..], &receipts(13..14)].concat());
    let requests = requests.all();
    assert_eq!(requests.len(), 3);
    let entries = requests.iter().flat_map(|request| request["Entries"].as_array().expect("a batch"));
    assert!(entries.clone().all(|entry| entry["VisibilityTimeout"] == 30), "{requests:?}");
    assert_eq!(entries.count(), 23);
}

#[tokio::test]
async fn a_failure_to_extend_is_no_loss_and_keeps_no_other_request_from_its_work() {
    let (source, requests) = source(|request| {
        if request["Entries"][0]["ReceiptHandle"] == "handle0" {
            let failed = json!([{ "Id": "0", "Code": "InternalError", "SenderFault": false }]);
            return Answer::body(&json!({ "Successful": deleted(request, &["0"]), "Failed": failed }));
        }
        Answer::body(&json!({ "Successful": deleted(request, &[]), "Failed": [] }))
    });
    let error = source.extend_all(&receipts(0..20), Duration::from_secs(30)).await.expect_err("one failed");
    assert!(matches!(error, SourceError::Unavailable { .. }) && error.to_string().contains("InternalError"));
    assert_eq!(requests.count(), 2);
    assert_eq!(source.extend_all(&[], Duration::from_secs(30)).await.expect("nothing to do"), []);
    assert_eq!(requests.count(), 2);
}

const FIFO: &str = "http://sqs.invalid/1/orders.fifo";

#[tokio::test]
async fn a_receive_from_a_fifo_queue_whose_answer_was_lost_is_repeated_under_its_id() {
    // The second and the third answer are lost; the fifth is a clear no.
    let answers = AtomicUsize::new(0);
    let (client, requests) = client(move |_| match answers.fetch_add(1, SeqCst) {
        1 => Answer::status(502),
        2 => Answer::error(500, "InternalError"),
        4 => Answer::error(400, "RequestThrottled"),
        _ => Answer::body(&"{}"),
    });
    let source = SqsSource::new(client, FIFO);
    for is_answered in [true, false, false, true, false, true] {
        assert_eq!(source.clone().receive(10).await.is_ok(), is_answered);
    }
    let requests = requests.all();
    let ids: Vec<&str> =
        requests.iter().map(|request| request["ReceiveRequestAttemptId"].as_str().expect("an id")).collect();
    assert_eq!((ids[1], ids[1]), (ids[2], ids[3]), "repeated until it is answered");
    let different: std::collections::BTreeSet<_> = ids.iter().collect();
    assert_eq!(different.len(), 4, "{ids:?}");
}

#[tokio::test]
async fn receives_side_by_side_have_ids_of_their_own() {
    let (client, requests) = client(|_| Answer::body(&"{}"));
    let source = SqsSource::new(client, FIFO);
    let answers = join_all((0..4).map(|_| source.receive(10))).await;
    assert!(answers.iter().all(Result::is_ok));
    let ids: std::collections::BTreeSet<_> =
        requests.all().iter().map(|request| request["ReceiveRequestAttemptId"].to_string()).collect();
    assert_eq!(ids.len(), 4);
}

#[tokio::test]
async fn too_many_messages_in_flight_are_told_in_words_that_help() {
    let (source, requests) = source(|_| Answer::error(403, "OverLimit"));
    let error = source.receive(10).await.expect_err("over the limit");
    assert!(
        matches!(error, SourceError::Unavailable { .. }) && error.to_string().contains("120,000"),
        "{error}"
    );
    assert_eq!(requests.count(), 1, "the consumer waits before it asks again");
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

const DAY: Duration = Duration::from_secs(86_400);

const POLICY: &str =
    r#"{"deadLetterTargetArn":"arn:aws:sqs:us-east-1:123456789012:orders-dead","maxReceiveCount":5}"#;

/// A queue that keeps messages for four days, with a dead-letter queue; `dead` answers for that.
fn with_dead_letters(dead: impl Fn() -> Answer + Send + Sync + 'static) -> (SqsSource, Requests) {
    source(move |request| {
        if request["QueueName"] == "orders-dead" {
            return Answer::body(&json!({ "QueueUrl": "http://sqs.invalid/123456789012/orders-dead" }));
        }
        if request["QueueUrl"] != QUEUE {
            return dead();
        }
        Answer::body(&json!({ "Attributes": {
            "QueueArn": "arn:aws:sqs:us-east-1:123456789012:orders",
            "MessageRetentionPeriod": "345600",
            "RedrivePolicy": POLICY,
        } }))
    })
}

#[tokio::test]
async fn a_queue_that_cannot_be_asked_for_its_retention_is_refused_with_both_ways_out() {
    for answer in [|| Answer::error(403, "AccessDenied"), || Answer::body(&r#"{"Attributes":{}}"#)] {
        let (source, _) = source(move |_| answer());
        source.start().await.expect("a loop of one's own needs no retention");
        let error = source.retention().await.expect_err("unknown");
        assert!(matches!(error, SourceError::Refused(_)), "{error:?}");
        for way in ["sqs:GetQueueAttributes", "message_retention", QUEUE] {
            assert!(error.to_string().contains(way), "{error}");
        }
        let stated = source.message_retention(9 * DAY);
        assert_eq!(stated.retention().await.expect("stated"), Some(9 * DAY));
    }
}

#[tokio::test]
async fn the_longer_of_the_stated_and_the_read_retention_counts() {
    let (source, _) = source(|_| Answer::body(&r#"{"Attributes":{"MessageRetentionPeriod":"345600"}}"#));
    for (stated, expected) in [(None, 4), (Some(1), 4), (Some(4), 4), (Some(30), 30)] {
        let source = match stated {
            Some(days) => source.clone().message_retention(days * DAY),
            None => source.clone(),
        };
        assert_eq!(source.retention().await.expect("read"), Some(expected * DAY), "{stated:?}");
    }
}

#[tokio::test]
async fn a_message_that_is_moved_back_from_the_dead_letter_queue_is_counted_in() {
    let (asked, _) =
        with_dead_letters(|| Answer::body(&r#"{"Attributes":{"MessageRetentionPeriod":"604800"}}"#));
    assert_eq!(asked.retention().await.expect("both told"), Some(11 * DAY));
    for dead in [
        || Answer::error(403, "AccessDenied"),
        || Answer::error(400, "AWS.SimpleQueueService.NonExistentQueue"),
        || Answer::body(&r#"{"Attributes":{}}"#),
    ] {
        let (assumed, _) = with_dead_letters(dead);
        assert_eq!(assumed.retention().await.expect("the longest"), Some(18 * DAY));
    }
}

#[tokio::test(start_paused = true)]
async fn an_outage_when_the_retention_is_asked_for_is_waited_for_and_not_guessed() {
    let (missing, _) = source(|_| Answer::error(400, "AWS.SimpleQueueService.NonExistentQueue"));
    assert!(matches!(missing.retention().await, Err(SourceError::Refused(_))), "a clear no");
    let (away, _) = source(|_| Answer::error(503, "ServiceUnavailable"));
    let (dead_letters_away, _) = with_dead_letters(|| Answer::error(503, "ServiceUnavailable"));
    for source in [away, dead_letters_away] {
        let answer = source.message_retention(9 * DAY).retention().await;
        assert!(matches!(answer, Err(SourceError::Unavailable { .. })), "{answer:?}");
    }
}

#[tokio::test]
async fn a_repeat_that_is_throttled_is_still_to_be_repeated_and_one_that_is_refused_is_not() {
    for (code, is_kept) in
        [("RequestThrottled", true), ("AccessDenied", true), ("InvalidParameterValue", false)]
    {
        let asked = AtomicUsize::new(0);
        let (client, requests) = client(move |_| match asked.fetch_add(1, SeqCst) {
            0 => Answer::error(500, "ServiceUnavailable"),
            1 => Answer::error(400, code),
            _ => Answer::body(&json!({})),
        });
        let source = SqsSource::new(client, "http://sqs.invalid/1/orders.fifo");
        source.receive(10).await.expect_err("its answer is lost");
        source.receive(10).await.expect_err(code);
        source.receive(10).await.expect("an answer");
        let ids: Vec<Value> =
            requests.all().iter().map(|request| request["ReceiveRequestAttemptId"].clone()).collect();
        assert_eq!(ids[0], ids[1], "repeated");
        assert_eq!(ids[1] == ids[2], is_kept, "{code}");
    }
}
