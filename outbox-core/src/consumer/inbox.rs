//! The seam to the inbox: where a message is processed in one transaction, once.

use std::{error::Error, fmt, time::Duration};

use super::HandlerError;
use crate::message::ReceivedMessage;

/// Which message it is: two with the same key are the same one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct MessageKey<'m> {
    /// The service that published it.
    pub source: &'m str,
    /// Its id, unique within the source.
    pub id: &'m str,
    /// The replay it belongs to; it asks to be processed again under the same id.
    pub replay: Option<&'m str>,
}

impl<'m> MessageKey<'m> {
    /// The key of a message from elsewhere, for example a web hook.
    #[must_use]
    pub fn new(source: &'m str, id: &'m str) -> Self {
        Self { source, id, replay: None }
    }
}

impl<'m> From<&'m ReceivedMessage> for MessageKey<'m> {
    fn from(message: &'m ReceivedMessage) -> Self {
        Self { source: &message.source, id: &message.id, replay: message.replay.as_deref() }
    }
}

/// What became of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Processed<T> {
    /// The handler ran, and what it wrote is committed.
    Processed(T),
    /// It had been processed before; the handler did not run.
    Duplicate,
}

/// Why a message was not processed. Nothing of the handler's is stored, but for the unknown end of a commit whose
/// answer was lost: then the message may be given again, and the inbox knows.
#[derive(Debug)]
#[non_exhaustive]
pub enum InboxError<E> {
    /// The handler's own error.
    Handler(E),
    /// A key that the inbox cannot store, so that it could not recognise the message again.
    Key(String),
    /// The handler returned while a clone of its transaction was still held.
    TransactionKept,
    /// The handler returned `Ok` although the database had aborted its transaction after a statement that failed.
    TransactionAborted,
    /// The database chose this transaction as the victim of a deadlock or of a conflict. Giving the message again helps.
    Conflict(Box<dyn Error + Send + Sync>),
    /// The database refused to commit what the handler had written, for example because of a constraint that it checks
    /// only then. It is there and well; another message may pass.
    Refused(Box<dyn Error + Send + Sync>),
    /// The database is away, or not well.
    Store(Box<dyn Error + Send + Sync>),
}

impl<E: fmt::Display> fmt::Display for InboxError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Handler(error) => fmt::Display::fmt(error, f),
            Self::Key(reason) => f.write_str(reason),
            Self::TransactionKept => f.write_str(
                "the handler returned while a clone or a savepoint of its transaction was still held: \
                 await what was spawned with it",
            ),
            Self::TransactionAborted => f.write_str(
                "the handler returned `Ok` after a statement that had failed, and the database had aborted its \
                 transaction: begin a savepoint for a statement that may fail",
            ),
            Self::Conflict(_) => f.write_str("the database rolled the transaction back in favour of another"),
            Self::Refused(_) => f.write_str("the database refused to commit what the handler had written"),
            Self::Store(_) => f.write_str("the inbox's database did not do it"),
        }
    }
}

// Asks for what an error can show only: a handler may return an `anyhow::Error`, which is no `Error`.
impl<E: fmt::Display + fmt::Debug> Error for InboxError<E> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Conflict(source) | Self::Refused(source) | Self::Store(source) => Some(&**source),
            Self::Handler(_) | Self::Key(_) | Self::TransactionKept | Self::TransactionAborted => None,
        }
    }
}

/// What one chunk of a purge was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Forgotten {
    /// How many rows were removed.
    pub removed: u64,
    /// Whether there may be more to remove.
    pub more: bool,
}

/// Processes each message once, in one transaction with everything that its handler writes.
pub trait InboxStore: Send + Sync + 'static {
    /// The transaction that handlers write in.
    type Tx: Send + 'static;

    /// Runs the handler unless the message was processed before, and commits its writes together with the note
    /// that it was. Of two copies at the same moment one waits for the other.
    ///
    /// # Cancel safety
    /// Dropping the future rolls back, unless the commit is under way: then either may be.
    fn process<F, Fut>(
        &self,
        message: MessageKey<'_>,
        handler: F,
    ) -> impl Future<Output = Result<Processed<()>, InboxError<HandlerError>>> + Send
    where
        F: FnOnce(Self::Tx) -> Fut + Send,
        Fut: Future<Output = Result<(), HandlerError>> + Send;

    /// What metrics and traces call the consumer. Default: `consumer`.
    fn name(&self) -> &str {
        "consumer"
    }

    /// How long it remembers a message; `None` for ever.
    fn window(&self) -> Option<Duration>;

    /// Removes a chunk of what is older than the [window](Self::window), and nothing that is younger. A consumer calls
    /// it again and again, with pauses, beside its handlers and beside the consumers of other processes: a chunk is to
    /// hold its locks for milliseconds. Default: nothing, for an inbox that forgets by itself or not at all.
    ///
    /// # Errors
    /// What the database says. It is tried again later.
    ///
    /// # Cancel safety
    /// It is dropped when the consumer stops: a chunk that was under way is removed or not.
    fn forget_some(&self) -> impl Future<Output = Result<Forgotten, Box<dyn Error + Send + Sync>>> + Send {
        std::future::ready(Ok(Forgotten::default()))
    }
}
