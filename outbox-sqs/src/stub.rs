//! A client whose requests are answered by a closure, for the answers that no local server gives.

use std::sync::{Arc, Mutex};

use aws_sdk_sqs::{
    Client,
    config::{BehaviorVersion, Credentials, Region, retry::RetryConfig},
};
use aws_smithy_http_client::test_util::infallible_client_fn;
use serde_json::Value;

/// What the stub answers.
pub(crate) struct Answer {
    status: u16,
    code: Option<&'static str>,
    headers: Vec<(&'static str, &'static str)>,
    body: String,
}

impl Answer {
    /// HTTP 200 with a body as it is.
    pub(crate) fn body(body: &impl ToString) -> Self {
        Self { status: 200, code: None, headers: Vec::new(), body: body.to_string() }
    }

    /// An error as SQS writes it for current SDKs.
    pub(crate) fn error(status: u16, code: &'static str) -> Self {
        let body = serde_json::json!({ "__type": "com.amazonaws.sqs#Error", "message": "what went wrong" });
        Self { status, code: Some(code), headers: Vec::new(), body: body.to_string() }
    }

    /// An answer of something that is not SQS.
    pub(crate) fn status(status: u16) -> Self {
        Self { status, code: None, headers: Vec::new(), body: "<html>not SQS</html>".to_owned() }
    }

    /// The same with a header.
    pub(crate) fn header(mut self, name: &'static str, value: &'static str) -> Self {
        self.headers.push((name, value));
        self
    }
}

/// The bodies of the requests so far.
#[derive(Clone, Default)]
pub(crate) struct Requests(Arc<Mutex<Vec<Value>>>);

impl Requests {
    pub(crate) fn all(&self) -> Vec<Value> {
        self.0.lock().expect("no test panics with the lock held").clone()
    }

    pub(crate) fn count(&self) -> usize {
        self.all().len()
    }
}

/// A client that retries as eagerly as the SDK allows, so that a test sees where its retries are on.
pub(crate) fn client(answer: impl Fn(&Value) -> Answer + Send + Sync + 'static) -> (Client, Requests) {
    let requests = Requests::default();
    let record = requests.clone();
    let http = infallible_client_fn(move |request| {
        let body: Value =
            serde_json::from_slice(request.body().bytes().expect("not a stream")).expect("JSON");
        let answer = answer(&body);
        record.0.lock().expect("no test panics with the lock held").push(body);
        let mut response = http::Response::builder().status(answer.status);
        if let Some(code) = answer.code {
            response = response.header("x-amzn-query-error", format!("{code};Sender"));
        }
        for (name, value) in answer.headers {
            response = response.header(name, value);
        }
        response.body(answer.body).expect("a valid response")
    });
    let config = aws_sdk_sqs::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .endpoint_url("http://sqs.invalid")
        .credentials_provider(Credentials::new("test", "test", None, None, "test"))
        .retry_config(RetryConfig::standard().with_max_attempts(5))
        .http_client(http)
        .build();
    (Client::from_conf(config), requests)
}

/// The ids of the entries of a batch request.
pub(crate) fn ids(request: &Value) -> Vec<&str> {
    let entries = request["Entries"].as_array().expect("a batch request");
    entries.iter().map(|entry| entry["Id"].as_str().expect("an id")).collect()
}
