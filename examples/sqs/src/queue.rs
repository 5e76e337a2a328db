//! The client, and queues of this run's own.

use std::{env, process, time::SystemTime};

use anyhow::{Context as _, Result};
use aws_sdk_sqs::{
    Client,
    config::{BehaviorVersion, Credentials, Region},
    types::QueueAttributeName as Attribute,
};
use outbox_seaorm::{Outbox, outbox::EventFilter};
use outbox_sqs::dev::DevQueue;

use crate::SOURCE;

/// How often the queue lets a message be received before it puts it aside.
const RECEIVES: u32 = 3;

/// A queue and its dead-letter queue.
#[derive(Debug)]
pub struct Queue {
    pub client: Client,
    pub url: String,
    pub dead_letter_url: String,
    pub is_fifo: bool,
    made: DevQueue,
}

impl Queue {
    /// Makes both. In production they are there, and a service has no right to make them: `DevQueue` talks to
    /// loopback only.
    pub async fn create(is_fifo: bool) -> Result<Self> {
        let endpoint = env::var("SQS_ENDPOINT").unwrap_or_else(|_| "http://127.0.0.1:4566".to_owned());
        let client = client(&endpoint);
        let started = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_millis();
        let made = DevQueue::named(format!("orders-{started}-{}", process::id())).max_receive_count(RECEIVES);
        let made = if is_fifo { made.fifo() } else { made };
        let urls = made.create(&client).await.with_context(|| {
            format!("cannot make queues at {endpoint}; `tests/servers/sqs start` starts a server and says where it is")
        })?;
        Ok(Self { client, url: urls.url, dead_letter_url: urls.dead_letter_url, is_fifo, made })
    }

    pub async fn delete(&self) -> Result<()> {
        Ok(self.made.delete(&self.client).await?)
    }

    /// Sends the first event once more, as a relay does that was killed before it could note the first time. It has
    /// another deduplication id than the relay's, or a FIFO queue would drop it by itself.
    pub async fn send_copy(&self, outbox: &Outbox) -> Result<()> {
        let first = outbox.events(EventFilter::all().limit(1)).await?.pop().context("an event")?.event;
        let body = serde_json::json!({
            "specversion": "1.0",
            "id": first.id,
            "source": SOURCE,
            "type": first.event_type,
            "data": { "order_id": 1 },
        });
        let mut send = self.client.send_message().queue_url(&self.url).message_body(body.to_string());
        if self.is_fifo {
            send = send.message_group_id("copies").message_deduplication_id("copy");
        }
        send.send().await?;
        Ok(())
    }

    /// Whether the queue is empty and the message that cannot be processed is put aside.
    pub async fn is_drained(&self) -> Result<bool> {
        Ok(self.depth(&self.url).await? == 0 && self.dead_letters().await? == 1)
    }

    pub async fn dead_letters(&self) -> Result<usize> {
        self.depth(&self.dead_letter_url).await
    }

    /// Visible and in flight, as SQS counts them: approximately.
    async fn depth(&self, url: &str) -> Result<usize> {
        let counts =
            [Attribute::ApproximateNumberOfMessages, Attribute::ApproximateNumberOfMessagesNotVisible];
        let request = self.client.get_queue_attributes().queue_url(url);
        let answer = request.set_attribute_names(Some(counts.to_vec())).send().await?;
        let attributes = answer.attributes.unwrap_or_default();
        Ok(attributes.values().filter_map(|value| value.parse::<usize>().ok()).sum())
    }
}

/// Plain HTTP and made-up credentials, for a server on this machine.
///
/// A service takes what its environment gives: the crate `aws-config`, and TLS by the feature `default-https-client`
/// of both crates:
///
/// ```text
/// let client = Client::new(&aws_config::load_defaults(BehaviorVersion::latest()).await);
/// ```
fn client(endpoint: &str) -> Client {
    let config = aws_sdk_sqs::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new("test", "test", None, None, "made up"))
        .endpoint_url(endpoint)
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .build();
    Client::from_conf(config)
}
