//! A database that is away: waited for, with one log line per change of state.

use std::time::Duration;

use super::{RelayConfig, backoff::Backoff};
use crate::log::{LogError, SubscriptionName};

/// What one subscription, or the relay itself, knows of its database.
#[derive(Debug)]
pub(super) struct Outage {
    subscription: Option<SubscriptionName>,
    backoff: Backoff,
    is_away: bool,
}

impl Outage {
    pub(super) fn new(subscription: Option<SubscriptionName>, config: &RelayConfig) -> Self {
        let backoff = Backoff::new(config.backoff_min, config.backoff_max.min(config.lease));
        Self { subscription, backoff, is_away: false }
    }

    /// It did not answer: how long to wait.
    pub(super) fn failed(&mut self, error: &LogError) -> Duration {
        let subscription = self.subscription.as_ref().map(tracing::field::display);
        if !std::mem::replace(&mut self.is_away, true) {
            let source = std::error::Error::source(error).map(tracing::field::display);
            tracing::warn!(subscription, %error, source, "the database is away; waiting for it");
        }
        self.pause()
    }

    /// Something else went wrong: how long to wait before the next attempt.
    pub(super) fn pause(&mut self) -> Duration {
        self.backoff.next(&mut rand::rng())
    }

    /// It answered.
    pub(super) fn answered(&mut self) {
        if std::mem::replace(&mut self.is_away, false) {
            let subscription = self.subscription.as_ref().map(tracing::field::display);
            tracing::info!(subscription, "the database is back");
        }
    }

    /// It stored something: what went wrong before is over.
    pub(super) fn stored(&mut self) {
        self.answered();
        self.backoff.reset();
    }
}
