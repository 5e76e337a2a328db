//! What a consumer did, in numbers.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::telemetry::{ConsumerMeter, Disposal};

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

/// The same while it runs, also told as metrics.
#[derive(Debug)]
pub(super) struct Counters {
    pub(super) meter: ConsumerMeter,
    processed: AtomicU64,
    duplicates: AtomicU64,
    failed: AtomicU64,
    ignored: AtomicU64,
}

impl Counters {
    pub(super) fn new(meter: ConsumerMeter) -> Self {
        Self {
            meter,
            processed: AtomicU64::default(),
            duplicates: AtomicU64::default(),
            failed: AtomicU64::default(),
            ignored: AtomicU64::default(),
        }
    }

    /// A delivery is done with.
    pub(super) fn count(&self, disposal: Disposal) {
        let counter = match disposal {
            Disposal::Processed => &self.processed,
            Disposal::Duplicate => &self.duplicates,
            Disposal::Failed(_) => &self.failed,
            Disposal::Ignored => &self.ignored,
        };
        counter.fetch_add(1, Ordering::Relaxed);
        self.meter.count(disposal);
    }

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
