//! How long a batch that is not full waits for more.
//!
//! The bound is the *age* of its oldest event, not a quiet time: a trickle of events that are each closer together than
//! the pause would never see a quiet time, and wait for a full batch instead.

use std::time::Duration;

use tokio::time::Instant;

/// The batch that would go now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NextBatch {
    /// How many events it has.
    pub(super) events: usize,
    /// Whether no more would fit in.
    pub(super) is_full: bool,
    /// When the first of its events was read.
    pub(super) since: Instant,
}

impl NextBatch {
    /// When it goes.
    pub(super) fn departure(&self, linger: Duration) -> Instant {
        if self.is_full { self.since } else { self.since + linger }
    }
}
