//! One delivery: decode it, process it, decide what the broker is told.

use std::{fmt::Display, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures_util::FutureExt as _;

use super::{
    HandlerError, InboxError, InboxStore, MessageKey, Processed, Unknown, backoff,
    broker::panic_message,
    health::{Chain, Health},
    report::{Counters, count},
    routes::{Call, Route, Routes},
    seen::Seen,
};
use crate::{
    context::Context, message::ReceivedMessage, retry::RetryPolicy, source::Receipt, wire::WireError,
};

/// One delivery as it is processed.
pub(super) struct Parcel {
    pub(super) receipt: Receipt,
    pub(super) broker_id: Option<String>,
    /// From 1.
    pub(super) attempt: u32,
    pub(super) message: Result<Arc<ReceivedMessage>, WireError>,
}

impl Parcel {
    /// What a log calls it: the message's id; for one that cannot be read the broker's, and else the delivery's.
    pub(super) fn id(&self) -> &str {
        match &self.message {
            Ok(message) => &message.id,
            Err(_) => self.broker_id.as_deref().unwrap_or(&self.receipt.0),
        }
    }
}

/// What the broker is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is done with.
    Ack,
    /// It is to come again after this delay.
    GiveBack(Duration),
}

/// Where deliveries are processed.
pub(super) struct Desk<I: InboxStore> {
    pub(super) inbox: I,
    pub(super) routes: Routes<I::Tx>,
    pub(super) unknown: Unknown,
    pub(super) retry: RetryPolicy,
    pub(super) counters: Counters,
    pub(super) database: Health,
    /// Messages that could not be read, and types without a handler: each is told once.
    pub(super) told: Seen,
}

impl<I: InboxStore> Desk<I> {
    /// Processes a delivery. A panic, of a handler or of the inbox, is a failure like any other.
    pub(super) async fn process(&self, parcel: &Parcel) -> Verdict {
        let message = match &parcel.message {
            Ok(message) => message,
            Err(error) => {
                self.unreadable(parcel.id(), "", parcel.attempt, error);
                return self.give_back(self.again(parcel.attempt));
            }
        };
        AssertUnwindSafe(self.route(message, parcel.attempt)).catch_unwind().await.unwrap_or_else(|panic| {
            tracing::error!(
                id = %message.id, event_type = %message.event_type, attempt = parcel.attempt,
                panic = panic_message(&*panic), "a handler panicked; all is rolled back and the message comes again"
            );
            self.give_back(self.again(parcel.attempt))
        })
    }

    async fn route(&self, message: &Arc<ReceivedMessage>, attempt: u32) -> Verdict {
        let refusal = match self.routes.find(message) {
            Route::To(entry) => match entry.call(Arc::clone(message), attempt) {
                Ok(call) => return self.run(message, attempt, call).await,
                Err(error) => Chain(&error).to_string(),
            },
            Route::OtherVersions(versions) => {
                format!("there are handlers for versions {versions:?} only")
            }
            Route::Ignored => return self.ignored(message),
            Route::Nowhere => return self.unknown(message, attempt),
        };
        self.unreadable(&message.id, &message.event_type, attempt, &refusal);
        self.give_back(self.again(attempt))
    }

    async fn run(&self, message: &ReceivedMessage, attempt: u32, call: Call<I::Tx>) -> Verdict {
        let context = Context::caused_by(message);
        let outcome = self.inbox.process(MessageKey::from(message), |txn| context.scope(call(txn))).await;
        if !matches!(outcome, Err(InboxError::Store(_))) {
            self.database.up();
        }
        match outcome {
            Ok(Processed::Processed(())) => {
                count(&self.counters.processed);
                Verdict::Ack
            }
            Ok(Processed::Duplicate) => {
                tracing::debug!(id = %message.id, event_type = %message.event_type, attempt, "processed before; dropped");
                count(&self.counters.duplicates);
                Verdict::Ack
            }
            Err(error) => self.give_back(self.failed(message, attempt, error)),
        }
    }

    /// Says what went wrong and gives the delay after which to try again.
    fn failed(&self, message: &ReceivedMessage, attempt: u32, error: InboxError<HandlerError>) -> Duration {
        let delay = match &error {
            InboxError::Handler(HandlerError::RetryAfter(delay, _)) => *delay,
            _ => self.again(attempt),
        };
        let (id, event_type) = (&message.id, &message.event_type);
        match error {
            InboxError::Handler(HandlerError::Reject(cause)) => {
                tracing::error!(%id, %event_type, attempt, error = %Chain(&*cause), "a handler rejected the message; it is left to the broker's redrive");
            }
            InboxError::Handler(error) => {
                tracing::warn!(%id, %event_type, attempt, ?delay, error = %Chain(error.cause()), "a handler failed; the message comes again");
            }
            // An outage is told once, not once a message.
            InboxError::Store(cause) => {
                self.database.down(&*cause);
            }
            InboxError::Refused(cause) => {
                tracing::warn!(%id, %event_type, attempt, ?delay, error = %Chain(&*cause), "the database refused what a handler wrote; the message comes again");
            }
            InboxError::Conflict(cause) => {
                tracing::debug!(%id, %event_type, attempt, error = %Chain(&*cause), "lost a conflict; the message comes again");
            }
            error @ (InboxError::Key(_) | InboxError::TransactionKept | InboxError::TransactionAborted) => {
                tracing::error!(%id, %event_type, attempt, ?delay, %error, "not processed; the message comes again");
            }
        }
        delay
    }

    /// A handler that took too long. Its future is dropped, and with it its transaction is rolled back.
    pub(super) fn timed_out(&self, parcel: &Parcel, timeout: Duration) -> Verdict {
        let (id, attempt) = (parcel.id(), parcel.attempt);
        tracing::error!(
            id,
            attempt,
            ?timeout,
            "a handler did not end in time; all is rolled back and the message comes again"
        );
        self.give_back(self.again(attempt))
    }

    fn ignored(&self, message: &ReceivedMessage) -> Verdict {
        count(&self.counters.ignored);
        tracing::debug!(id = %message.id, event_type = %message.event_type, "ignored");
        Verdict::Ack
    }

    fn unknown(&self, message: &ReceivedMessage, attempt: u32) -> Verdict {
        match self.unknown {
            Unknown::Acknowledge => self.ignored(message),
            Unknown::Leave => {
                count(&self.counters.ignored);
                let (id, event_type) = (&message.id, &message.event_type);
                if self.told.is_first("type", event_type) {
                    tracing::warn!(
                        %id, %event_type,
                        "no handler for this type: its messages are left to the broker's redrive; add a handler, or `.ignore(..)`"
                    );
                } else {
                    tracing::debug!(%id, %event_type, attempt, "no handler for this type");
                }
                Verdict::GiveBack(self.again(attempt))
            }
        }
    }

    /// An error when this process first sees it, which need not be at its first delivery.
    fn unreadable(&self, id: &str, event_type: &str, attempt: u32, reason: &dyn Display) {
        if self.told.is_first("message", id) {
            tracing::error!(id, event_type, attempt, %reason, "a message cannot be read; it is left to the broker's redrive");
        } else {
            tracing::debug!(id, event_type, attempt, %reason, "a message still cannot be read");
        }
    }

    fn again(&self, attempt: u32) -> Duration {
        backoff::message(&self.retry, attempt)
    }

    fn give_back(&self, delay: Duration) -> Verdict {
        count(&self.counters.failed);
        Verdict::GiveBack(delay)
    }
}
