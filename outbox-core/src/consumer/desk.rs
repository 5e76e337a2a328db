//! One delivery: decode it, process it, decide what the broker is told.

use std::{fmt::Display, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures_util::FutureExt as _;
use tracing::Instrument as _;

use super::{
    HandlerError, InboxError, InboxStore, MessageKey, Processed, Unknown, backoff,
    broker::panic_message,
    health::{Chain, Health},
    report::Counters,
    routes::{Call, Route, Routes},
    seen::Seen,
};
use crate::{
    context::Context,
    message::ReceivedMessage,
    retry::RetryPolicy,
    source::Receipt,
    telemetry::{Disposal, Processing},
    wire::WireError,
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

/// What became of a delivery, for the broker and for those who watch.
type Done = (Verdict, Disposal);

/// Where deliveries are processed.
pub(super) struct Desk<I: InboxStore> {
    /// What the broker is called in a trace.
    pub(super) system: &'static str,
    /// The name of the queue, where it is known.
    pub(super) destination: Option<String>,
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
                self.database.missed();
                return self.count(self.give_back(self.again(parcel.attempt), "unreadable"));
            }
        };
        let destination = self.destination.as_deref();
        let processing = Processing::begin(&self.counters.meter, self.system, destination, message);
        let done = self.contained(message, parcel.attempt).instrument(processing.span()).await;
        processing.ended(done.1);
        self.count(done)
    }

    async fn contained(&self, message: &Arc<ReceivedMessage>, attempt: u32) -> Done {
        AssertUnwindSafe(self.route(message, attempt)).catch_unwind().await.unwrap_or_else(|panic| {
            tracing::error!(
                id = %message.id, event_type = %message.event_type, attempt,
                panic = panic_message(&*panic), "a handler panicked; all is rolled back and the message comes again"
            );
            self.give_back(self.again(attempt), "panicked")
        })
    }

    async fn route(&self, message: &Arc<ReceivedMessage>, attempt: u32) -> Done {
        let refusal = match self.routes.find(message) {
            Route::To(entry) => match entry.call(Arc::clone(message), attempt) {
                Ok(call) => return self.run(message, attempt, call).await,
                Err(error) => Chain(&error).to_string(),
            },
            Route::OtherVersions(versions) => {
                format!("there are handlers for versions {versions:?} only")
            }
            Route::Ignored => {
                self.database.missed();
                return self.ignored(message);
            }
            Route::Nowhere => {
                self.database.missed();
                return self.unknown(message, attempt);
            }
        };
        self.database.missed();
        self.unreadable(&message.id, &message.event_type, attempt, &refusal);
        self.give_back(self.again(attempt), "unreadable")
    }

    async fn run(&self, message: &ReceivedMessage, attempt: u32, call: Call<I::Tx>) -> Done {
        let context = Context::caused_by(message).in_current_span();
        let outcome = self.inbox.process(MessageKey::from(message), |txn| context.scope(call(txn))).await;
        match &outcome {
            Err(InboxError::Store(_)) => {}
            // The inbox refused it before it asked the database.
            Err(InboxError::Key(_)) => self.database.missed(),
            _ => self.database.up(),
        }
        match outcome {
            Ok(Processed::Processed(())) => (Verdict::Ack, Disposal::Processed),
            Ok(Processed::Duplicate) => {
                tracing::debug!(id = %message.id, event_type = %message.event_type, attempt, "processed before; dropped");
                (Verdict::Ack, Disposal::Duplicate)
            }
            Err(error) => {
                let class = class(&error);
                self.give_back(self.failed(message, attempt, error), class)
            }
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
        self.count(self.give_back(self.again(attempt), "timed_out"))
    }

    fn ignored(&self, message: &ReceivedMessage) -> Done {
        tracing::debug!(id = %message.id, event_type = %message.event_type, "ignored");
        (Verdict::Ack, Disposal::Ignored)
    }

    fn unknown(&self, message: &ReceivedMessage, attempt: u32) -> Done {
        match self.unknown {
            Unknown::Acknowledge => self.ignored(message),
            Unknown::Leave => {
                let (id, event_type) = (&message.id, &message.event_type);
                if self.told.is_first("type", event_type) {
                    tracing::warn!(
                        %id, %event_type,
                        "no handler for this type: its messages are left to the broker's redrive; add a handler, or `.ignore(..)`"
                    );
                } else {
                    tracing::debug!(%id, %event_type, attempt, "no handler for this type");
                }
                (Verdict::GiveBack(self.again(attempt)), Disposal::Ignored)
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

    fn give_back(&self, delay: Duration, class: &'static str) -> Done {
        (Verdict::GiveBack(delay), Disposal::Failed(class))
    }

    fn count(&self, (verdict, disposal): Done) -> Verdict {
        self.counters.count(disposal);
        verdict
    }
}

/// What a trace calls it.
fn class<E>(error: &InboxError<E>) -> &'static str {
    match error {
        InboxError::Handler(_) => "handler_failed",
        InboxError::Store(_) => "inbox_away",
        InboxError::Refused(_) => "commit_refused",
        InboxError::Conflict(_) => "conflict",
        InboxError::Key(_) => "key_refused",
        InboxError::TransactionKept => "transaction_kept",
        InboxError::TransactionAborted => "transaction_aborted",
    }
}
