//! Sends messages to queues.

mod answer;
mod entry;
mod group;
mod pack;
mod rounds;
mod send;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use aws_sdk_sqs::Client;
use futures_util::future::join_all;
use outbox_core::{
    event::{EventKind, OutboxEvent},
    message::Message,
    publisher::{Outcome, Publisher, PublisherError, PublisherHealth, Topics},
    wire::WireFormat,
};
use tokio::{sync::Semaphore, time::Instant};

pub use self::group::GroupBy;
use self::{
    entry::Entry,
    group::Label,
    rounds::Groups,
    send::{Sender, WAS_NOT_SENT},
};
use crate::{
    limits::{MAX_BYTES, MAX_ENTRIES},
    queue::{Queue, QueueKind},
    trace::SYSTEM,
};

/// Requests to a queue under way at the same time, unless told otherwise.
const CONCURRENCY: usize = 10;

/// How long a batch may take where the caller does not say. A relay does.
const PATIENCE: Duration = Duration::from_secs(9);

/// A deadline that is further away than this is none.
const FAR: Duration = Duration::from_secs(24 * 3600);

/// Publishes to Amazon SQS: each topic to the queue that its route names, in batches of up to ten.
///
/// A batch of the relay may go to several queues, standard and FIFO. Its requests run concurrently. On a FIFO queue a
/// request holds at most one message of a group, and the next one goes when that is confirmed; behind one that was not
/// sent the rest of its group is [`HeldBack`](Outcome::HeldBack), and other groups go on. A copy that a FIFO queue drops,
/// because it has had that message within five minutes, counts as published: it was.
///
/// What SQS answers becomes an [`Outcome`] by its error code: throttling is
/// [`Throttled`](Outcome::Throttled); a missing queue, bad credentials, a lost connection and an
/// answer that cannot be read are [`Unavailable`](Outcome::Unavailable); what is too large, holds
/// characters that SQS does not take or has no route is [`Rejected`](Outcome::Rejected); the rest is
/// [`Failed`](Outcome::Failed). Where an answer is lost the message may have been stored: it goes
/// again, and the consumer's inbox drops the copy.
///
/// A request that hangs takes no other along: when the time that the relay gives is up, its messages
/// are [`Unavailable`](Outcome::Unavailable) and what SQS has confirmed is published. Each queue has requests of its
/// own, so one that hangs holds up no other, also where several subscriptions share the publisher.
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
    /// By what its queue is called.
    permits: BTreeMap<String, Arc<Semaphore>>,
    group_by: Option<GroupBy>,
    carried: Vec<&'static EventKind>,
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
            permits: BTreeMap::new(),
            group_by: None,
            carried: Vec::new(),
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
        self.with_permits()
    }

    /// Asks for a route for every kind of `E`: where a topic of theirs has none, the publisher does not start, and
    /// says which. May be called for several types.
    ///
    /// Without it, an event of a topic without a route is never sent by this publisher, and shows as a topic without a
    /// taker in the outbox's status once it is stored.
    ///
    /// ```
    /// # fn example(client: aws_sdk_sqs::Client) {
    /// use outbox_core::event::{EventKind, OutboxEvent};
    /// use outbox_sqs::SqsPublisher;
    ///
    /// // As `#[derive(OutboxEvent)]` writes it.
    /// struct OrderPlaced;
    /// impl OutboxEvent for OrderPlaced {
    ///     const KINDS: &'static [EventKind] = &[EventKind {
    ///         event_type: "order.placed",
    ///         version: 1,
    ///         topic: "orders",
    ///         aggregate_type: Some("order"),
    ///         variant: None,
    ///     }];
    ///     fn kind(&self) -> &'static EventKind {
    ///         &Self::KINDS[0]
    ///     }
    /// }
    ///
    /// let publisher = SqsPublisher::new(client).route("orders", "orders.fifo").carries::<OrderPlaced>();
    /// # }
    /// ```
    pub fn carries<E: OutboxEvent>(mut self) -> Self {
        self.carried.extend(E::KINDS);
        self
    }

    /// By what messages are grouped. Default: by aggregate on FIFO queues, which need a group, and no group on standard
    /// ones. With this, standard queues get one too and are then
    /// [fair](https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-fair-queues.html).
    pub fn group_by(mut self, by: GroupBy) -> Self {
        self.group_by = Some(by);
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
    /// A single message is also bounded by the `MaximumMessageSize` that its queue had at start, where the queue may be
    /// asked; set it to that where it may not, or where the server takes no more in a whole request. Too small rejects
    /// messages that would pass; too large costs a refused request now and then, which is then divided.
    pub fn max_bytes(mut self, bytes: usize) -> Self {
        self.max_bytes = bytes;
        self
    }

    /// The most requests to one queue under way at the same time. Default: 10.
    ///
    /// Also decides how many messages the relay hands over at once: ten for each request. Too small
    /// and the latency of SQS bounds the throughput; too large and a throttled queue is hit harder.
    pub fn concurrency(mut self, requests: usize) -> Self {
        self.concurrency = requests;
        self.with_permits()
    }

    fn with_permits(mut self) -> Self {
        let open =
            |queue: &Queue| (queue.named().to_owned(), Arc::new(Semaphore::new(self.concurrency.max(1))));
        self.permits = self.queues().into_iter().map(open).collect();
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

    /// The largest message that goes to a queue.
    fn max_bytes_of(&self, queue: &Queue) -> usize {
        let told = queue.facts().and_then(|facts| facts.max_message_bytes);
        told.map_or(self.max_bytes, |told| told.min(self.max_bytes))
    }

    /// What is to be carried and has no route, in words.
    fn unrouted(&self) -> Option<String> {
        let mut missing: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for kind in self.carried.iter().filter(|kind| !self.routes.contains_key(kind.topic)) {
            missing.entry(kind.topic).or_default().insert(kind.event_type);
        }
        if missing.is_empty() {
            return None;
        }
        let missing: Vec<_> = missing
            .into_iter()
            .map(|(topic, types)| format!("{topic:?} ({})", Vec::from_iter(types).join(", ")))
            .collect();
        let known: Vec<_> =
            self.routes.iter().map(|(topic, queue)| format!("{topic:?} to {queue}")).collect();
        Some(format!(
            "expected a route for each topic of the events that are carried, found none for {}; there are routes for {}: \
             add .route(topic, queue)",
            missing.join(", "),
            known.join(", ")
        ))
    }

    /// Two names of one FIFO queue would be two orders.
    fn refuse_two_names(&self) -> Result<(), PublisherError> {
        let mut known: BTreeMap<&str, &Queue> = BTreeMap::new();
        for queue in self.queues().into_iter().filter(|queue| queue.kind() == QueueKind::Fifo) {
            let Some(url) = queue.known_url() else { continue };
            if let Some(other) = known.insert(url.as_str(), queue) {
                return Err(PublisherError::new(format!(
                    "expected the same name in all routes to a FIFO queue, found {other} and {queue} for {url}: use one \
                     of them, so that each group has one order"
                )));
            }
        }
        Ok(())
    }

    fn validate(&self) -> Result<(), PublisherError> {
        if self.routes.is_empty() {
            return Err(PublisherError::new(
                "expected at least one route, found none: add .route(topic, queue)",
            ));
        }
        if let Some(unrouted) = self.unrouted() {
            return Err(PublisherError::new(unrouted));
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
        let mut queues: BTreeMap<&str, (&Queue, Groups<Entry>)> = BTreeMap::new();
        for (index, message) in batch.iter().enumerate() {
            // The relay asks for `topics()` and hands over no such message.
            let Some(queue) = self.routes.get(&message.topic) else {
                let topic = &message.topic;
                outcomes[index] = Some(Outcome::rejected(format_args!("no route for the topic {topic:?}")));
                continue;
            };
            let kind = queue.kind();
            let label = Label::of(message, kind, self.group_by.as_ref());
            // The group of a standard queue promises no order.
            let order = label.group.clone().filter(|_| kind == QueueKind::Fifo);
            let (_, groups) = queues.entry(queue.named()).or_insert_with(|| (queue, Groups::new()));
            match Entry::new(index, message, label, self.format, self.max_bytes_of(queue)) {
                Ok(entry) => {
                    if groups.push(order.as_deref(), entry).is_err() {
                        outcomes[index] = Some(Outcome::held_back(WAS_NOT_SENT));
                    }
                }
                Err(rejected) => {
                    groups.stop(order.as_deref());
                    outcomes[index] = Some(rejected);
                }
            }
        }

        let requests = queues.into_values().flat_map(|(queue, groups)| {
            let permits = self.permits.get(queue.named()).expect("each route's queue has its own");
            let sender = Sender { client: &self.client, queue, permits, deadline };
            let rounds = groups.into_rounds(|entry| entry.size, self.max_bytes);
            rounds.into_iter().map(move |rounds| sender.send_rounds(rounds))
        });
        for (index, outcome) in join_all(requests).await.into_iter().flatten() {
            outcomes[index] = Some(outcome);
        }
        outcomes
            .into_iter()
            .map(|outcome| outcome.expect("each message is refused, held back or in one request"))
            .collect()
    }

    /// Refuses settings that cannot work and queues that are not there. A queue that cannot be asked
    /// for, because nobody answers or the credentials do not allow it, is no error.
    async fn start(&self) -> Result<(), PublisherError> {
        self.validate()?;
        for checked in join_all(self.queues().into_iter().map(|queue| queue.check(&self.client))).await {
            checked.map_err(|error| PublisherError::new(error.to_string()))?;
        }
        self.refuse_two_names()
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
mod fifo_queues;
#[cfg(test)]
mod out_of_time;
#[cfg(test)]
mod random_failures;
#[cfg(test)]
mod tests;
