//! The adapter to a broker.

mod health;
mod outcome;

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use async_trait::async_trait;

pub use health::{PublisherHealth, PublisherReport};
pub use outcome::Outcome;

use crate::message::Message;

/// The topics that a publisher can send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Topics {
    /// Every topic.
    All,
    /// These topics only.
    Only(BTreeSet<String>),
}

/// A publisher that cannot start: a route that leads nowhere, a setting out of range.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct PublisherError {
    message: String,
    #[source]
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl PublisherError {
    /// What was expected, what was found, and what to do.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), source: None }
    }

    /// The same with the error that led to it.
    pub fn caused_by(
        message: impl Into<String>,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self { message: message.into(), source: Some(source.into()) }
    }
}

/// Sends messages to a broker.
///
/// Boxed futures because a relay stores publishers of different brokers side by side; the cost is
/// one allocation a batch.
#[async_trait]
pub trait Publisher: Send + Sync + 'static {
    /// Sends a batch and says for each message, in the order of the batch, what became of it.
    ///
    /// A list that is shorter than the batch says that the rest was not sent. A panic is contained
    /// by the relay and counts as [`Outcome::Failed`] for each message of the batch.
    ///
    /// # Cancel safety
    /// The relay drops the future only when the publish timeout has passed; the messages then count
    /// as not sent and may go out again.
    async fn publish(&self, batch: &[Message]) -> Vec<Outcome>;

    /// The same, answering within `limit` for what is known by then: what the relay calls, with a little less
    /// than its publish timeout. Default: [`publish`](Self::publish).
    ///
    /// A publisher whose batch is several requests should have this: one that hangs then takes none of the others
    /// along, and each answer that came in is progress. Messages without an answer by then are
    /// [`Outcome::Unavailable`]. A publisher that wraps another one hands this on too.
    async fn publish_within(&self, batch: &[Message], limit: Duration) -> Vec<Outcome> {
        // What takes longer is dropped by the relay.
        let _ = limit;
        self.publish(batch).await
    }

    /// Called once before the first batch: resolve routes, check settings.
    ///
    /// # Errors
    /// What keeps this publisher from ever working as it is configured. An outage is no such
    /// reason: it shows as [`Outcome::Unavailable`].
    async fn start(&self) -> Result<(), PublisherError> {
        Ok(())
    }

    /// The most messages that `publish` takes at once. Default: 100.
    fn max_batch(&self) -> usize {
        100
    }

    /// The most bytes of payload that `publish` takes at once, unless a single message is larger. Default: no
    /// limit. Too small: more batches. Too large: a batch that cannot be sent in the time there is.
    fn max_batch_bytes(&self) -> usize {
        usize::MAX
    }

    /// Whether a batch may hold several messages of one aggregate: only where the broker keeps
    /// their order even when an earlier one of the batch fails. Default: no.
    fn keeps_order_in_batch(&self) -> bool {
        false
    }

    /// What the broker is called in a trace, as OpenTelemetry's `messaging.system` has it: `aws_sqs`, `kafka`.
    /// Default: `_OTHER`.
    fn system(&self) -> &'static str {
        "_OTHER"
    }

    /// The topics it has routes for. Default: all.
    fn topics(&self) -> Topics {
        Topics::All
    }

    /// Whether it could publish now, for a readiness endpoint: one cheap question to the broker, within a few seconds,
    /// that stores nothing there. No relay decides by it. Default: it cannot be told.
    ///
    /// # Cancel safety
    /// The caller drops the future when its own time is up.
    async fn health(&self) -> PublisherHealth {
        PublisherHealth::Unknown
    }
}

#[async_trait]
impl<P: Publisher + ?Sized> Publisher for Arc<P> {
    async fn publish(&self, batch: &[Message]) -> Vec<Outcome> {
        (**self).publish(batch).await
    }
    async fn publish_within(&self, batch: &[Message], limit: Duration) -> Vec<Outcome> {
        (**self).publish_within(batch, limit).await
    }
    async fn start(&self) -> Result<(), PublisherError> {
        (**self).start().await
    }
    fn max_batch(&self) -> usize {
        (**self).max_batch()
    }
    fn max_batch_bytes(&self) -> usize {
        (**self).max_batch_bytes()
    }
    fn keeps_order_in_batch(&self) -> bool {
        (**self).keeps_order_in_batch()
    }
    fn system(&self) -> &'static str {
        (**self).system()
    }
    fn topics(&self) -> Topics {
        (**self).topics()
    }
    async fn health(&self) -> PublisherHealth {
        (**self).health().await
    }
}
