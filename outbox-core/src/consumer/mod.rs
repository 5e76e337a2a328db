//! Receives messages and runs handlers, each message once per inbox.
//!
//! A broker delivers at least once, so a consumer that only handles and acknowledges repeats its effects. Here the
//! handler's writes, the events that it raises and the note that the message was processed commit together, and
//! the broker is told after that: a crash in between brings the message again, and the inbox drops it.
//!
//! What becomes of a delivery:
//!
//! | delivery | database | broker |
//! |---|---|---|
//! | handled | committed | acknowledged |
//! | processed before | nothing | acknowledged |
//! | the handler fails, panics, or keeps a clone of its transaction | rolled back | given back, with backoff |
//! | cannot be read, or has a version without a handler while other versions have one | nothing | given back, with backoff, logged once |
//! | of a type without any handler | nothing | see [`Unknown`] |
//! | the database is away | nothing | given back; nothing more is received but one message at a time, until it is back |
//!
//! What is given back too often is moved by the broker's own redrive policy.

mod backoff;
mod broker;
mod delivery;
mod desk;
mod error;
mod handler;
mod health;
mod inbox;
mod lane;
mod report;
mod routes;
mod run;

use std::{fmt, time::Duration};

use serde::de::DeserializeOwned;

pub use delivery::Delivery;
pub use error::{ConsumerError, HandlerError};
pub use handler::Handler;
pub use inbox::{InboxError, InboxStore, MessageKey, Processed};
pub use report::ConsumerReport;

use crate::{event::OutboxEvent, retry::RetryPolicy, source::Source};
use routes::Routes;

/// What to do with a message of a type that no handler takes, in any version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Unknown {
    /// Acknowledge it without an inbox row: a topic carries the events of a whole service, and a consumer takes
    /// those that it has handlers for. The default. The report counts them.
    #[default]
    Acknowledge,
    /// Give it back to the broker, so that its redrive policy moves it to a dead-letter queue. For a queue that
    /// must only hold what this consumer handles.
    Leave,
}

/// Receives from a source and runs handlers through an inbox.
///
/// ```text
/// Consumer::new(SqsSource::new(client, queue_url), Inbox::new(db, "inventory")?)
///     .on(reserve_stock)
///     .run_until(shutdown_signal())
///     .await?;
/// ```
#[must_use = "a consumer does nothing until it runs"]
pub struct Consumer<S, I: InboxStore> {
    source: S,
    inbox: I,
    routes: Routes<I::Tx>,
    unknown: Unknown,
    concurrency: usize,
    drain_timeout: Duration,
    retry: RetryPolicy,
}

impl<S: Source, I: InboxStore> Consumer<S, I> {
    /// A consumer without handlers.
    pub fn new(source: S, inbox: I) -> Self {
        Self {
            source,
            inbox,
            routes: Routes::new(),
            unknown: Unknown::default(),
            concurrency: 16,
            drain_timeout: Duration::from_secs(20),
            retry: RetryPolicy::exponential(Duration::from_secs(1), Duration::from_secs(300), u32::MAX),
        }
    }

    /// Adds a handler. Which events it takes follows from its parameter's type: every type and version in
    /// [`OutboxEvent::KINDS`]. Two handlers for the same type and version are an error at start.
    pub fn on<E, H>(mut self, handler: H) -> Self
    where
        E: OutboxEvent + DeserializeOwned,
        H: Handler<E, I::Tx>,
    {
        self.routes.add::<E, H>(handler);
        self
    }

    /// What to do with a message of a type without a handler. Default: [`Unknown::Acknowledge`].
    pub fn unknown(mut self, unknown: Unknown) -> Self {
        self.unknown = unknown;
        self
    }

    /// The most deliveries held at once, those that wait behind another of their group included. Default: 16. Each
    /// running handler uses one connection of the database's pool. Larger than the pool: handlers wait for a
    /// connection that a relay may need. Too small: the broker's latency is waited for. On SQLite, which has one
    /// writer, handlers run one after the other whatever this is.
    pub fn concurrency(mut self, deliveries: usize) -> Self {
        self.concurrency = deliveries;
        self
    }

    /// How long running handlers may take to end after a shutdown; then they are rolled back and their messages
    /// given back. Default: 20 s. Longer than the process is given by its supervisor, it is cut off by the kill;
    /// too short, work is done twice.
    pub fn drain_timeout(mut self, timeout: Duration) -> Self {
        self.drain_timeout = timeout;
        self
    }

    /// After how long a failed message comes again, by how often the broker has delivered it. Default: exponential
    /// from 1 s to 5 min, for ever. A policy that knows no further attempt leaves the message to the broker's redrive
    /// policy: it comes again after 15 min until that takes it. Delays too small: a failing message takes the place
    /// of others; too large: it waits long after the cause is gone.
    pub fn retry(mut self, policy: RetryPolicy) -> Self {
        self.retry = policy;
        self
    }
}

impl<S, I: InboxStore> fmt::Debug for Consumer<S, I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Consumer")
            .field("routes", &self.routes)
            .field("unknown", &self.unknown)
            .field("concurrency", &self.concurrency)
            .finish_non_exhaustive()
    }
}
