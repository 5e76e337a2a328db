//! Publishing into memory.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use async_trait::async_trait;
use tokio::{
    sync::oneshot,
    time::{Instant, timeout_at},
};

use super::{
    Depth, MemoryBroker,
    awaited::{End, Key},
};
use crate::{
    message::Message,
    publisher::{Outcome, Publisher, PublisherHealth, Topics},
    wire::partition_key,
};

/// How many events a confirmed publisher takes at once: few, so that a consumer is done with all that a relay
/// has in flight before the time to publish is up.
const CONFIRMED_BATCH: usize = 20;

/// A publisher to a [`MemoryBroker`].
#[derive(Debug, Clone)]
pub struct MemoryPublisher {
    broker: MemoryBroker,
    routes: BTreeMap<String, String>,
    confirmed: bool,
}

/// What became of a message at first.
enum Sent {
    Settled(Outcome),
    Awaited(oneshot::Receiver<End>),
}

impl MemoryPublisher {
    pub(super) fn new(broker: MemoryBroker) -> Self {
        Self { broker, routes: BTreeMap::new(), confirmed: false }
    }

    /// Sends a topic to a queue. With at least one route, only routed topics are taken.
    #[must_use]
    pub fn route(mut self, topic: impl Into<String>, queue: impl Into<String>) -> Self {
        self.routes.insert(topic.into(), queue.into());
        self
    }

    /// Says that a message is published only once a consumer has acknowledged it. Without this it is published
    /// when it is in the queue, and lost if the process ends before it is consumed.
    ///
    /// A message that is not acknowledged in the time that a relay gives counts as not published. Sent again, it
    /// is still the one in the queue: no copy is stored. So a slow consumer slows the relay down, and one that
    /// is not there stops it. A message that was received too often counts as failed, and the relay sends it
    /// again: leave [`max_deliveries`](super::BrokerConfig::max_deliveries) at its default with this.
    #[must_use]
    pub fn confirmed(mut self) -> Self {
        self.confirmed = true;
        self
    }

    fn send(&self, message: &Message) -> Sent {
        let queue = match self.routes.get(&message.topic) {
            Some(queue) => queue.as_str(),
            None if self.routes.is_empty() => message.topic.as_str(),
            None => {
                let topic = &message.topic;
                return Sent::Settled(Outcome::rejected(format_args!("no route for topic `{topic}`")));
            }
        };
        let capacity = self.broker.config().capacity;
        let encoded = self.broker.config().format.encode(message);
        let group: Option<Arc<str>> = partition_key(message).map(Arc::from);
        self.broker.with_queue(queue, |stored, dice| {
            let key = self.confirmed.then(|| Key::of(message));
            if let Some(end) = key.and_then(|key| stored.join_awaited(key)) {
                return Sent::Awaited(end);
            }
            if is_full(stored.depth(), capacity) {
                let reason = format_args!("queue `{queue}` is full with {capacity} messages");
                return Sent::Settled(Outcome::unavailable(reason));
            }
            if dice.fails() {
                return Sent::Settled(Outcome::failed("a fault on purpose"));
            }
            if dice.duplicates() {
                stored.push(encoded.clone(), group.clone());
            }
            match key {
                Some(key) => Sent::Awaited(stored.push_awaited(key, encoded, group)),
                None => {
                    stored.push(encoded, group);
                    Sent::Settled(Outcome::published())
                }
            }
        })
    }

    /// `None` waits for acknowledgements for ever.
    async fn publish_until(&self, batch: &[Message], deadline: Option<Instant>) -> Vec<Outcome> {
        let fate = self.broker.draw_batch_fate();
        if !fate.delay.is_zero() {
            tokio::time::sleep(fate.delay).await;
        }
        if fate.unavailable || self.broker.is_away() {
            return vec![Outcome::unavailable("the broker is away on purpose"); batch.len()];
        }
        let sent: Vec<Sent> = batch.iter().map(|message| self.send(message)).collect();
        self.broker.announce();
        if fate.lose_answer {
            return vec![Outcome::failed("an answer lost on purpose"); batch.len()];
        }
        let mut outcomes = Vec::with_capacity(sent.len());
        for sent in sent {
            outcomes.push(match sent {
                Sent::Settled(outcome) => outcome,
                Sent::Awaited(end) => confirmation(end, deadline).await,
            });
        }
        outcomes
    }
}

fn is_full(depth: Depth, capacity: usize) -> bool {
    depth.total() + depth.dead >= capacity
}

async fn confirmation(end: oneshot::Receiver<End>, deadline: Option<Instant>) -> Outcome {
    let end = match deadline {
        None => Ok(end.await),
        Some(deadline) => timeout_at(deadline, end).await,
    };
    match end {
        Ok(Ok(End::Acknowledged)) => Outcome::published(),
        Ok(Ok(End::Dead)) => Outcome::failed("received too often without an acknowledgement"),
        Ok(Err(_)) => Outcome::unavailable("the queue is gone"),
        Err(_) => Outcome::unavailable("no consumer has acknowledged it yet"),
    }
}

#[async_trait]
impl Publisher for MemoryPublisher {
    async fn publish(&self, batch: &[Message]) -> Vec<Outcome> {
        self.publish_until(batch, None).await
    }

    async fn publish_within(&self, batch: &[Message], limit: Duration) -> Vec<Outcome> {
        self.publish_until(batch, Instant::now().checked_add(limit)).await
    }

    fn max_batch(&self) -> usize {
        if self.confirmed { CONFIRMED_BATCH } else { 100 }
    }

    fn system(&self) -> &'static str {
        super::SYSTEM
    }

    fn topics(&self) -> Topics {
        if self.routes.is_empty() { Topics::All } else { Topics::Only(self.routes.keys().cloned().collect()) }
    }

    /// The broker is there, and no queue of a route is full.
    async fn health(&self) -> PublisherHealth {
        if self.broker.is_away() {
            return PublisherHealth::unhealthy("the broker is away on purpose");
        }
        let capacity = self.broker.config().capacity;
        match self.routes.values().find(|queue| is_full(self.broker.depth(queue), capacity)) {
            None => PublisherHealth::Healthy,
            Some(queue) => {
                PublisherHealth::unhealthy(format_args!("queue `{queue}` is full with {capacity} messages"))
            }
        }
    }
}
