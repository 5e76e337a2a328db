//! The relay: reads the log, publishes, settles, flushes.
//!
//! ```text
//!             ┌─ standing by ◀── another leads ──┐
//!             ▼                                  │
//!  register ─▶ acquire ──────────────────────────┤
//!             ▲                                  ▼
//!             │                 leading: read ─▶ plan ─▶ publish ─▶ settle ─▶ flush ─┐
//!             │                            ▲                                         │
//!             │                            └─────────────────────────────────────────┘
//!             └── lease lost, flush fenced, anchor lost, flush erred ──┘         │ stop
//!                                                       drain ─▶ flush ─▶ release ◀┘
//! ```
//!
//! One process leads a subscription at a time; others stand by. Everything a leader knows that is not stored
//! is dropped when its term ends, so a term can end at any moment: the worst that follows is that events which
//! were published go out once more.

mod backoff;
mod breaker;
mod config;
mod error;
mod flush;
mod handle;
mod holes;
mod leader;
mod lease;
mod limits;
mod linger;
mod outage;
mod pace;
mod policy;
mod poll;
mod publish;
mod publishers;
mod purge;
mod rate;
mod read;
mod read_ahead;
mod report;
mod run;
mod schedule;
mod settle;
mod source_uri;
mod subscription;
mod subscription_config;
mod supervise;
mod survey;
mod term;
mod told;
mod upkeep;
mod warnings;

use std::{fmt, sync::Arc};

use tokio_util::sync::CancellationToken;

pub use config::{RelayConfig, Retention};
pub use error::RelayError;
pub use handle::RelayHandle;
pub use policy::OnDead;
pub use publishers::Publishers;
pub use rate::RateLimit;
pub use source_uri::SourceUriError;
pub use subscription::Subscription;
pub use subscription_config::SubscriptionConfig;

use crate::{log::EventLog, publisher::Publisher};
pub use crate::{log::Ordering, settings::ConfigError};
use run::Shared;
#[cfg(feature = "testing")]
pub(crate) use subscription::takes;

/// Publishes the events of a log.
///
/// ```no_run
/// # use outbox_core::{log::EventLog, publisher::Publisher, relay::{Relay, RelayError, Subscription}};
/// # async fn run(log: impl EventLog, publisher: impl Publisher) -> Result<(), RelayError> {
/// let shutdown = std::future::pending(); // for example Ctrl-C
/// Relay::new(log, "/orders").subscription(Subscription::new("sqs", publisher)).run_until(shutdown).await
/// # }
/// ```
#[must_use = "a relay does nothing until it is run or spawned"]
pub struct Relay {
    log: Arc<dyn EventLog>,
    source: String,
    process: String,
    subscriptions: Vec<Subscription>,
    config: RelayConfig,
    retention: Retention,
}

impl Relay {
    /// A relay for this log. The source names the service in every event: a URI reference, such as
    /// `/orders` or `https://shop.example/orders`. Consumers de-duplicate on (source, id): it must not change.
    pub fn new(log: impl EventLog, source: impl Into<String>) -> Self {
        Self {
            log: Arc::new(log),
            source: source.into(),
            process: process_name(),
            subscriptions: Vec::new(),
            config: RelayConfig::default(),
            retention: Retention::default(),
        }
    }

    /// How the status names this process where it leads a subscription. Default: the host's name, as the environment
    /// variable `HOSTNAME` gives it, and the process id.
    pub fn process_name(mut self, name: impl Into<String>) -> Self {
        self.process = name.into();
        self
    }

    /// Adds a reader of the log with its publisher.
    pub fn subscription(mut self, subscription: Subscription) -> Self {
        self.subscriptions.push(subscription);
        self
    }

    /// Adds a subscription for each topic that a publisher has routes for, named `name.topic` and set by `settings`: an outage
    /// or a limit of one destination then holds up no other's events.
    ///
    /// ```no_run
    /// # use std::time::Duration;
    /// # use outbox_core::{log::EventLog, publisher::Publisher, relay::Relay};
    /// # fn each(log: impl EventLog, publisher: impl Publisher) -> Relay {
    /// Relay::new(log, "/orders")
    ///     .subscription_per_topic("sqs", publisher, |each| each.linger(Duration::from_millis(20)))
    /// # }
    /// ```
    pub fn subscription_per_topic(
        mut self,
        name: &str,
        publisher: impl Publisher,
        settings: impl Fn(Subscription) -> Subscription,
    ) -> Self {
        self.subscriptions.extend(Subscription::per_topic(name, publisher).into_iter().map(settings));
        self
    }

    /// Changes the settings. Checked at start.
    pub fn config(mut self, config: RelayConfig) -> Self {
        self.config = config;
        self
    }

    /// Changes for how long settled events stay in the log. Default: 7 days, then they are deleted.
    pub fn retention(mut self, retention: Retention) -> Self {
        self.retention = retention;
        self
    }

    /// Its publishers, to ask them how they are while it runs.
    pub fn publishers(&self) -> Publishers {
        let each = self.subscriptions.iter();
        Publishers::new(each.map(Subscription::publisher))
    }

    /// Runs until `shutdown` is ready; then waits for what is being published, stores progress and hands its
    /// leases over.
    ///
    /// A subscription that cannot go on ends alone; the others run on, and its error is given back in the end.
    ///
    /// # Errors
    /// What is wrong with the settings, with a publisher's or with the log. An outage is waited for.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing, but it is a crash: what is being published may go out again, and
    /// the leases run out by themselves.
    pub async fn run_until(self, shutdown: impl Future<Output = ()>) -> Result<(), RelayError> {
        let stop = CancellationToken::new();
        let running = run::run(self, stop.clone());
        tokio::pin!(running, shutdown);
        tokio::select! {
            ended = &mut running => ended,
            () = &mut shutdown => {
                stop.cancel();
                running.await
            }
        }
    }

    /// Runs in a task of its own.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn spawn(self) -> RelayHandle {
        let (stop, publishers) = (CancellationToken::new(), self.publishers());
        let task = tokio::spawn(run::run(self, stop.clone()));
        RelayHandle::new(stop, task, publishers)
    }
}

fn process_name() -> String {
    let pid = std::process::id();
    match std::env::var("HOSTNAME") {
        Ok(host) if !host.is_empty() => format!("{host} {pid}"),
        _ => format!("process {pid}"),
    }
}

impl fmt::Debug for Relay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Relay")
            .field("source", &self.source)
            .field("subscriptions", &self.subscriptions)
            .field("config", &self.config)
            .field("retention", &self.retention)
            .finish_non_exhaustive()
    }
}
