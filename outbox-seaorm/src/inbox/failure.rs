//! Why what was written in a transaction of the inbox is not stored.

use outbox_core::consumer::InboxError;
use sea_orm::DbErr;

use crate::tx::{Conflict, LoanError, refuses_content};

/// What went wrong, whoever's code ran in the transaction.
#[derive(Debug)]
pub(super) enum Failure {
    /// A clone or a savepoint of the transaction was kept.
    Kept,
    /// The database had aborted the transaction, and the code that ran in it went on.
    Aborted,
    /// The database refused to commit what it holds.
    Refused(DbErr),
    /// Another transaction was in the way.
    Conflict(DbErr),
    /// The database is away, or not well.
    Store(DbErr),
}

impl From<DbErr> for Failure {
    fn from(error: DbErr) -> Self {
        if Conflict::of(&error).is_some() { Self::Conflict(error) } else { Self::Store(error) }
    }
}

/// What a commit answers.
impl From<LoanError> for Failure {
    fn from(error: LoanError) -> Self {
        match error {
            LoanError::Kept => Self::Kept,
            LoanError::Database(error) if refuses_content(&error) => Self::Refused(error),
            LoanError::Database(error) => error.into(),
        }
    }
}

impl<E> From<Failure> for InboxError<E> {
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
