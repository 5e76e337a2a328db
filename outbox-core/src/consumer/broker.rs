//! The source as the consumer uses it: its panics are errors, and no answer in time is one.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures_util::FutureExt as _;
use tokio::time::timeout;

use super::health::Health;
use crate::source::{Incoming, Receipt, Source, SourceError};

/// The longest that an answer to deliveries is waited for.
const ANSWER_TIME: Duration = Duration::from_secs(10);

/// The shortest, however short the visibility is.
const SHORTEST_ANSWER_TIME: Duration = Duration::from_millis(100);

/// How long a source may take to start, or to say how long it keeps messages. Its own checks are to give up earlier and say what they waited for.
const START_TIME: Duration = Duration::from_secs(30);

/// The source with what is known of its state.
pub(super) struct Broker<S> {
    source: S,
    answer_time: Duration,
    receiving: Health,
    answering: Health,
}

impl<S: Source> Broker<S> {
    pub(super) fn new(source: S) -> Arc<Self> {
        let third = source.visibility().map_or(ANSWER_TIME, |visibility| visibility / 3);
        Arc::new(Self {
            // Longer, and a call that hangs would cost the deliveries that wait behind it their visibility.
            answer_time: third.clamp(SHORTEST_ANSWER_TIME, ANSWER_TIME),
            source,
            receiving: Health::of("the source"),
            answering: Health::of("the source, for acknowledgements,"),
        })
    }

    pub(super) fn visibility(&self) -> Option<Duration> {
        self.source.visibility()
    }

    pub(super) fn system(&self) -> &'static str {
        self.source.system()
    }

    pub(super) fn destination(&self) -> Option<&str> {
        self.source.destination()
    }

    pub(super) async fn start(&self) -> Result<Option<Duration>, SourceError> {
        in_time(START_TIME, self.source.start()).await?;
        self.retention().await
    }

    pub(super) async fn retention(&self) -> Result<Option<Duration>, SourceError> {
        // Several requests, one after the other, and no delivery waits behind them.
        in_time(START_TIME, self.source.retention()).await
    }

    pub(super) async fn receive(&self, max: usize) -> Result<Vec<Incoming>, SourceError> {
        contained(self.source.receive(max)).await
    }

    /// Whether receiving works; `Err` gives the number of failures in a row.
    pub(super) fn received<T>(&self, result: Result<T, SourceError>) -> Result<T, u32> {
        result.inspect(|_| self.receiving.up()).map_err(|error| self.receiving.down(&error))
    }

    /// Acknowledges, and gives what the broker did not take.
    pub(super) async fn ack(&self, receipts: &[Receipt]) -> Vec<Receipt> {
        match in_time(self.answer_time, self.source.ack(receipts)).await {
            Ok(left) => {
                self.answering.up();
                if !left.is_empty() {
                    tracing::debug!(
                        left = left.len(),
                        of = receipts.len(),
                        "acknowledgements were not taken"
                    );
                }
                left
            }
            Err(error) => {
                self.answering.down(&error);
                receipts.to_vec()
            }
        }
    }

    /// Gives back. Where that fails, the delivery comes again when its visibility ends.
    pub(super) async fn nack(&self, receipt: &Receipt, delay: Duration) {
        match in_time(self.answer_time, self.source.nack(receipt, delay)).await {
            Ok(()) => self.answering.up(),
            Err(error) => {
                self.answering.down(&error);
            }
        }
    }

    /// Prolongs, and gives those that are no longer ours, so that there is nothing to prolong; `None` where the broker
    /// did not answer for all of them.
    pub(super) async fn extend_all(
        &self,
        receipts: &[Receipt],
        visibility: Duration,
    ) -> Option<Vec<Receipt>> {
        match in_time(self.answer_time, self.source.extend_all(receipts, visibility)).await {
            Ok(lost) => {
                self.answering.up();
                if !lost.is_empty() {
                    tracing::debug!(
                        lost = lost.len(),
                        of = receipts.len(),
                        "deliveries' visibility ended before it was prolonged; duplicates may come"
                    );
                }
                Some(lost)
            }
            Err(error) => {
                self.answering.down(&error);
                None
            }
        }
    }
}

/// A call that hangs must not hold what waits behind it. What it does later, if anything, is a duplicate.
async fn in_time<T>(
    limit: Duration,
    work: impl Future<Output = Result<T, SourceError>>,
) -> Result<T, SourceError> {
    timeout(limit, contained(work)).await.unwrap_or_else(|_| {
        Err(SourceError::Unavailable { reason: format!("no answer within {limit:?}"), source: None })
    })
}

/// An adapter that panics must not take the consumer down.
async fn contained<T>(work: impl Future<Output = Result<T, SourceError>>) -> Result<T, SourceError> {
    AssertUnwindSafe(work).catch_unwind().await.unwrap_or_else(|panic| {
        Err(SourceError::Unavailable {
            reason: format!("the adapter panicked: {}", panic_message(&*panic)),
            source: None,
        })
    })
}

/// What a panic said.
pub(super) fn panic_message(panic: &(dyn std::any::Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
}
