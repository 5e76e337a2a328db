//! Whether something that a consumer depends on is there, with one log line per change of state.

use std::{
    error::Error,
    fmt::Display,
    pin::pin,
    sync::atomic::{AtomicU32, Ordering},
};

use tokio::sync::Notify;

/// Something that can be away.
#[derive(Debug)]
pub(super) struct Health {
    what: &'static str,
    failures: AtomicU32,
    back: Notify,
    missed: Notify,
}

impl Health {
    pub(super) const fn of(what: &'static str) -> Self {
        Self { what, failures: AtomicU32::new(0), back: Notify::const_new(), missed: Notify::const_new() }
    }

    /// It answered.
    pub(super) fn up(&self) {
        let failures = self.failures.swap(0, Ordering::Relaxed);
        if failures > 0 {
            tracing::info!(failures, "{} is back", self.what);
            self.back.notify_waiters();
        }
    }

    /// It did not. Gives the number of failures in a row.
    pub(super) fn down(&self, error: &(dyn Error + 'static)) -> u32 {
        let failures = self.failures.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        if failures == 1 {
            tracing::warn!(error = %Chain(error), "{} is away; it is waited for", self.what);
        } else {
            tracing::debug!(error = %Chain(error), failures, "{} is still away", self.what);
        }
        failures
    }

    /// While it was away, something was done with that it had no part in: whether it is back is as open as before.
    pub(super) fn missed(&self) {
        if !self.is_up() {
            self.missed.notify_one();
        }
    }

    /// Waits for that. What was told to nobody is told to the next who waits.
    pub(super) async fn until_missed(&self) {
        self.missed.notified().await;
    }

    /// Whether its last answer was none.
    pub(super) fn is_up(&self) -> bool {
        self.failures.load(Ordering::Relaxed) == 0
    }

    /// Waits until it is.
    pub(super) async fn until_up(&self) {
        loop {
            let mut back = pin!(self.back.notified());
            // From here on its return is not missed.
            back.as_mut().enable();
            if self.is_up() {
                return;
            }
            back.await;
        }
    }
}

/// An error with its causes on one line.
pub(super) struct Chain<'e>(pub(super) &'e (dyn Error + 'static));

impl Display for Chain<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}
