//! How long the log waits for its database.
//!
//! A connection that leads nowhere (a dropped NAT entry, a host that vanished) gives no error: a statement on it
//! would hang for as long as TCP retries, a quarter of an hour, and its place in the pool with it. So every call has a
//! bound. One that reaches it is dropped, and its connection is tried before it goes back to the pool, also within a bound: it
//! is closed where it does not answer. What was idle on that day is tried before its next use.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use outbox_core::log::LogError;
use tokio::time::timeout;

/// How long a connection has to answer when it is tried.
#[cfg(any(feature = "sqlx-postgres", feature = "sqlx-mysql"))]
const TRIAL: Duration = Duration::from_secs(2);

/// The bounds of a log's calls.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    statement: Duration,
}

impl Patience {
    pub(super) const fn new(statement: Duration) -> Self {
        Self { statement }
    }

    /// For a call of a few round trips.
    pub(super) fn short(self) -> Duration {
        self.statement
    }

    /// For a call that waits for locks or goes through a chunk of the log.
    pub(super) fn long(self) -> Duration {
        self.statement.saturating_mul(6)
    }

    /// For the one pass over the whole log with which a subscription begins.
    pub(super) fn longest(self) -> Duration {
        self.statement.saturating_mul(60)
    }
}

/// What was asked of the database and not answered in time.
#[derive(Debug, thiserror::Error)]
#[error(
    "expected an answer of the database within {0:?}, found none; the connection is given up. Where its statements take \
     that long, raise `SeaOrmLog::statement_timeout`"
)]
struct NoAnswer(Duration);

/// When a call last went without an answer: connections that were idle then may lead nowhere too.
#[derive(Debug, Default)]
pub(super) struct Doubt(Mutex<Option<Instant>>);

impl Doubt {
    /// Runs a call within a bound. At the bound the call is dropped, which rolls its transaction back, if that had not
    /// been committed yet.
    pub(super) async fn within<T>(
        &self,
        bound: Duration,
        call: impl Future<Output = Result<T, LogError>>,
    ) -> Result<T, LogError> {
        match timeout(bound, call).await {
            Ok(answer) => answer,
            Err(_) => {
                *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
                Err(LogError::database(NoAnswer(bound)))
            }
        }
    }

    /// Whether a connection was last used before a call went without an answer.
    #[cfg(any(feature = "sqlx-postgres", feature = "sqlx-mysql"))]
    pub(super) fn covers(&self, idle_for: Duration) -> bool {
        let raised = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        raised.is_some_and(|raised| idle_for >= raised.elapsed())
    }
}

/// Tries a connection: it has to answer soon. What was under way on it is waited for first.
#[cfg(any(feature = "sqlx-postgres", feature = "sqlx-mysql"))]
pub(super) async fn answers(connection: &mut impl sqlx::Connection) -> Result<(), sqlx::Error> {
    timeout(TRIAL, connection.ping()).await.unwrap_or_else(|_| {
        Err(sqlx::Error::Io(std::io::Error::new(
            std::io::ErrorKind::TimedOut,
            "expected an answer on an open connection, found none",
        )))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_used_after_the_doubt_is_not_tried_again() {
        let doubt = Doubt::default();
        let hung = doubt.within(Duration::ZERO, std::future::pending::<Result<(), _>>()).await;
        let error = hung.expect_err("no answer");
        assert!(error.is_transient(), "it is waited for: {error}");
        #[cfg(any(feature = "sqlx-postgres", feature = "sqlx-mysql"))]
        {
            assert!(doubt.covers(Duration::from_secs(60)), "idle since before");
            tokio::time::sleep(Duration::from_millis(2)).await;
            assert!(!doubt.covers(Duration::ZERO), "just used");
        }
    }
}
