//! The source as the consumer uses it: its panics are errors.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures_util::FutureExt as _;

use super::health::Health;
use crate::source::{Incoming, Receipt, Source, SourceError};

/// The source with what is known of its state.
pub(super) struct Broker<S> {
    source: S,
    receiving: Health,
    answering: Health,
}

impl<S: Source> Broker<S> {
    pub(super) fn new(source: S) -> Arc<Self> {
        Arc::new(Self {
            source,
            receiving: Health::of("the source"),
            answering: Health::of("the source, for acknowledgements,"),
        })
    }

    pub(super) fn visibility(&self) -> Option<Duration> {
        self.source.visibility()
    }

    pub(super) async fn start(&self) -> Result<Option<Duration>, SourceError> {
        contained(async {
            self.source.start().await?;
            self.source.retention().await
        })
        .await
    }

    pub(super) async fn receive(&self, max: usize) -> Result<Vec<Incoming>, SourceError> {
        contained(self.source.receive(max)).await
    }

    /// Whether receiving works; `Err` gives the number of failures in a row.
    pub(super) fn received<T>(&self, result: Result<T, SourceError>) -> Result<T, u32> {
        result.inspect(|_| self.receiving.up()).map_err(|error| self.receiving.down(&error))
    }

    /// Acknowledges. What the broker does not take comes again, and the inbox drops it.
    pub(super) async fn ack(&self, receipts: &[Receipt]) {
        match contained(self.source.ack(receipts)).await {
            Ok(left) => {
                self.answering.up();
                if !left.is_empty() {
                    tracing::warn!(
                        left = left.len(),
                        of = receipts.len(),
                        "acknowledgements were not taken; duplicates will come"
                    );
                }
            }
            Err(error) => {
                self.answering.down(&error);
            }
        }
    }

    /// Gives back. Where that fails, the delivery comes again when its visibility ends.
    pub(super) async fn nack(&self, receipt: &Receipt, delay: Duration) {
        self.answered(contained(self.source.nack(receipt, delay)).await);
    }

    pub(super) async fn extend(&self, receipt: &Receipt, visibility: Duration) {
        self.answered(contained(self.source.extend(receipt, visibility)).await);
    }

    fn answered(&self, result: Result<(), SourceError>) {
        match result {
            Ok(()) => self.answering.up(),
            Err(error) => {
                self.answering.down(&error);
            }
        }
    }
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
