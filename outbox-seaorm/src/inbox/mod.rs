//! The inbox: each message is processed in one transaction, once.
//!
//! The key is (consumer, source, id, replay): two consumers in one database each process their copy, and ids of
//! different sources do not meet. The row is inserted first, in the transaction that the handler then writes in. A copy
//! that comes at the same moment waits at that row: when the first commits it is a duplicate, when the first
//! rolls back it runs.
//!
//! A command that a client may send again is the same with an answer that is kept: see [`Inbox::once`].

mod claim;
mod error;
mod failure;
mod name;
mod once;
mod process;
mod purge;

use std::{fmt, sync::Arc, time::Duration};

use sea_orm::{DatabaseConnection, DbBackend};
use tokio::sync::Semaphore;

pub use error::{InboxNameError, PurgeError};
pub use once::{Answer, OnceError, RequestHash};

use name::ConsumerName;
use once::Running;

/// How long an inbox remembers a message unless told otherwise: twice the longest that SQS keeps one.
const DEFAULT_WINDOW: Duration = Duration::from_secs(28 * 24 * 60 * 60);

/// The messages that one consumer has processed, and the commands that were run [`once`](Self::once). A clone is the same
/// inbox.
///
/// One row is kept for each of them, for the inbox's [window](Self::remember_for). A running
/// [`Consumer`](crate::consumer::Consumer) removes what is older, [hourly](crate::consumer::Consumer::purge_interval)
/// and in chunks. **Without one, nothing removes old rows by itself**: a service with a loop of its own, or with commands
/// only, calls [`purge`](Self::purge), in any process and at any time; once a day is often enough:
///
/// ```no_run
/// # use std::time::Duration;
/// # use outbox_seaorm::Inbox;
/// # fn schedule(inbox: Inbox) {
/// const DAY: Duration = Duration::from_secs(24 * 60 * 60);
///
/// tokio::spawn(async move {
///     let mut daily = tokio::time::interval(DAY);
///     loop {
///         daily.tick().await;
///         if let Err(error) = inbox.purge(28 * DAY).await {
///             eprintln!("the inbox was not purged: {error}"); // tried again tomorrow
///         }
///     }
/// });
/// # }
/// ```
///
/// Processing in a loop of one's own, without a [`Consumer`](crate::consumer::Consumer):
///
/// ```no_run
/// # use outbox_seaorm::{Inbox, consumer::{InboxError, Processed}, message::ReceivedMessage};
/// # use sea_orm::{ConnectionTrait as _, DatabaseConnection, DbErr};
/// # async fn own_loop(db: DatabaseConnection, message: ReceivedMessage) -> Result<(), Box<dyn std::error::Error>> {
/// let inbox = Inbox::new(db, "inventory")?;
/// let outcome = inbox
///     .process(&message, async |txn| {
///         // writes in `txn`, and raises events in it
///         Ok::<_, DbErr>(())
///     })
///     .await?;
/// if outcome == Processed::Duplicate {
///     // it had been processed before: acknowledge it all the same
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Inbox {
    db: DatabaseConnection,
    consumer: Arc<ConsumerName>,
    window: Duration,
    /// SQLite has one writer. Those who wait for it in the database ask again and again, and in no order.
    turns: Option<Arc<Semaphore>>,
    running: Running,
}

impl Inbox {
    /// The inbox of a consumer. The name is part of each message's key: change it, and everything that the broker
    /// delivers again is processed again.
    ///
    /// # Errors
    /// Where the name is not of 1 to 100 characters, or begins or ends in white space.
    pub fn new(db: DatabaseConnection, consumer: impl Into<String>) -> Result<Self, InboxNameError> {
        let consumer = Arc::new(ConsumerName::new(consumer.into())?);
        let turns = (db.get_database_backend() == DbBackend::Sqlite).then(|| Arc::new(Semaphore::new(1)));
        Ok(Self { db, consumer, window: DEFAULT_WINDOW, turns, running: Running::default() })
    }

    /// How long a message or a command is remembered. Default: 28 days. A consumer refuses to start on a source that
    /// keeps messages for longer, and [`purge`](Self::purge) refuses to remove what is younger. Longer: more rows.
    #[must_use]
    pub fn remember_for(mut self, window: Duration) -> Self {
        self.window = window;
        self
    }

    /// The consumer's name.
    #[must_use]
    pub fn consumer(&self) -> &str {
        self.consumer.as_str()
    }
}

impl fmt::Debug for Inbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inbox")
            .field("consumer", &self.consumer.as_str())
            .field("window", &self.window)
            .finish_non_exhaustive()
    }
}
