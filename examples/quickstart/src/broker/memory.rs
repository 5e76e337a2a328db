//! The broker in memory, for a relay and a consumer in one process.

use std::time::Duration;

use async_trait::async_trait;
use outbox_seaorm::{
    memory::{MemoryBroker, MemoryPublisher, MemorySource},
    message::Message,
    publisher::{Outcome, Publisher, Topics},
};

use super::TOPIC;

/// A broker that dies with the process.
#[derive(Debug, Clone, Default)]
pub struct Memory(MemoryBroker);

impl Memory {
    pub fn publisher(&self) -> Confirmed {
        Confirmed { broker: self.clone(), inner: self.0.publisher() }
    }

    pub fn source(&self) -> MemorySource {
        self.0.source(TOPIC)
    }

    pub fn waiting(&self) -> usize {
        self.0.depth(TOPIC).total()
    }
}

/// Says "published" only when the consumer is done with everything in the queue. A real broker keeps what it
/// accepted; this one forgets it when the process is killed, and then nobody would send it again.
#[derive(Debug)]
pub struct Confirmed {
    broker: Memory,
    inner: MemoryPublisher,
}

#[async_trait]
impl Publisher for Confirmed {
    async fn publish(&self, batch: &[Message]) -> Vec<Outcome> {
        let outcomes = self.inner.publish(batch).await;
        // The relay gives up after its publish timeout and sends again; the inbox drops the copies.
        while self.broker.waiting() > 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        outcomes
    }

    /// Small, so that the consumer is done with all that is in flight long before the publish timeout.
    fn max_batch(&self) -> usize {
        20
    }

    fn topics(&self) -> Topics {
        Topics::Only([TOPIC.to_owned()].into())
    }
}
