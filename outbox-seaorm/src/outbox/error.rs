//! Why an operator's question or change came to nothing.

use sea_orm::DbErr;

/// Why an operator's question or change came to nothing. No change was then made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OutboxError {
    /// A change names nobody, or no reason, or more than its column holds.
    #[error("expected {what} of 1 to {longest} characters for the audit, found {found}")]
    NobodyInCharge {
        /// Who or why.
        what: &'static str,
        /// The most characters.
        longest: usize,
        /// How many there were, white space at the ends not counted.
        found: usize,
    },
    /// No subscription has that name.
    #[error("expected the name of a subscription ({known}), found `{found}`")]
    UnknownSubscription {
        /// What was asked for.
        found: String,
        /// The names that there are.
        known: String,
    },
    /// The database did not do it.
    #[error("the database did not do it")]
    Database(#[from] DbErr),
}
