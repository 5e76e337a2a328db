//! What goes to FIFO queues, and in which order, whatever SQS answers.

use serde_json::{Value, json};
use uuid::Uuid;

use super::*;
use crate::{
    publisher::tests::{all_sent, failure, sent},
    stub::{Answer, Requests, client, ids},
};

const ORDERS: &str = "http://sqs.invalid/1/orders.fifo";

fn publisher(answer: impl Fn(&Value) -> Answer + Send + Sync + 'static) -> (SqsPublisher, Requests) {
    let (client, requests) = client(answer);
    (SqsPublisher::new(client).route("orders", ORDERS).wire_format(WireFormat::Raw), requests)
}

/// A message of an aggregate, by which its entry is told.
fn message(aggregate: &str, payload: impl Into<String>) -> Message {
    let mut message = Message::new(Uuid::now_v7(), "/shop", "orders", "order.placed", payload);
    message.aggregate_type = Some("order".to_owned());
    message.aggregate_id = Some(aggregate.to_owned());
    message
}

fn of(aggregates: &[&str]) -> Vec<Message> {
    aggregates.iter().map(|aggregate| message(aggregate, "1")).collect()
}

fn is_held_back(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::HeldBack { .. })
}

/// The ids of each request, in the order in which they were answered.
fn rounds(requests: &Requests) -> Vec<String> {
    requests.all().iter().map(|request| ids(request).join(" ")).collect()
}

#[tokio::test]
async fn each_entry_names_its_group_and_by_what_its_copies_are_known() {
    let (publisher, requests) = publisher(all_sent);
    let mut replay = message("42", "2");
    replay.replay = Some(Uuid::from_u128(7));
    let mut alone = message("", "3");
    alone.aggregate_id = None;
    let batch = [message("41", "1"), replay, alone];

    assert!(publisher.publish(&batch).await.iter().all(Outcome::is_published));

    let entries = &requests.all()[0]["Entries"];
    let replayed = format!("{}.{}", batch[1].id, Uuid::from_u128(7));
    for (number, (group, deduplication)) in [
        ("order/41".to_owned(), batch[0].id.to_string()),
        ("order/42".to_owned(), replayed),
        (batch[2].id.to_string(), batch[2].id.to_string()),
    ]
    .into_iter()
    .enumerate()
    {
        assert_eq!(entries[number]["MessageGroupId"], group);
        assert_eq!(entries[number]["MessageDeduplicationId"], deduplication);
    }
}

#[tokio::test]
async fn a_standard_queue_gets_no_deduplication_id_and_a_group_only_where_asked_for() {
    for (by, expected) in [(None, Value::Null), (Some(GroupBy::Aggregate), json!("order/42"))] {
        let (client, requests) = client(all_sent);
        let mut publisher = SqsPublisher::new(client).route("orders", "http://sqs.invalid/1/orders");
        publisher.group_by = by;
        // Two of one group in one request: no order is promised there.
        let outcomes = publisher.publish(&of(&["42", "42"])).await;
        assert!(outcomes.iter().all(Outcome::is_published), "{outcomes:?}");
        assert_eq!(rounds(&requests), ["0 1"]);
        for entry in requests.all()[0]["Entries"].as_array().expect("a batch request") {
            assert_eq!(entry["MessageGroupId"], expected);
            assert_eq!(entry["MessageDeduplicationId"], Value::Null, "a standard queue refuses it");
        }
    }
}

#[tokio::test]
async fn a_thousand_aggregates_cost_a_hundred_requests_to_a_fifo_queue() {
    let (publisher, requests) = publisher(all_sent);
    let messages: Vec<_> = (0..1000).map(|number| message(&number.to_string(), "1")).collect();
    for batch in messages.chunks(publisher.max_batch()) {
        assert!(publisher.publish(batch).await.iter().all(Outcome::is_published));
    }
    assert_eq!(requests.count(), 100);
}

#[tokio::test]
async fn an_aggregate_goes_one_message_a_request_in_its_order() {
    let (publisher, requests) = publisher(all_sent);
    let outcomes = publisher.publish(&of(&["a", "b", "a", "a", "b"])).await;
    assert!(outcomes.iter().all(Outcome::is_published), "{outcomes:?}");
    assert_eq!(rounds(&requests), ["0 1", "2 4", "3"]);
}

#[tokio::test]
async fn whatever_keeps_a_message_back_keeps_its_group_back_and_no_other() {
    type Whatever = (&'static str, fn(&Value) -> Answer, fn(&Outcome) -> bool);
    let entry_fails: [Whatever; 4] = [
        ("failed", |request| one_fails(request, "InternalError"), |o| matches!(o, Outcome::Failed { .. })),
        (
            "throttled",
            |request| one_fails(request, "RequestThrottled"),
            |o| matches!(o, Outcome::Throttled { .. }),
        ),
        (
            "rejected",
            |request| one_fails(request, "InvalidMessageContents"),
            |o| matches!(o, Outcome::Rejected { .. }),
        ),
        (
            "not mentioned",
            |request| {
                let mut successful = sent(request);
                successful.retain(|entry| entry["Id"] != "0");
                Answer::body(&json!({ "Successful": successful }))
            },
            |o| matches!(o, Outcome::Failed { .. }),
        ),
    ];
    for (what, answer, expected) in entry_fails {
        let (publisher, requests) = publisher(answer);
        let outcomes = publisher.publish(&of(&["a", "b", "a", "b", "a"])).await;
        assert!(expected(&outcomes[0]), "{what}: {outcomes:?}");
        assert!(outcomes[1].is_published() && outcomes[3].is_published(), "{what}: {outcomes:?}");
        assert!(is_held_back(&outcomes[2]) && is_held_back(&outcomes[4]), "{what}: {outcomes:?}");
        assert_eq!(rounds(&requests), ["0 1", "3"], "{what}");
    }
}

fn one_fails(request: &Value, code: &str) -> Answer {
    let mut successful = sent(request);
    successful.retain(|entry| entry["Id"] != "0");
    let failed: Vec<_> =
        ids(request).iter().filter(|id| **id == "0").map(|id| failure(id, code, true)).collect();
    Answer::body(&json!({ "Successful": successful, "Failed": failed }))
}

#[tokio::test]
async fn a_request_that_fails_keeps_all_its_groups_back() {
    for (status, code) in [(400, "RequestThrottled"), (503, "ServiceUnavailable"), (400, "SomethingNew")] {
        let (publisher, requests) = publisher(move |_| Answer::error(status, code));
        let outcomes = publisher.publish(&of(&["a", "b", "a", "b"])).await;
        assert!(!outcomes[0].is_published() && !is_held_back(&outcomes[0]), "{outcomes:?}");
        assert!(outcomes[2..].iter().all(is_held_back), "{outcomes:?}");
        assert_eq!(requests.count(), 1, "{code}");
    }
    let (publisher, requests) = publisher(|_| Answer::body(&"{"));
    let outcomes = publisher.publish(&of(&["a", "a"])).await;
    assert!(matches!(outcomes[0], Outcome::Unavailable { .. }), "it may have been stored: {outcomes:?}");
    assert!(is_held_back(&outcomes[1]), "{outcomes:?}");
    assert_eq!(requests.count(), 1);
}

#[tokio::test]
async fn nothing_of_a_group_goes_behind_a_message_that_can_never_go() {
    let (publisher, requests) = publisher(all_sent);
    let mut batch = of(&["a", "b", "a", "a", "b"]);
    batch[2].payload = "bell \u{7}".to_owned();
    let outcomes = publisher.publish(&batch).await;
    assert!([0, 1, 4].iter().all(|place| outcomes[*place].is_published()), "{outcomes:?}");
    assert!(matches!(outcomes[2], Outcome::Rejected { .. }), "{outcomes:?}");
    assert!(is_held_back(&outcomes[3]), "{outcomes:?}");
    assert_eq!(rounds(&requests), ["1 0", "4"], "the one before it went");
}

#[tokio::test]
async fn a_request_that_is_divided_keeps_the_order_too() {
    let (publisher, requests) = publisher(|request| match ids(request)[..] {
        // The culprit is alone.
        ["1"] => Answer::error(400, "InvalidMessageContents"),
        ref ids if ids.contains(&"1") => Answer::error(400, "AWS.SimpleQueueService.BatchRequestTooLong"),
        _ => all_sent(request),
    });
    let outcomes = publisher.publish(&of(&["a", "b", "c", "a", "b", "c"])).await;
    assert!([0, 2, 3, 5].iter().all(|place| outcomes[*place].is_published()), "{outcomes:?}");
    assert!(matches!(outcomes[1], Outcome::Rejected { .. }), "{outcomes:?}");
    assert!(is_held_back(&outcomes[4]), "{outcomes:?}");
    assert_eq!(rounds(&requests), ["0 1 2", "0", "1 2", "1", "2", "3 5"]);
}

#[tokio::test]
async fn what_there_is_no_time_for_goes_again_and_is_no_outage() {
    let limit = Duration::from_secs(2);
    // The answer to the first request takes all the time that there is.
    let (publisher, requests) = publisher(move |request| {
        std::thread::sleep(limit);
        all_sent(request)
    });
    let outcomes = publisher.publish_within(&of(&["a", "a", "a"]), limit).await;
    let places: Vec<_> =
        outcomes.iter().map(|outcome| (outcome.is_published(), is_held_back(outcome))).collect();
    assert_eq!(places, [(true, false), (false, true), (false, true)], "{outcomes:?}");
    assert_eq!(requests.count(), 1);
}

/// The answer to a copy is that of the first: SQS does not say that it dropped it.
#[tokio::test]
async fn a_copy_that_the_queue_drops_counts_as_published() {
    let (publisher, _) = publisher(|request| {
        let id = ids(request)[0].to_owned();
        Answer::body(&json!({
            "Successful": [{ "Id": id, "MessageId": "of the first", "MD5OfMessageBody": "", "SequenceNumber": "1" }]
        }))
    });
    let outcomes = publisher.publish(&of(&["a"])).await;
    assert_eq!(outcomes, [Outcome::published_as("of the first")]);
}

#[tokio::test]
async fn a_fifo_queue_under_two_names_is_refused_at_start() {
    let answer = |request: &Value| match request["QueueName"].as_str() {
        Some(_) => Answer::body(&json!({ "QueueUrl": ORDERS })),
        None => Answer::body(&json!({ "Attributes": {} })),
    };
    let (publisher, _) = publisher(answer);
    let error = publisher.clone().route("refunds", "orders.fifo").start().await.expect_err("two names");
    let expected = format!("found {ORDERS} and orders.fifo");
    assert!(error.to_string().contains(&expected), "{error}");
    publisher.route("refunds", ORDERS).start().await.expect("one name");
}
