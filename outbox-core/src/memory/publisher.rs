//! Publishing into memory.

use std::collections::BTreeMap;

use async_trait::async_trait;

use super::MemoryBroker;
use crate::{
    message::Message,
    publisher::{Outcome, Publisher, Topics},
};

/// A publisher to a [`MemoryBroker`].
#[derive(Debug, Clone)]
pub struct MemoryPublisher {
    broker: MemoryBroker,
    routes: BTreeMap<String, String>,
}

impl MemoryPublisher {
    pub(super) fn new(broker: MemoryBroker) -> Self {
        Self { broker, routes: BTreeMap::new() }
    }

    /// Sends a topic to a queue. With at least one route, only routed topics are taken.
    #[must_use]
    pub fn route(mut self, topic: impl Into<String>, queue: impl Into<String>) -> Self {
        self.routes.insert(topic.into(), queue.into());
        self
    }

    fn send(&self, message: &Message) -> Outcome {
        let queue = match self.routes.get(&message.topic) {
            Some(queue) => queue.as_str(),
            None if self.routes.is_empty() => message.topic.as_str(),
            None => return Outcome::rejected(format_args!("no route for topic `{}`", message.topic)),
        };
        let config = self.broker.config();
        let encoded = config.format.encode(message);
        self.broker.with_queue(queue, |stored, dice| {
            if stored.depth().total() >= config.capacity {
                return Outcome::unavailable(format_args!(
                    "queue `{queue}` is full with {} messages",
                    config.capacity
                ));
            }
            if dice.fails() {
                return Outcome::failed("a fault on purpose");
            }
            if dice.duplicates() {
                stored.push(encoded.clone());
            }
            stored.push(encoded);
            Outcome::published()
        })
    }
}

#[async_trait]
impl Publisher for MemoryPublisher {
    async fn publish(&self, batch: &[Message]) -> Vec<Outcome> {
        let fate = self.broker.draw_batch_fate();
        if !fate.delay.is_zero() {
            tokio::time::sleep(fate.delay).await;
        }
        if fate.unavailable || self.broker.is_away() {
            return vec![Outcome::unavailable("the broker is away on purpose"); batch.len()];
        }
        let outcomes = batch.iter().map(|message| self.send(message)).collect();
        self.broker.announce();
        if fate.lose_answer {
            return vec![Outcome::failed("an answer lost on purpose"); batch.len()];
        }
        outcomes
    }

    fn topics(&self) -> Topics {
        if self.routes.is_empty() { Topics::All } else { Topics::Only(self.routes.keys().cloned().collect()) }
    }
}
