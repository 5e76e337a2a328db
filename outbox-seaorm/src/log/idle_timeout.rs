//! How long a session may sit in a transaction.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// What the sessions are set for until the first lease is taken.
const LONGEST_LEASE: Duration = Duration::from_secs(30);

/// How long a session may sit in a transaction: below a third of the shortest lease. Without it a leader that
/// freezes inside its flush keeps its lock on the subscription's row and nobody can ever take over.
#[derive(Debug)]
pub(super) struct IdleTimeout {
    /// The timeout, and when it last became shorter.
    state: Mutex<(Duration, Instant)>,
}

impl Default for IdleTimeout {
    fn default() -> Self {
        Self { state: Mutex::new((LONGEST_LEASE * 3 / 10, Instant::now())) }
    }
}

impl IdleTimeout {
    pub(super) fn shorten_for(&self, lease: Duration) {
        let wanted = (lease * 3 / 10).max(Duration::from_millis(50));
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if wanted < state.0 {
            *state = (wanted, Instant::now());
        }
    }

    #[cfg(any(feature = "sqlx-postgres", feature = "sqlx-mysql"))]
    pub(super) fn get(&self) -> Duration {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).0
    }

    /// Whether it became shorter since a connection of this age was opened.
    #[cfg(any(feature = "sqlx-postgres", feature = "sqlx-mysql"))]
    pub(super) fn changed_after(&self, age: Duration) -> bool {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).1.elapsed() < age
    }
}
