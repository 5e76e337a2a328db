//! A standard queue of Amazon SQS, or of a local server that speaks its protocol.

use std::{env, time::Duration};

use anyhow::{Context as _, Result, bail};
use aws_sdk_sqs::{
    Client,
    config::{BehaviorVersion, Credentials, Region},
    types::QueueAttributeName as Attribute,
};
use outbox_sqs::{SqsPublisher, SqsSource, dev::DevQueue};

use super::TOPIC;

/// More than a run that is killed again and again receives one message, so that only poison is put aside.
const RECEIVES: u32 = 20;

/// A queue that is there.
#[derive(Debug, Clone)]
pub struct Sqs {
    client: Client,
    queue_url: String,
}

impl Sqs {
    /// Connects and makes the queue, with a dead-letter queue, if it is not there.
    pub async fn open(endpoint: &str, queue: &str) -> Result<Self> {
        if !endpoint.starts_with("http://") {
            bail!("expected an http:// endpoint, found {endpoint}: this example is built without TLS");
        }
        let client = client(endpoint);
        let made = DevQueue::named(queue).max_receive_count(RECEIVES).create(&client).await;
        let made = made.with_context(|| format!("cannot use the queue {queue} at {endpoint}"))?;
        Ok(Self { client, queue_url: made.url })
    }

    pub fn publisher(&self) -> SqsPublisher {
        SqsPublisher::new(self.client.clone()).route(TOPIC, &self.queue_url)
    }

    pub fn source(&self) -> SqsSource {
        // Short, so that what a killed run had received comes again soon.
        SqsSource::new(self.client.clone(), &self.queue_url).visibility_timeout(Duration::from_secs(5))
    }

    /// Visible, in flight and delayed, as SQS counts them: approximately.
    pub async fn waiting(&self) -> Result<usize> {
        let counted = [
            Attribute::ApproximateNumberOfMessages,
            Attribute::ApproximateNumberOfMessagesNotVisible,
            Attribute::ApproximateNumberOfMessagesDelayed,
        ];
        let answer = self
            .client
            .get_queue_attributes()
            .queue_url(&self.queue_url)
            .set_attribute_names(Some(counted.to_vec()))
            .send()
            .await?;
        let attributes = answer.attributes.unwrap_or_default();
        Ok(attributes.values().filter_map(|value| value.parse::<usize>().ok()).sum())
    }
}

fn client(endpoint: &str) -> Client {
    let set = |name: &str, made_up: &str| env::var(name).unwrap_or_else(|_| made_up.to_owned());
    let credentials = Credentials::new(
        set("AWS_ACCESS_KEY_ID", "test"),
        set("AWS_SECRET_ACCESS_KEY", "test"),
        env::var("AWS_SESSION_TOKEN").ok(),
        None,
        "environment",
    );
    let config = aws_sdk_sqs::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(set("AWS_REGION", "us-east-1")))
        .credentials_provider(credentials)
        .endpoint_url(endpoint)
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .build();
    Client::from_conf(config)
}
