//! The answers of SQS that no local server gives.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use aws_credential_types::provider::{ProvideCredentials, future};
use aws_sdk_sqs::config::{Credentials, IdentityCache};
use aws_smithy_http_client::test_util::NeverClient;
use outbox_core::message::names;
use serde_json::{Value, json};
use uuid::Uuid;

use super::*;
use crate::stub::{Answer, Requests, client, ids};

const ORDERS: &str = "http://sqs.invalid/1/orders";
const PAYMENTS: &str = "http://sqs.invalid/1/payments";

fn publisher(answer: impl Fn(&Value) -> Answer + Send + Sync + 'static) -> (SqsPublisher, Requests) {
    let (client, requests) = client(answer);
    (
        SqsPublisher::new(client)
            .route("orders", ORDERS)
            .route("payments", PAYMENTS)
            .wire_format(WireFormat::Raw),
        requests,
    )
}

fn message(topic: &str, payload: impl Into<String>) -> Message {
    Message::new(Uuid::now_v7(), "/shop", topic, "order.placed", payload)
}

fn messages(count: usize) -> Vec<Message> {
    (0..count).map(|number| message("orders", number.to_string())).collect()
}

pub(super) fn sent(request: &Value) -> Vec<Value> {
    ids(request)
        .iter()
        .map(|id| json!({ "Id": id, "MessageId": format!("m{id}"), "MD5OfMessageBody": "" }))
        .collect()
}

pub(super) fn all_sent(request: &Value) -> Answer {
    Answer::body(&json!({ "Successful": sent(request), "Failed": [] }))
}

pub(super) fn failure(id: &str, code: &str, sender_fault: bool) -> Value {
    json!({ "Id": id, "Code": code, "Message": "what went wrong", "SenderFault": sender_fault })
}

fn is_unavailable(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Unavailable { .. })
}

#[tokio::test]
async fn each_entry_gets_its_own_outcome_whatever_the_order_of_the_lists() {
    let (publisher, requests) = publisher(|request| {
        let mut successful = sent(request);
        successful.retain(|entry| !["1", "3", "4", "5", "6"].contains(&entry["Id"].as_str().expect("an id")));
        successful.reverse();
        let failed = [
            failure("6", "InternalError", false),
            failure("5", "AWS.SimpleQueueService.NonExistentQueue", true),
            failure("4", "RequestThrottled", true),
            failure("3", "InvalidParameterValue", true),
            // As some servers say it: not the sender's fault. It is.
            failure("1", "InvalidMessageContents", false),
        ];
        Answer::body(&json!({ "Successful": successful, "Failed": failed }))
    });

    let outcomes = publisher.publish(&messages(8)).await;

    assert_eq!(outcomes[0], Outcome::published_as("m0"));
    assert_eq!(outcomes[1], Outcome::rejected("InvalidMessageContents: what went wrong"));
    assert_eq!(outcomes[2], Outcome::published_as("m2"));
    assert_eq!(outcomes[3], Outcome::rejected("InvalidParameterValue: what went wrong"));
    assert_eq!(outcomes[4], Outcome::throttled(None, "RequestThrottled: what went wrong"));
    assert!(is_unavailable(&outcomes[5]));
    assert_eq!(outcomes[6], Outcome::failed("InternalError: what went wrong"));
    assert_eq!(outcomes[7], Outcome::published_as("m7"));
    assert_eq!(requests.count(), 1);
}

#[tokio::test]
async fn an_entry_in_neither_list_was_not_sent() {
    let (publisher, _) = publisher(|request| {
        let mut successful = sent(request);
        successful.remove(1);
        Answer::body(&json!({ "Successful": successful }))
    });
    let outcomes = publisher.publish(&messages(3)).await;
    assert_eq!(outcomes[0], Outcome::published_as("m0"));
    assert_eq!(outcomes[1], Outcome::failed("the answer does not mention this message"));
    assert_eq!(outcomes[2], Outcome::published_as("m2"));
}

#[tokio::test]
async fn an_entry_in_both_lists_counts_as_not_sent() {
    let (publisher, _) = publisher(|request| {
        Answer::body(
            &json!({ "Successful": sent(request), "Failed": [failure("0", "InternalError", false)] }),
        )
    });
    let outcomes = publisher.publish(&messages(2)).await;
    assert_eq!(outcomes[0], Outcome::failed("InternalError: what went wrong"));
    assert_eq!(outcomes[1], Outcome::published_as("m1"));
}

#[tokio::test]
async fn an_answer_that_mentions_nothing_is_an_outage() {
    for body in [
        "{}",
        r#"{"Successful":[],"Failed":[]}"#,
        r#"{"Successful":[{"Id":"99","MessageId":"m","MD5OfMessageBody":""}]}"#,
    ] {
        let (publisher, _) = publisher(move |_| Answer::body(&body));
        let outcomes = publisher.publish(&messages(2)).await;
        assert!(outcomes.iter().all(is_unavailable), "{body}: {outcomes:?}");
    }
}

#[tokio::test]
async fn a_broken_answer_under_200_poisons_nothing_and_is_not_repeated_by_the_sdk() {
    for body in ["", "{", r#"{"Successful":[{"Id":"0","Mess"#, "<html>"] {
        let (publisher, requests) = publisher(move |_| Answer::body(&body));
        let outcomes = publisher.publish(&messages(2)).await;
        assert!(outcomes.iter().all(is_unavailable), "{body:?}: {outcomes:?}");
        assert_eq!(requests.count(), 1, "{body:?}");
    }
}

#[tokio::test]
async fn throttling_is_told_apart_and_the_sdk_does_not_retry_it() {
    for (status, code) in [
        (400, "RequestThrottled"),
        (403, "RequestThrottled"),
        (400, "ThrottlingException"),
        (400, "KMS.ThrottlingException"),
    ] {
        let (publisher, requests) = publisher(move |_| Answer::error(status, code));
        let outcomes = publisher.publish(&messages(2)).await;
        assert_eq!(outcomes, vec![Outcome::throttled(None, format!("{code}: what went wrong")); 2]);
        assert_eq!(requests.count(), 1, "{code}: one attempt");
    }
}

#[tokio::test]
async fn the_time_to_wait_is_taken_where_the_answer_names_it() {
    let (publisher, _) = publisher(|_| Answer::error(503, "SlowDown").header("retry-after", "7"));
    let outcomes = publisher.publish(&messages(1)).await;
    assert_eq!(outcomes, [Outcome::throttled(Some(Duration::from_secs(7)), "SlowDown: what went wrong")]);
}

#[tokio::test]
async fn faults_that_are_not_the_messages_make_the_broker_unavailable() {
    for code in [
        "AWS.SimpleQueueService.NonExistentQueue",
        "AccessDenied",
        "ExpiredToken",
        "InvalidClientTokenId",
        "KMS.DisabledException",
    ] {
        let (publisher, requests) = publisher(move |_| Answer::error(400, code));
        let outcomes = publisher.publish(&messages(2)).await;
        assert_eq!(outcomes, vec![Outcome::unavailable(format!("{code}: what went wrong")); 2]);
        assert_eq!(requests.count(), 1, "{code}: one attempt");
    }
    for status in [403, 404, 500, 502, 503] {
        let (publisher, requests) = publisher(move |_| Answer::status(status));
        let outcomes = publisher.publish(&messages(2)).await;
        assert!(outcomes.iter().all(is_unavailable), "{status}: {outcomes:?}");
        assert_eq!(requests.count(), 1, "{status}: one attempt");
    }
}

#[tokio::test]
async fn an_unknown_fault_fails_the_messages_without_poisoning_them() {
    let (publisher, _) = publisher(|_| Answer::error(400, "SomethingNew"));
    assert_eq!(
        publisher.publish(&messages(2)).await,
        vec![Outcome::failed("SomethingNew: what went wrong"); 2]
    );
}

#[tokio::test]
async fn a_batch_that_is_too_long_for_the_queue_is_divided() {
    let (publisher, requests) = publisher(|request| {
        if ids(request).len() > 3 {
            return Answer::error(400, "AWS.SimpleQueueService.BatchRequestTooLong");
        }
        all_sent(request)
    });
    let outcomes = publisher.publish(&messages(10)).await;
    let expected: Vec<_> = (0..10).map(|number| Outcome::published_as(format!("m{number}"))).collect();
    assert_eq!(outcomes, expected);
    let sizes: Vec<_> = requests.all().iter().map(|request| ids(request).len()).collect();
    assert_eq!(sizes, [10, 5, 2, 3, 5, 2, 3]);
}

#[tokio::test]
async fn one_message_that_spoils_a_request_does_not_take_the_others_along() {
    for code in ["AWS.SimpleQueueService.BatchRequestTooLong", "InvalidMessageContents"] {
        let (publisher, _) = publisher(move |request| {
            if ids(request).contains(&"6") {
                return Answer::error(400, code);
            }
            all_sent(request)
        });
        let outcomes = publisher.publish(&messages(10)).await;
        for (number, outcome) in outcomes.iter().enumerate() {
            match number {
                6 => assert!(matches!(outcome, Outcome::Rejected { .. }), "{code}: {outcome:?}"),
                _ => assert_eq!(outcome, &Outcome::published_as(format!("m{number}")), "{code}"),
            }
        }
    }
}

#[tokio::test]
async fn a_wrong_parameter_of_the_request_kills_no_message() {
    let (publisher, _) = publisher(|_| Answer::error(400, "InvalidParameterValue"));
    let outcomes = publisher.publish(&messages(3)).await;
    assert_eq!(outcomes, vec![Outcome::failed("InvalidParameterValue: what went wrong"); 3]);
}

#[tokio::test]
async fn what_can_never_be_taken_is_rejected_before_it_is_sent() {
    let (publisher, requests) = publisher(all_sent);
    let publisher = publisher.max_bytes(1000);
    let outcomes = publisher
        .publish(&[
            message("orders", "good"),
            message("orders", "x".repeat(2000)),
            message("orders", "bell \u{7}"),
            message("orders", "\u{FFFE}"),
            message("orders", ""),
            message("orders", "also good"),
        ])
        .await;

    assert_eq!(outcomes[0], Outcome::published_as("m0"));
    for (number, expected) in
        [(1, "1000 bytes"), (2, "U+0007 in the body"), (3, "U+FFFE in the body"), (4, "an empty one")]
    {
        let Outcome::Rejected { reason } = &outcomes[number] else {
            panic!("{number}: {:?}", outcomes[number])
        };
        assert!(reason.contains(expected), "{reason}");
    }
    assert_eq!(outcomes[5], Outcome::published_as("m5"));
    assert_eq!(requests.all().iter().map(|request| ids(request).join(" ")).collect::<Vec<_>>(), ["0 5"]);
}

#[tokio::test]
async fn messages_of_several_queues_go_to_their_own_queue_in_one_call() {
    let (publisher, requests) = publisher(all_sent);
    let batch: Vec<_> =
        (0..25).map(|number| message(["orders", "payments"][number % 2], number.to_string())).collect();

    let outcomes = publisher.publish(&batch).await;

    let expected: Vec<_> = (0..25).map(|number| Outcome::published_as(format!("m{number}"))).collect();
    assert_eq!(outcomes, expected);
    let requests = requests.all();
    assert_eq!(requests.len(), 4, "13 and 12 messages");
    for request in requests {
        let parity = usize::from(request["QueueUrl"] == PAYMENTS);
        assert!(
            ids(&request).iter().all(|id| id.parse::<usize>().expect("a number") % 2 == parity),
            "{request}"
        );
    }
}

/// Gives credentials so many times; who asks then waits for ever.
#[derive(Debug)]
struct Rationed(AtomicUsize);

impl ProvideCredentials for Rationed {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        let is_left = self.0.fetch_update(SeqCst, SeqCst, |left| left.checked_sub(1)).is_ok();
        future::ProvideCredentials::new(async move {
            if !is_left {
                std::future::pending::<()>().await;
            }
            Ok(Credentials::new("test", "test", None, None, "test"))
        })
    }
}

#[tokio::test]
async fn a_request_that_hangs_takes_no_other_of_its_batch_along() {
    for concurrency in [1, 10] {
        let (client, requests) = client(all_sent);
        let config = client.config().to_builder().identity_cache(IdentityCache::no_cache());
        let config = config.credentials_provider(Rationed(AtomicUsize::new(1))).build();
        let publisher =
            SqsPublisher::new(Client::from_conf(config)).route("orders", ORDERS).concurrency(concurrency);

        let outcomes = publisher.publish_within(&messages(25), Duration::from_millis(200)).await;

        let published = outcomes.iter().filter(|outcome| outcome.is_published()).count();
        assert!(published == 10 || published == 5, "one request's worth: {outcomes:?}");
        assert_eq!(outcomes.iter().filter(|outcome| is_unavailable(outcome)).count(), 25 - published);
        assert_eq!(requests.count(), 1);
    }
}

#[tokio::test]
async fn nothing_is_sent_when_the_time_is_up() {
    let (publisher, requests) = publisher(all_sent);
    let outcomes = publisher.publish_within(&messages(3), Duration::ZERO).await;
    assert!(outcomes.iter().all(is_unavailable), "{outcomes:?}");
    assert_eq!(requests.count(), 0);
}

#[tokio::test]
async fn a_topic_without_a_route_is_never_sent() {
    let (publisher, requests) = publisher(all_sent);
    let outcomes = publisher.publish(&[message("stray", "x"), message("orders", "y")]).await;
    assert_eq!(outcomes[0], Outcome::rejected("no route for the topic \"stray\""));
    assert_eq!(outcomes[1], Outcome::published_as("m1"));
    assert_eq!(requests.count(), 1);
    assert_eq!(publisher.topics(), Topics::Only(["orders".to_owned(), "payments".to_owned()].into()));
}

#[tokio::test]
async fn the_trace_goes_with_the_message_unless_it_is_ill_formed() {
    let (publisher, requests) = publisher(all_sent);
    let mut traced = message("orders", "x");
    traced.headers.insert(names::TRACEPARENT, "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
    let mut broken = message("orders", "y");
    broken.headers.insert(names::TRACEPARENT, "no trace");

    publisher.publish(&[traced, broken]).await;

    let entries = &requests.all()[0]["Entries"];
    assert_eq!(
        entries[0]["MessageSystemAttributes"]["AWSTraceHeader"]["StringValue"],
        "Root=1-4bf92f35-77b34da6a3ce929d0e0e4736;Parent=00f067aa0ba902b7;Sampled=1"
    );
    assert_eq!(entries[1].get("MessageSystemAttributes"), None);
}

#[tokio::test]
async fn a_missing_queue_is_an_error_at_start_and_an_outage_is_not() {
    let (missing, _) = publisher(|request| match request["QueueUrl"].as_str() {
        Some(PAYMENTS) => Answer::error(400, "AWS.SimpleQueueService.NonExistentQueue"),
        _ => Answer::body(&r#"{"Attributes":{}}"#),
    });
    let error = missing.start().await.expect_err("the queue is missing").to_string();
    assert!(error.contains(PAYMENTS) && error.contains("NonExistentQueue"), "{error}");

    for open in [Answer::status as fn(u16) -> Answer, |status| Answer::error(status, "AccessDenied")] {
        let (publisher, _) = publisher(move |_| open(403));
        publisher.start().await.expect("an outage, or no permission to ask, is no error");
    }
}

#[tokio::test]
async fn settings_that_cannot_work_are_refused_at_start_by_name() {
    let (client, requests) = client(|_| Answer::body(&"{}"));
    let new = || SqsPublisher::new(client.clone());
    for (publisher, expected) in [
        (new(), "route"),
        (new().route("orders", "my orders"), "a queue's URL"),
        (new().route("orders", ORDERS).max_bytes(0), "max_bytes"),
        (new().route("orders", ORDERS).max_bytes(2 << 20), "max_bytes"),
        (new().route("orders", ORDERS).concurrency(0), "concurrency"),
    ] {
        let error = publisher.start().await.expect_err(expected).to_string();
        assert!(error.contains(expected), "{error}");
    }
    assert_eq!(requests.count(), 0);
}

/// Two topics, one of them in two versions.
struct Payment;

impl Payment {
    const fn kind_of(event_type: &'static str, version: u32, topic: &'static str) -> EventKind {
        EventKind { event_type, version, topic, aggregate_type: None, variant: None }
    }
}

impl OutboxEvent for Payment {
    const KINDS: &'static [EventKind] = &[
        Self::kind_of("payment.made", 1, "payments"),
        Self::kind_of("payment.made", 2, "payments"),
        Self::kind_of("payment.lost", 1, "payments"),
        Self::kind_of("refund.made", 1, "refunds"),
    ];

    fn kind(&self) -> &'static EventKind {
        &Self::KINDS[0]
    }
}

#[tokio::test]
async fn an_event_type_without_a_route_is_an_error_at_start_that_names_what_is_missing_and_what_is_known() {
    let (client, requests) = client(|_| Answer::body(&r#"{"Attributes":{}}"#));
    let publisher = SqsPublisher::new(client).route("orders", ORDERS).carries::<Payment>();
    let error = publisher.start().await.expect_err("two topics have no route").to_string();
    for expected in [r#""payments" (payment.lost, payment.made)"#, r#""refunds" (refund.made)"#, ORDERS] {
        assert!(error.contains(expected), "{error}");
    }
    assert_eq!(requests.count(), 0);
    let publisher = publisher.route("payments", PAYMENTS);
    let error = publisher.start().await.expect_err("one topic has no route").to_string();
    assert!(error.contains("refunds") && !error.contains("payment.made"), "{error}");
    publisher.route("refunds", PAYMENTS).start().await.expect("each topic has a route");
}

#[tokio::test]
async fn a_message_larger_than_its_queue_takes_is_rejected_before_it_is_sent_where_the_queue_said_so() {
    let (publisher, requests) = publisher(|request| match request.get("Entries") {
        Some(_) => all_sent(request),
        None if request["QueueUrl"] == ORDERS => {
            Answer::body(&json!({ "Attributes": { "MaximumMessageSize": "1024" } }))
        }
        None => Answer::body(&r#"{"Attributes":{}}"#),
    });
    publisher.start().await.expect("it starts");
    let large = "x".repeat(2000);
    let batch = [message("orders", &*large), message("payments", &*large), message("orders", "small")];
    let outcomes = publisher.publish(&batch).await;
    let Outcome::Rejected { reason } = &outcomes[0] else { panic!("{outcomes:?}") };
    assert!(reason.contains("at most 1024 bytes") && reason.contains("store it elsewhere"), "{reason}");
    assert!(outcomes[1].is_published() && outcomes[2].is_published(), "the other queue has no such limit");
    assert_eq!(requests.count(), 4, "two questions, two requests");
}

#[tokio::test]
async fn one_queue_of_several_that_is_not_there_makes_the_publisher_unhealthy() {
    let (publisher, requests) = publisher(|request| match request["QueueUrl"].as_str() {
        Some(PAYMENTS) => Answer::error(400, "AWS.SimpleQueueService.NonExistentQueue"),
        _ => Answer::body(&r#"{"Attributes":{}}"#),
    });
    // A second topic of a queue is no second question.
    let health = publisher.route("refunds", PAYMENTS).health().await;
    let PublisherHealth::Unhealthy { reason } = health else {
        panic!("expected unhealthy, found {health:?}")
    };
    assert!(reason.contains("`payments`") && reason.contains("NonExistentQueue"), "{reason}");
    assert!(!reason.contains("what went wrong"), "the words of SQS may repeat a request's secrets: {reason}");
    assert_eq!(requests.count(), 2, "each queue is asked once, without the SDK's tries");
}

#[tokio::test]
async fn what_a_queue_answers_decides_how_healthy_it_is() {
    let of = async |answer: fn() -> Answer| {
        let (client, requests) = client(move |_| answer());
        let health = SqsPublisher::new(client).route("orders", ORDERS).health().await;
        assert_eq!(requests.count(), 1);
        health
    };
    assert_eq!(of(|| Answer::body(&r#"{"Attributes":{}}"#)).await, PublisherHealth::Healthy);
    assert_eq!(of(|| Answer::error(403, "AccessDenied")).await, PublisherHealth::Unknown);
    assert_eq!(of(|| Answer::error(400, "RequestThrottled")).await, PublisherHealth::Healthy);
    for wrong in [
        (|| Answer::error(403, "ExpiredToken")) as fn() -> Answer,
        || Answer::error(503, "ServiceUnavailable"),
        || Answer::status(404),
    ] {
        let health = of(wrong).await;
        assert!(health.is_unhealthy(), "{health:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_queue_that_never_answers_is_unhealthy_in_time() {
    let (answering, _) = client(|_| Answer::body(&"{}"));
    let config = answering.config().to_builder().http_client(NeverClient::new()).build();
    // One by name is asked for twice: where it is, and how.
    for named in [ORDERS, "orders"] {
        let publisher = SqsPublisher::new(Client::from_conf(config.clone())).route("orders", named);
        let asked = tokio::time::timeout(Duration::from_secs(4), publisher.health()).await;
        assert!(asked.expect("an answer in time").is_unhealthy(), "{named}");
    }
}

#[tokio::test]
async fn a_success_without_a_message_id_confirms_nothing() {
    let (publisher, _) = publisher(|_| Answer::body(&r#"{"Successful":[{"Id":"0"}]}"#));
    let outcomes = publisher.publish(&messages(1)).await;
    assert!(is_unavailable(&outcomes[0]), "{outcomes:?}");
}
