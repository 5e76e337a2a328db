//! The broker in memory, for a relay and a consumer in one process.

use outbox_seaorm::memory::{MemoryBroker, MemoryPublisher, MemorySource};

use super::TOPIC;

/// A broker that dies with the process.
#[derive(Debug, Clone, Default)]
pub struct Memory(MemoryBroker);

impl Memory {
    /// Says "published" only when the consumer is done with an event. A real broker keeps what it accepted; this
    /// one forgets it when the process is killed, and then nobody would send it again.
    pub fn publisher(&self) -> MemoryPublisher {
        self.0.publisher().route(TOPIC, TOPIC).confirmed()
    }

    pub fn source(&self) -> MemorySource {
        self.0.source(TOPIC)
    }

    pub fn waiting(&self) -> usize {
        self.0.depth(TOPIC).total()
    }
}
