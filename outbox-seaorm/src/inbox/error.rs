//! What can be wrong with an inbox.

use std::time::Duration;

use sea_orm::DbErr;

/// A name that a consumer cannot have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "expected a consumer's name of 1 to 100 characters without white space at its ends and without control characters, \
     found {found:?}"
)]
pub struct InboxNameError {
    pub(super) found: String,
}

/// Why nothing more was purged.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PurgeError {
    /// What is forgotten is processed again when it comes again.
    #[error(
        "expected to purge what is older than the {window:?} that the inbox remembers messages for, found {older_than:?}: \
         what the broker delivers again after that would be processed twice"
    )]
    WithinWindow {
        /// How long the inbox remembers.
        window: Duration,
        /// What was asked for.
        older_than: Duration,
    },
    /// The database did not do it. What was removed before stays removed.
    #[error("the database did not do it")]
    Database(#[from] DbErr),
}
