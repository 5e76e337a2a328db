//! Receiving from memory.

use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;

use super::{MemoryBroker, broker::decode};
use crate::source::{Incoming, Receipt, Source, SourceError};

/// A source that receives from a queue of a [`MemoryBroker`].
#[derive(Debug, Clone)]
pub struct MemorySource {
    broker: MemoryBroker,
    queue: String,
}

impl MemorySource {
    pub(super) fn new(broker: MemoryBroker, queue: String) -> Self {
        Self { broker, queue }
    }

    fn take(&self, max: usize) -> Vec<Incoming> {
        let config = self.broker.config();
        let received = self.broker.with_queue(&self.queue, |queue, _| {
            queue.receive(max, config.visibility, config.max_deliveries, Instant::now())
        });
        received
            .into_iter()
            .map(|(number, stored)| Incoming {
                receipt: Receipt(number.to_string().into()),
                broker_id: Some(stored.id.to_string()),
                attempt: stored.attempts,
                group: stored.group.as_deref().map(ToOwned::to_owned),
                message: decode(&stored.encoded),
            })
            .collect()
    }

    fn check_reachable(&self) -> Result<(), SourceError> {
        if self.broker.is_away() {
            return Err(SourceError::Unavailable {
                reason: "the broker is away on purpose".into(),
                source: None,
            });
        }
        Ok(())
    }
}

/// The number of a delivery; a receipt of another broker names none of ours.
fn number(receipt: &Receipt) -> Option<u64> {
    receipt.0.parse().ok()
}

#[async_trait]
impl Source for MemorySource {
    async fn receive(&self, max: usize) -> Result<Vec<Incoming>, SourceError> {
        self.check_reachable()?;
        let deadline = Instant::now() + self.broker.config().long_poll;
        let mut arrivals = self.broker.arrivals();
        loop {
            arrivals.mark_unchanged();
            let received = self.take(max);
            if !received.is_empty() || Instant::now() >= deadline {
                return Ok(received);
            }
            let visible = self.broker.with_queue(&self.queue, |queue, _| queue.next_wake_up());
            let until = visible.map_or(deadline, |visible| visible.min(deadline));
            // Whichever ends the wait, the next turn looks again.
            let _ = tokio::time::timeout_at(until, arrivals.changed()).await;
        }
    }

    async fn ack(&self, receipts: &[Receipt]) -> Result<Vec<Receipt>, SourceError> {
        self.check_reachable()?;
        let (not_out, next_is_ready) = self.broker.with_queue(&self.queue, |queue, _| {
            let was_not_out = |receipt: &&Receipt| !number(receipt).is_some_and(|number| queue.ack(number));
            let not_out = receipts.iter().filter(was_not_out).cloned().collect();
            (not_out, queue.has_ready())
        });
        // What stood behind an acknowledged one of its group may be what somebody waits for.
        if next_is_ready {
            self.broker.announce();
        }
        Ok(not_out)
    }

    async fn nack(&self, receipt: &Receipt, delay: Duration) -> Result<(), SourceError> {
        self.check_reachable()?;
        if let Some(number) = number(receipt) {
            self.broker.with_queue(&self.queue, |queue, _| queue.nack(number, delay, Instant::now()));
            self.broker.announce();
        }
        Ok(())
    }

    async fn extend(&self, receipt: &Receipt, visibility: Duration) -> Result<bool, SourceError> {
        self.check_reachable()?;
        Ok(self.broker.with_queue(&self.queue, |queue, _| {
            number(receipt).is_some_and(|number| queue.extend(number, visibility, Instant::now()))
        }))
    }

    fn visibility(&self) -> Option<Duration> {
        Some(self.broker.config().visibility)
    }

    fn system(&self) -> &'static str {
        super::SYSTEM
    }

    fn destination(&self) -> Option<&str> {
        Some(&self.queue)
    }
}
