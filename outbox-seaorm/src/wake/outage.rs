//! A line that is broken: mended after a growing pause, with one log line per change of state.

use std::time::Duration;

use outbox_core::retry::RetryPolicy;

use super::line::Broken;

const PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// What one side knows of its line.
#[derive(Debug)]
pub(super) struct Outage {
    side: &'static str,
    pauses: RetryPolicy,
    failures: u32,
}

impl Outage {
    /// `side` is told in the log.
    pub(super) fn new(side: &'static str) -> Self {
        Self { side, pauses: RetryPolicy::exponential(PAUSE, LONGEST_PAUSE, u32::MAX), failures: 0 }
    }

    /// It broke: how long to wait.
    pub(super) fn broke(&mut self, error: &Broken) -> Duration {
        let side = self.side;
        if self.failures == 0 {
            tracing::warn!(%error, side, "wake-ups between processes do not get through; relays go on polling");
        }
        self.failures = self.failures.saturating_add(1);
        self.pauses.delay_after(self.failures, &mut rand::rng()).unwrap_or(LONGEST_PAUSE)
    }

    /// It holds.
    pub(super) fn holds(&mut self) {
        if std::mem::take(&mut self.failures) > 0 {
            tracing::info!(side = self.side, "wake-ups between processes get through again");
        }
    }
}
