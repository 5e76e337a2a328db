//! Why a command has no answer.

use std::{error::Error, fmt};

use super::super::failure::Failure;

/// Why a command has no answer. Nothing that it wrote is stored, but for the unknown end of a commit whose answer was
/// lost: then the same key may be given again, and the inbox knows.
#[derive(Debug)]
#[non_exhaustive]
pub enum OnceError<E> {
    /// The command's own error. The same key may be given again.
    Command(E),
    /// A key, or a request's hash, that the inbox cannot store. Nothing ran.
    Key(String),
    /// The key was used before, for another request. Nothing ran. Over HTTP: 422.
    DifferentRequest,
    /// The first call with this key has not ended yet. Nothing ran; ask again in a moment. Over HTTP: 409.
    InFlight,
    /// The key was used before, and what is stored for it cannot be read as the answer's type any more. Nothing ran.
    Unreadable(serde_json::Error),
    /// The answer could not have been repeated: it is no JSON, cannot be read back, or is larger than 1 MiB. All is
    /// rolled back.
    Unstorable(String),
    /// The command returned while a clone of its transaction was still held.
    TransactionKept,
    /// The command returned `Ok` although the database had aborted its transaction after a statement that failed.
    TransactionAborted,
    /// Another transaction was in the way. Giving the command again helps.
    Conflict(Box<dyn Error + Send + Sync>),
    /// The database refused to commit what the command had written, for example because of a constraint that it checks
    /// only then.
    Refused(Box<dyn Error + Send + Sync>),
    /// The database is away, or not well.
    Store(Box<dyn Error + Send + Sync>),
}

impl<E> From<Failure> for OnceError<E> {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Kept => Self::TransactionKept,
            Failure::Aborted => Self::TransactionAborted,
            Failure::Refused(error) => Self::Refused(Box::new(error)),
            Failure::Conflict(error) => Self::Conflict(Box::new(error)),
            Failure::Store(error) => Self::Store(Box::new(error)),
        }
    }
}

impl<E: fmt::Display> fmt::Display for OnceError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Command(error) => fmt::Display::fmt(error, f),
            Self::Key(reason) | Self::Unstorable(reason) => f.write_str(reason),
            Self::DifferentRequest => f.write_str(
                "expected the request that this key was first used for, found another: give each request a key of \
                 its own",
            ),
            Self::InFlight => {
                f.write_str("the first call with this key has not ended yet: ask again in a moment")
            }
            Self::Unreadable(_) => f.write_str(
                "expected a stored answer of this type, found one that cannot be read as it: was the type changed, \
                 or is the key used for two kinds of command?",
            ),
            Self::TransactionKept => f.write_str(
                "the command returned while a clone or a savepoint of its transaction was still held: await what \
                 was spawned with it",
            ),
            Self::TransactionAborted => f.write_str(
                "the command returned `Ok` after a statement that had failed, and the database had aborted its \
                 transaction: begin a savepoint for a statement that may fail",
            ),
            Self::Conflict(_) => f.write_str("another transaction was in the way: give the command again"),
            Self::Refused(_) => f.write_str("the database refused to commit what the command had written"),
            Self::Store(_) => f.write_str("the inbox's database did not do it"),
        }
    }
}

// Asks for what an error can show only: a command may return an `anyhow::Error`, which is no `Error`.
impl<E: fmt::Display + fmt::Debug> Error for OnceError<E> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Conflict(source) | Self::Refused(source) | Self::Store(source) => Some(&**source),
            Self::Unreadable(source) => Some(source),
            Self::Command(_)
            | Self::Key(_)
            | Self::DifferentRequest
            | Self::InFlight
            | Self::Unstorable(_)
            | Self::TransactionKept
            | Self::TransactionAborted => None,
        }
    }
}
