//! Sends messages to queues.

mod answer;
mod entry;
mod pack;
mod send;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use async_trait::async_trait;
use aws_sdk_sqs::Client;
use futures_util::future::join_all;
use outbox_core::{
    message::Message,
    publisher::{Outcome, Publisher, PublisherError, PublisherHealth, Topics},
    wire::WireFormat,
};
use tokio::{sync::Semaphore, time::Instant};

use self::{entry::Entry, pack::pack, send::Sender};
use crate::{
    limits::{MAX_BYTES, MAX_ENTRIES},
    queue::{Queue, QueueError, QueueKind},
    trace::SYSTEM,
};

/// Requests under way at the same time, unless told otherwise.
const CONCURRENCY: usize = 10;

/// How long a batch may take where the caller does not say. A relay does.
const PATIENCE: Duration = Duration::from_secs(9);

/// A deadline that is further away than this is none.
const FAR: Duration = Duration::from_secs(24 * 3600);

/// Publishes to Amazon SQS: each topic to the queue that its route names, in batches of up to ten.
///
/// A batch of the relay may go to several queues. Its requests run concurrently, which keeps the
/// order of each aggregate because the relay puts no two events of one aggregate into a batch.
///
/// What SQS answers becomes an [`Outcome`] by its error code: throttling is
/// [`Throttled`](Outcome::Throttled); a missing queue, bad credentials, a lost connection and an
/// answer that cannot be read are [`Unavailable`](Outcome::Unavailable); what is too large, holds
/// characters that SQS does not take or has no route is [`Rejected`](Outcome::Rejected); the rest is
/// [`Failed`](Outcome::Failed). Where an answer is lost the message may have been stored: it goes
/// again, and the consumer's inbox drops the copy.
///
/// A request that hangs takes no other along: when the time that the relay gives is up, its messages
/// are [`Unavailable`](Outcome::Unavailable) and what SQS has confirmed is published.
///
/// ```
/// # fn example(client: aws_sdk_sqs::Client) {
/// use outbox_sqs::SqsPublisher;
///
/// let publisher = SqsPublisher::new(client)
///     .route("orders", "https://sqs.eu-central-1.amazonaws.com/123456789012/orders")
///     .route("payments", "https://sqs.eu-central-1.amazonaws.com/123456789012/payments");
/// # }
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct SqsPublisher {
    client: Client,
    routes: BTreeMap<String, Queue>,
    format: WireFormat,
    max_bytes: usize,
    concurrency: usize,
    permits: Arc<Semaphore>,
}

impl SqsPublisher {
    /// A publisher without routes, which sends with this client.
    pub fn new(client: Client) -> Self {
        Self {
            client,
            routes: BTreeMap::new(),
            format: WireFormat::default(),
            max_bytes: MAX_BYTES,
            concurrency: CONCURRENCY,
            permits: Arc::new(Semaphore::new(CONCURRENCY)),
        }
    }

    /// Sends a topic to a queue: by its URL (as `GetQueueUrl` gives it), its ARN or its name. Several topics may go to
    /// one queue; a second route of a topic replaces the first. A topic without a route is never sent.
    ///
    /// SQS is asked for the URL of an ARN or a name once, at start, which needs `sqs:GetQueueUrl`.
    pub fn route(mut self, topic: impl Into<String>, queue: impl Into<String>) -> Self {
        let queue = queue.into();
        // Topics of one queue share what is known of it.
        let known = self.routes.values().find(|known| known.named() == queue).cloned();
        self.routes.insert(topic.into(), known.unwrap_or_else(|| Queue::new(queue)));
        self
    }

    /// How messages are written. Default: CloudEvents 1.0.
    pub fn wire_format(mut self, format: WireFormat) -> Self {
        self.format = format;
        self
    }

    /// The most bytes of one message and of all messages of one request, attributes included. Default
    /// and ceiling: 1 MiB, which is what SQS takes.
    ///
    /// Set it to the queue's `MaximumMessageSize` where that is lower: then larger messages are
    /// rejected before they are sent. Too small rejects messages that would pass; too large costs a
    /// refused request now and then, which is then divided.
    pub fn max_bytes(mut self, bytes: usize) -> Self {
        self.max_bytes = bytes;
        self
    }

    /// The most requests under way at the same time, over all queues. Default: 10.
    ///
    /// Also decides how many messages the relay hands over at once: ten for each request. Too small
    /// and the latency of SQS bounds the throughput; too large and a throttled queue is hit harder.
    pub fn concurrency(mut self, requests: usize) -> Self {
        self.concurrency = requests;
        self.permits = Arc::new(Semaphore::new(requests.max(1)));
        self
    }

    /// Each queue once.
    fn queues(&self) -> Vec<&Queue> {
        self.routes
            .values()
            .map(|queue| (queue.named(), queue))
            .collect::<BTreeMap<_, _>>()
            .into_values()
            .collect()
    }

    fn validate(&self) -> Result<(), PublisherError> {
        if self.routes.is_empty() {
            return Err(PublisherError::new(
                "expected at least one route, found none: add .route(topic, queue)",
            ));
        }
        if !(1..=MAX_BYTES).contains(&self.max_bytes) {
            let found = self.max_bytes;
            return Err(PublisherError::new(format!(
                "expected max_bytes from 1 to {MAX_BYTES}, found {found}"
            )));
        }
        if self.concurrency == 0 {
            return Err(PublisherError::new("expected a concurrency of at least 1, found 0"));
        }
        Ok(())
    }
}

#[async_trait]
impl Publisher for SqsPublisher {
    async fn publish(&self, batch: &[Message]) -> Vec<Outcome> {
        self.publish_within(batch, PATIENCE).await
    }

    async fn publish_within(&self, batch: &[Message], limit: Duration) -> Vec<Outcome> {
        let deadline = Instant::now() + limit.min(FAR);
        let mut outcomes: Vec<Option<Outcome>> = vec![None; batch.len()];
        let mut queues: BTreeMap<&str, (&Queue, Vec<Entry>)> = BTreeMap::new();
        for (index, message) in batch.iter().enumerate() {
            // The relay asks for `topics()` and hands over no such message.
            let Some(queue) = self.routes.get(&message.topic) else {
                let topic = &message.topic;
                outcomes[index] = Some(Outcome::rejected(format_args!("no route for the topic {topic:?}")));
                continue;
            };
            match Entry::new(index, message, self.format, self.max_bytes) {
                Ok(entry) => queues.entry(queue.named()).or_insert((queue, Vec::new())).1.push(entry),
                Err(rejected) => outcomes[index] = Some(rejected),
            }
        }

        let requests = queues.into_values().flat_map(|(queue, entries)| {
            let sender = Sender { client: &self.client, queue, permits: &self.permits, deadline };
            pack(entries, |entry| entry.size, self.max_bytes)
                .into_iter()
                .map(move |entries| sender.send(entries))
        });
        for (index, outcome) in join_all(requests).await.into_iter().flatten() {
            outcomes[index] = Some(outcome);
        }
        outcomes
            .into_iter()
            .map(|outcome| outcome.expect("each message is refused or in one request"))
            .collect()
    }

    /// Refuses settings that cannot work and queues that are not there. A queue that cannot be asked
    /// for, because nobody answers or the credentials do not allow it, is no error.
    async fn start(&self) -> Result<(), PublisherError> {
        self.validate()?;
        let queues = self.queues();
        if let Some(fifo) = queues.iter().find(|queue| queue.kind() == QueueKind::Fifo) {
            return Err(PublisherError::new(QueueError::Fifo(fifo.to_string()).to_string()));
        }
        for checked in join_all(queues.into_iter().map(|queue| queue.check(&self.client))).await {
            checked.map_err(|error| PublisherError::new(error.to_string()))?;
        }
        Ok(())
    }

    fn max_batch(&self) -> usize {
        self.concurrency.max(1) * MAX_ENTRIES
    }

    /// As many as its requests carry at once.
    fn max_batch_bytes(&self) -> usize {
        self.concurrency.max(1).saturating_mul(self.max_bytes)
    }

    fn system(&self) -> &'static str {
        SYSTEM
    }

    fn topics(&self) -> Topics {
        Topics::Only(self.routes.keys().cloned().collect())
    }

    /// Asks each queue once, with `GetQueueAttributes`. Credentials that may send
    /// but not ask leave the answer open.
    async fn health(&self) -> PublisherHealth {
        let queues = self.queues();
        let asked = join_all(queues.into_iter().map(|queue| queue.health(&self.client))).await;
        asked.into_iter().reduce(PublisherHealth::and).unwrap_or_default()
    }
}

#[cfg(test)]
mod random_failures;
#[cfg(test)]
mod tests;
