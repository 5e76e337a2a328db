//! Where a consumer receives from.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use futures_util::future::join_all;

use crate::{message::ReceivedMessage, wire::WireError};

/// The broker's handle of one delivery: what an acknowledgement names.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Receipt(pub Arc<str>);

/// One delivery as it came in.
#[derive(Debug)]
pub struct Incoming {
    /// What an acknowledgement names.
    pub receipt: Receipt,
    /// The broker's own id of the message, the same at each delivery, where it has one: how a log names a message
    /// that cannot be read.
    pub broker_id: Option<String>,
    /// Which delivery of this message it is, from 1, where the broker counts.
    pub attempt: u32,
    /// Deliveries of one group are handled one after the other (FIFO queues).
    /// Where one fails, those that came behind it are given back with it, unhandled and in order. The broker is to give
    /// nothing of a group while one of it is out. It counts a delivery of each that it gives: a consumer asks for the one
    /// that failed alone, as far as it can, so that the others do not come along each time.
    pub group: Option<String>,
    /// The message, or why it could not be decoded; such a message is left to the broker's own redrive.
    pub message: Result<ReceivedMessage, WireError>,
}

/// A source that could not do what it was asked for.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// A setting or a route is wrong: waiting does not help.
    #[error("{0}")]
    Refused(String),
    /// The broker did not answer, or takes nothing from us now. It is waited for.
    #[error("the broker did not do it: {reason}")]
    Unavailable {
        /// What was found.
        reason: String,
        /// The client's error.
        #[source]
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
}

/// Receives messages from a broker.
///
/// A consumer waits for [`receive`](Self::receive) as long as it takes: limit it by the length of the poll. The other
/// calls it gives up after at most ten seconds, and after a third of the visibility where that is less.
#[async_trait]
pub trait Source: Send + Sync + 'static {
    /// Called once before the first receive.
    ///
    /// # Errors
    /// [`SourceError::Refused`] for what keeps this source from ever working as it is configured.
    async fn start(&self) -> Result<(), SourceError> {
        Ok(())
    }

    /// Waits for messages, for as long as the broker's long poll, and gives up to `max`. An empty answer is normal.
    /// A consumer with several [receivers](crate::consumer::Consumer::receivers) has several calls under way at once.
    ///
    /// # Errors
    /// Where the broker is away.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing: what was received comes again.
    async fn receive(&self, max: usize) -> Result<Vec<Incoming>, SourceError>;

    /// Says that these deliveries are done with, and gives back those that the broker did not take. A consumer says it of
    /// them a few times more; then they may come again.
    ///
    /// # Errors
    /// Where the broker is away: all of them may come again.
    async fn ack(&self, receipts: &[Receipt]) -> Result<Vec<Receipt>, SourceError>;

    /// Gives a delivery back, to come again after `delay`.
    ///
    /// # Errors
    /// Where the broker is away: it comes again when its visibility ends.
    async fn nack(&self, receipt: &Receipt, delay: Duration) -> Result<(), SourceError>;

    /// Keeps a delivery invisible to others for `visibility` from now, while its handler runs. `false` where it is
    /// no longer ours, because its visibility has ended: it is not extended any more.
    ///
    /// # Errors
    /// Where the broker is away.
    async fn extend(&self, receipt: &Receipt, visibility: Duration) -> Result<bool, SourceError>;

    /// [Extends](Self::extend) many deliveries, a hundred at most, and gives back those that are no longer ours: they
    /// are not extended any more. A consumer extends all that it holds with this. Default: a call of `extend` for each,
    /// side by side. Where the broker takes many with one request, do it here.
    ///
    /// # Errors
    /// Where the broker did not take at least one of them and it may still be ours; the others may be extended all the
    /// same. All of them are asked for again.
    async fn extend_all(
        &self,
        receipts: &[Receipt],
        visibility: Duration,
    ) -> Result<Vec<Receipt>, SourceError> {
        let answers = join_all(receipts.iter().map(|receipt| self.extend(receipt, visibility))).await;
        let mut lost = Vec::new();
        for (receipt, answer) in receipts.iter().zip(answers) {
            if !answer? {
                lost.push(receipt.clone());
            }
        }
        Ok(lost)
    }

    /// How long a delivery stays invisible to others; `None` where the broker never gives it to another. Default: `None`.
    fn visibility(&self) -> Option<Duration> {
        None
    }

    /// What the broker is called in a trace, as OpenTelemetry's `messaging.system` has it: `aws_sqs`, `kafka`.
    /// Default: `_OTHER`.
    fn system(&self) -> &'static str {
        "_OTHER"
    }

    /// The name of the queue that it receives from, for a trace. Default: unknown.
    fn destination(&self) -> Option<&str> {
        None
    }

    /// How long the broker keeps a message, so that a de-duplication window can be checked against it. Default: unknown.
    ///
    /// # Errors
    /// Where the broker is away.
    async fn retention(&self) -> Result<Option<Duration>, SourceError> {
        Ok(None)
    }
}

#[async_trait]
impl<S: Source + ?Sized> Source for Arc<S> {
    async fn start(&self) -> Result<(), SourceError> {
        (**self).start().await
    }
    async fn receive(&self, max: usize) -> Result<Vec<Incoming>, SourceError> {
        (**self).receive(max).await
    }
    async fn ack(&self, receipts: &[Receipt]) -> Result<Vec<Receipt>, SourceError> {
        (**self).ack(receipts).await
    }
    async fn nack(&self, receipt: &Receipt, delay: Duration) -> Result<(), SourceError> {
        (**self).nack(receipt, delay).await
    }
    async fn extend(&self, receipt: &Receipt, visibility: Duration) -> Result<bool, SourceError> {
        (**self).extend(receipt, visibility).await
    }
    async fn extend_all(
        &self,
        receipts: &[Receipt],
        visibility: Duration,
    ) -> Result<Vec<Receipt>, SourceError> {
        (**self).extend_all(receipts, visibility).await
    }
    fn visibility(&self) -> Option<Duration> {
        (**self).visibility()
    }
    fn system(&self) -> &'static str {
        (**self).system()
    }
    fn destination(&self) -> Option<&str> {
        (**self).destination()
    }
    async fn retention(&self) -> Result<Option<Duration>, SourceError> {
        (**self).retention().await
    }
}

#[cfg(test)]
mod tests;
