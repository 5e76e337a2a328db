//! A queue of its own for each test, on a real SQS server over HTTP.

pub mod proxy;

use std::{
    collections::BTreeMap,
    panic::AssertUnwindSafe,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::{SystemTime, UNIX_EPOCH},
};

use anyhow::{Context as _, Result};
use aws_sdk_sqs::{
    Client,
    config::{
        BehaviorVersion, ConfigBag, Credentials, Intercept, Region, RuntimeComponents,
        interceptors::BeforeTransmitInterceptorContextRef,
    },
    error::BoxError,
    types::QueueAttributeName,
};
use futures_util::FutureExt as _;

/// Where the server is: from the environment, else the usual local port.
#[must_use]
pub fn endpoint() -> String {
    std::env::var("SQS_ENDPOINT").unwrap_or_else(|_| "http://127.0.0.1:4566".to_owned())
}

/// A client for this endpoint, and the requests that it makes.
#[must_use]
pub fn client(endpoint: &str) -> (Client, Requests) {
    let requests = Requests::default();
    let config = aws_sdk_sqs::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .endpoint_url(endpoint)
        .credentials_provider(Credentials::new("test", "test", None, None, "test"))
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .interceptor(requests.clone())
        .build();
    (Client::from_conf(config), requests)
}

/// Counts requests by operation, each attempt by itself.
#[derive(Debug, Clone, Default)]
pub struct Requests(Arc<Mutex<BTreeMap<String, usize>>>);

impl Requests {
    /// How often an operation was asked for.
    ///
    /// # Panics
    /// Never: nothing panics with the lock held.
    #[must_use]
    pub fn of(&self, operation: &str) -> usize {
        self.0.lock().expect("nothing panics with the lock held").get(operation).copied().unwrap_or(0)
    }
}

impl Intercept for Requests {
    fn name(&self) -> &'static str {
        "Requests"
    }

    fn read_before_transmit(
        &self,
        context: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let target = context.request().headers().get("x-amz-target").unwrap_or_default();
        let operation = target.trim_start_matches("AmazonSQS.").to_owned();
        *self.0.lock().expect("nothing panics with the lock held").entry(operation).or_default() += 1;
        Ok(())
    }
}

/// A fresh queue; deleted when the test ends.
#[derive(Debug)]
pub struct TestQueue {
    pub client: Client,
    pub requests: Requests,
    pub url: String,
}

static NEXT: AtomicU32 = AtomicU32::new(0);

impl TestQueue {
    /// Creates a standard queue.
    ///
    /// # Errors
    /// Where the server is not there: a test that was asked for it never passes by skipping.
    pub async fn create(attributes: &[(QueueAttributeName, &str)]) -> Result<Self> {
        Self::create_named(&fresh_name()?, attributes).await
    }

    /// Creates a FIFO queue: its name ends with `.fifo`, as the protocol asks.
    ///
    /// # Errors
    /// Where the server is not there: a test that was asked for it never passes by skipping.
    pub async fn create_fifo(attributes: &[(QueueAttributeName, &str)]) -> Result<Self> {
        let mut with_fifo = vec![(QueueAttributeName::FifoQueue, "true")];
        with_fifo.extend(attributes.iter().cloned());
        Self::create_named(&format!("{}.fifo", fresh_name()?), &with_fifo).await
    }

    async fn create_named(name: &str, attributes: &[(QueueAttributeName, &str)]) -> Result<Self> {
        let endpoint = endpoint();
        let (client, requests) = client(&endpoint);
        let mut request = client.create_queue().queue_name(name);
        for (name, value) in attributes {
            request = request.attributes(name.clone(), *value);
        }
        let created = request.send().await.with_context(|| {
            format!("no SQS server at {endpoint}; start one with `tests/servers/sqs start`, name one in SQS_ENDPOINT, or run `tests/run`")
        })?;
        let url = created.queue_url.context("a created queue has a URL")?;
        Ok(Self { client, requests, url })
    }

    /// How many messages are in the queue, invisible ones included.
    ///
    /// # Errors
    /// Where the server is not there any more.
    pub async fn depth(&self) -> Result<usize> {
        let counts = [
            QueueAttributeName::ApproximateNumberOfMessages,
            QueueAttributeName::ApproximateNumberOfMessagesNotVisible,
        ];
        let request = self.client.get_queue_attributes().queue_url(&self.url);
        let answer = request.set_attribute_names(Some(counts.to_vec())).send().await?;
        let attributes = answer.attributes.unwrap_or_default();
        counts.iter().map(|name| Ok(attributes.get(name).context("a count")?.parse::<usize>()?)).sum()
    }

    /// Whether there is nothing in the queue. Asked twice: the server counts the visible and the invisible one after the
    /// other, so what becomes visible in between is in neither count.
    ///
    /// # Errors
    /// Where the server is not there any more.
    pub async fn is_empty(&self) -> Result<bool> {
        Ok(self.depth().await? == 0 && self.depth().await? == 0)
    }

    /// Runs a test on a fresh queue and deletes the queue whether the test passes or panics.
    ///
    /// # Panics
    /// Where the test does.
    pub async fn run<F>(test: impl FnOnce(Arc<Self>) -> F)
    where
        F: Future<Output = Result<()>>,
    {
        Self::run_with(&[], test).await;
    }

    /// The same with attributes of the queue.
    ///
    /// # Panics
    /// Where the test does.
    pub async fn run_with<F>(attributes: &[(QueueAttributeName, &str)], test: impl FnOnce(Arc<Self>) -> F)
    where
        F: Future<Output = Result<()>>,
    {
        Self::create(attributes).await.expect("a queue for the test").lend(test).await;
    }

    /// The same on a FIFO queue, which lets go of a copy by its deduplication id, not by its body.
    ///
    /// # Panics
    /// Where the test does.
    pub async fn run_fifo<F>(test: impl FnOnce(Arc<Self>) -> F)
    where
        F: Future<Output = Result<()>>,
    {
        Self::create_fifo(&[]).await.expect("a FIFO queue for the test").lend(test).await;
    }

    async fn lend<F>(self, test: impl FnOnce(Arc<Self>) -> F)
    where
        F: Future<Output = Result<()>>,
    {
        let queue = Arc::new(self);
        let outcome = AssertUnwindSafe(test(queue.clone())).catch_unwind().await;
        queue.client.delete_queue().queue_url(&queue.url).send().await.expect("delete the test's queue");
        match outcome {
            Ok(result) => result.expect("the test's own error"),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }
}

/// A name that no other queue has: a server outlives many runs, and process ids come again.
fn fresh_name() -> Result<String> {
    let started = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis();
    Ok(format!("outbox-test-{started}-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed)))
}
