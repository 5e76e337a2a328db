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
//! | the handler fails, panics, takes longer than its timeout, or keeps a clone of its transaction | rolled back | given back, with backoff |
//! | cannot be read, or has a version without a handler while other versions have one | nothing | given back, with backoff, logged once |
//! | of a type that is [ignored](Consumer::ignore) | nothing | acknowledged |
//! | of another type without any handler | nothing | given back, with backoff, a warning once a type; see [`Unknown`] |
//! | the database is away | nothing | given back; nothing more is received but one message at a time, until it is back |
//!
//! What is given back too often is moved by the broker's own redrive policy. Where the source has groups, those that came
//! behind a message that fails are given back with it, in order, and other groups go on. That spends a delivery of each: so
//! the one that failed is asked for alone next time, as far as one process can see to it. What was under way brings them
//! along once more for each [receiver](Consumer::receivers), and so may each other process: let the redrive policy allow
//! for that many deliveries more.

mod acknowledger;
mod backoff;
mod broker;
mod comeback;
mod delivery;
mod desk;
mod error;
mod hall;
mod handler;
mod health;
mod heartbeat;
mod inbox;
mod lane;
mod receiver;
mod report;
mod routes;
mod run;
mod seen;
mod upkeep;

use std::{fmt, time::Duration};

use serde::de::DeserializeOwned;

pub use delivery::Delivery;
pub use error::{ConsumerError, HandlerError};
pub use handler::Handler;
pub use inbox::{Forgotten, InboxError, InboxStore, MessageKey, Processed};
pub use report::ConsumerReport;

use crate::{event::OutboxEvent, retry::RetryPolicy, source::Source};
use routes::Routes;

/// What to do with a message of a type that no handler takes, in any version, and that is not
/// [ignored](Consumer::ignore) by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Unknown {
    /// Give it back to the broker, so that its redrive policy moves it to a dead-letter queue, and warn once a type.
    /// The default: a handler that was forgotten, or that is deployed after its events, loses none of them.
    /// Where the broker has no redrive policy, it comes again for as long as the broker keeps it.
    #[default]
    Leave,
    /// Acknowledge it without an inbox row. For a queue that carries the events of a whole service, of which a
    /// consumer takes those that it has handlers for. What comes before its handler does is lost.
    Acknowledge,
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
    receivers: usize,
    handler_timeout: Duration,
    drain_timeout: Duration,
    retry: RetryPolicy,
    purge_interval: Option<Duration>,
}

impl<S: Source, I: InboxStore> Consumer<S, I> {
    /// A consumer without handlers.
    pub fn new(source: S, inbox: I) -> Self {
        Self {
            source,
            inbox,
            routes: Routes::new(),
            unknown: Unknown::default(),
            concurrency: 8,
            receivers: 1,
            handler_timeout: Duration::from_secs(300),
            drain_timeout: Duration::from_secs(20),
            retry: RetryPolicy::exponential(Duration::from_secs(1), Duration::from_secs(300), u32::MAX),
            purge_interval: Some(Duration::from_secs(3_600)),
        }
    }

    /// Adds a handler. Which events it takes follows from its parameter's type: every type and version in
    /// [`OutboxEvent::KINDS`], and the older versions in [`OutboxEvent::UPCASTS`], which it gets as its own type. Two
    /// handlers for the same type and version are an error at start, also where one takes it as an older version: the
    /// version that came is in `delivery.message().event_version`.
    pub fn on<E, H>(mut self, handler: H) -> Self
    where
        E: OutboxEvent + DeserializeOwned,
        H: Handler<E, I::Tx>,
    {
        self.routes.add::<E, H>(handler);
        self
    }

    /// Acknowledges messages of this type, in every version, without handling them: `.ignore("order.refunded")`. An
    /// error at start where there is a handler for it.
    pub fn ignore(mut self, event_type: impl Into<String>) -> Self {
        self.routes.ignore(event_type.into());
        self
    }

    /// What to do with a message of a type that is neither handled nor ignored. Default: [`Unknown::Leave`].
    pub fn unknown(mut self, unknown: Unknown) -> Self {
        self.unknown = unknown;
        self
    }

    /// The most deliveries held at once, those that wait behind another of their group included. Default: 8; at most
    /// 65,536. Each running handler uses one connection of the database's pool, which has 10 unless told otherwise.
    /// Larger than the pool: handlers wait for a connection, and one that waits too long is taken for a database
    /// that is away. Too small: the broker's latency is waited for. On SQLite, which has one writer, handlers run
    /// one after the other whatever this is.
    pub fn concurrency(mut self, deliveries: usize) -> Self {
        self.concurrency = deliveries;
        self
    }

    /// How many receive calls of the source are under way at the same time. Default: 1; at most 64, and not more than
    /// the [concurrency](Self::concurrency), whose places they share: each asks for its share of them at most.
    ///
    /// Too small: messages wait for round trips. A request brings ten from SQS at most, so that one receiver's ceiling is
    /// ten messages a round trip, less what its handlers take: 500 a second at 20 ms. Too large: each idle receiver is a
    /// long poll that is paid for, and the shares become small, which costs more requests: ten places and more for each
    /// of them are a good start. A receiver whose request fails waits by itself while the others go on.
    pub fn receivers(mut self, receivers: usize) -> Self {
        self.receivers = receivers;
        self
    }

    /// How long a handler may take, its transaction's begin and commit included; then it is rolled back and its message
    /// given back, with backoff. Default: 5 min. Until then its message is kept invisible to others, however short its
    /// visibility is; a warning tells when that was prolonged for the first time over its whole length. Too long: a
    /// handler that hangs holds a place, a connection and its group. Too short: work that would have ended is begun
    /// again and again.
    pub fn handler_timeout(mut self, timeout: Duration) -> Self {
        self.handler_timeout = timeout;
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

    /// How often the inbox forgets what is older than its window, while this runs. Default: hourly, each time a quarter
    /// earlier or later at random, and first after a random part of it; at least a second. It goes in chunks, beside
    /// the handlers. Nothing is removed while the source says that it keeps messages for longer than the window. Too
    /// short: questions to the broker and the database for nothing. Too long: the table grows by what comes in between,
    /// and a process that never runs for as long as that may never purge.
    pub fn purge_interval(mut self, interval: Duration) -> Self {
        self.purge_interval = Some(interval);
        self
    }

    /// Leaves the inbox as it is: another process purges it, or the table is partitioned and dropped by its age.
    pub fn without_purge(mut self) -> Self {
        self.purge_interval = None;
        self
    }
}

impl<S, I: InboxStore> fmt::Debug for Consumer<S, I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Consumer")
            .field("routes", &self.routes)
            .field("unknown", &self.unknown)
            .field("concurrency", &self.concurrency)
            .field("receivers", &self.receivers)
            .finish_non_exhaustive()
    }
}
