//! What leaves the machine, and what becomes of the answers that no local server gives.

use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use aws_sdk_sqs::config::{
    ConfigBag, Intercept, RuntimeComponents, interceptors::BeforeTransmitInterceptorContextMut,
};
use serde_json::{Value, json};

use super::*;
use crate::stub::{Answer, Requests, client};

const ARN: &str = "arn:aws:sqs:us-east-1:000000000000:orders-dead-letters";

/// A client that would talk to this endpoint, and to AWS without one.
fn client_of(endpoint: Option<&str>, answer: fn(&Value) -> Answer) -> (Client, Requests) {
    let (client, requests) = client(answer);
    let mut config = client.config().to_builder();
    config.set_endpoint_url(endpoint.map(ToOwned::to_owned));
    (Client::from_conf(config.build()), requests)
}

/// A server on which both queues are there as [`DevQueue::named`] makes them.
fn both_are_there(request: &Value) -> Answer {
    if let Some(name) = request["QueueName"].as_str() {
        return Answer::body(&json!({ "QueueUrl": format!("http://127.0.0.1:4566/1/{name}") }));
    }
    let policy = json!({ "deadLetterTargetArn": ARN, "maxReceiveCount": 5 }).to_string();
    Answer::body(&json!({ "Attributes": {
        "QueueArn": ARN,
        "RedrivePolicy": policy,
        "MessageRetentionPeriod": "1209600",
    }}))
}

#[tokio::test]
async fn nothing_is_sent_to_aws_though_its_host_is_allowed_by_name() {
    // Without an endpoint the SDK goes to AWS.
    for endpoint in [None, Some("https://sqs.us-east-1.amazonaws.com"), Some("https://sqs.us-east-1.api.aws")]
    {
        let (client, requests) = client_of(endpoint, both_are_there);
        let host = endpoint.unwrap_or("https://sqs.us-east-1.amazonaws.com").trim_start_matches("https://");
        for queue in [DevQueue::named("orders"), DevQueue::named("orders").allow_host(host)] {
            let error = queue.create(&client).await.expect_err("AWS");
            assert!(matches!(&error, DevError::Aws { host: found } if found == host), "{error}");
            let error = queue.delete(&client).await.expect_err("AWS");
            assert!(matches!(&error, DevError::Aws { host: found } if found == host), "{error}");
        }
        assert_eq!(requests.count(), 0, "{endpoint:?}");
    }
}

#[tokio::test]
async fn another_machine_is_refused_unless_it_is_allowed_by_its_very_name() {
    let (client, requests) = client_of(Some("http://localstack:4566"), both_are_there);
    let queue = DevQueue::named("orders");
    let error = queue.create(&client).await.expect_err("not loopback").to_string();
    assert!(error.contains("\"localstack\"") && error.contains("allow_host"), "{error}");
    assert!(queue.clone().allow_host("elsewhere").create(&client).await.is_err());
    assert_eq!(requests.count(), 0);

    let created = queue.allow_host("localstack").create(&client).await.expect("it was allowed");
    assert_eq!(created.url, "http://127.0.0.1:4566/1/orders");
    assert_eq!(created.dead_letter_url, "http://127.0.0.1:4566/1/orders-dead-letters");
    assert!(requests.count() > 0);
}

/// Sends a request elsewhere at the last moment at which a request can be changed.
#[derive(Debug)]
struct Elsewhere;

impl Intercept for Elsewhere {
    fn name(&self) -> &'static str {
        "Elsewhere"
    }

    fn modify_before_transmit(
        &self,
        context: &mut BeforeTransmitInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), aws_sdk_sqs::error::BoxError> {
        Ok(context.request_mut().set_uri("http://elsewhere.invalid/")?)
    }
}

#[tokio::test]
async fn what_counts_is_where_the_request_goes_and_not_what_the_endpoint_was() {
    let (client, requests) = client_of(Some("http://127.0.0.1:4566"), both_are_there);
    let diverted = Client::from_conf(client.config().to_builder().interceptor(Elsewhere).build());
    let error = DevQueue::named("orders").create(&diverted).await.expect_err("diverted");
    assert!(matches!(&error, DevError::NotLoopback { host } if host == "elsewhere.invalid"), "{error}");
    assert_eq!(requests.count(), 0);
}

#[tokio::test]
async fn a_queue_that_somebody_else_made_in_between_is_looked_at() {
    let is_there = AtomicBool::new(false);
    let (client, _) = client(move |request| {
        let is_create = request["Attributes"].is_object();
        if is_create {
            is_there.store(true, SeqCst);
            return Answer::error(400, "QueueAlreadyExists");
        }
        if request["QueueName"].is_string() && !is_there.swap(false, SeqCst) {
            return Answer::error(400, "AWS.SimpleQueueService.NonExistentQueue");
        }
        both_are_there(request)
    });
    let queue = DevQueue::named("orders").allow_host("sqs.invalid");
    queue.create(&client).await.expect("the same settings");
    let error = queue.max_receive_count(2).create(&client).await.expect_err("other settings").to_string();
    assert!(error.contains("queue orders ") && error.contains("RedrivePolicy: expected"), "{error}");
}

#[tokio::test]
async fn an_answer_that_does_not_help_says_what_was_asked_for() {
    let (client, _) = client_of(Some("http://localhost:4566"), |_| Answer::error(403, "AccessDenied"));
    let error = DevQueue::named("orders").create(&client).await.expect_err("denied").to_string();
    assert!(error.contains("GetQueueUrl") && error.contains("AccessDenied"), "{error}");
}
