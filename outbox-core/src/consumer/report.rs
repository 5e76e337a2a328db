//! What a consumer did, in numbers.

use std::sync::atomic::{AtomicU64, Ordering};

/// What a consumer did from its start to its end, counted in deliveries.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConsumerReport {
    /// Handled and committed.
    pub processed: u64,
    /// Dropped: processed before.
    pub duplicates: u64,
    /// Given back to the broker: the handler said so or took too long, the message could not be read, or the database
    /// was away.
    pub failed: u64,
    /// Of a type that this consumer ignores or has no handler for, acknowledged or left.
    pub ignored: u64,
}

/// The same while it runs.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) processed: AtomicU64,
    pub(super) duplicates: AtomicU64,
    pub(super) failed: AtomicU64,
    pub(super) ignored: AtomicU64,
}

impl Counters {
    pub(super) fn report(&self) -> ConsumerReport {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        ConsumerReport {
            processed: read(&self.processed),
            duplicates: read(&self.duplicates),
            failed: read(&self.failed),
            ignored: read(&self.ignored),
        }
    }
}

pub(super) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}
