//! What can go wrong at the log.

use super::SubscriptionName;

/// What can go wrong at the log.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LogError {
    /// The database or its tables are not fit for the protocol: the message says what was expected, what was
    /// found and what to do. Waiting does not help.
    #[error("{0}")]
    Refused(String),
    /// The subscription's row has vanished since start-up (dropped, table restored by hand).
    #[error(
        "subscription `{0}` has no row any more: it was dropped, or the table was restored; restart the relay to begin it anew"
    )]
    SubscriptionGone(SubscriptionName),
    /// The event that the stored position points at is not in the log: the table was truncated or restored.
    #[error(
        "subscription `{subscription}` has read up to event {position}, but the log holds another event there or none: \
         the table was truncated or restored; to go on, rewind the subscription, to its beginning or to the last event that \
         its broker is known to have, and start the relay again"
    )]
    AnchorGone {
        /// Whose progress it is.
        subscription: SubscriptionName,
        /// The stored position.
        position: i64,
    },
    /// What is stored cannot be understood.
    #[error("subscription `{subscription}` has a progress that cannot be read: {reason}")]
    Corrupt {
        /// Whose progress it is.
        subscription: SubscriptionName,
        /// What is wrong with it.
        reason: String,
    },
    /// The database answered with an error or not at all. It is waited for.
    #[error("the database did not do it")]
    Database(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl LogError {
    /// Wraps a driver's error.
    pub fn database(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Database(source.into())
    }

    /// Whether waiting can help.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Database(_))
    }
}
