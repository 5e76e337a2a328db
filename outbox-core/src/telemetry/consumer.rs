//! What a consumer tells.

use metrics::{SharedString, counter, histogram};
use tokio::time::Instant;

use super::{
    Disposal,
    names::{CONSUMER, CONSUMER_FAILED, DUPLICATES, IGNORED, OUTCOME, PROCESS_DURATION, PROCESSED},
};

/// The metrics of one consumer.
#[derive(Debug, Clone)]
pub(crate) struct ConsumerMeter {
    consumer: SharedString,
}

impl ConsumerMeter {
    pub(crate) fn new(consumer: &str) -> Self {
        let meter = Self { consumer: SharedString::from(consumer.to_owned()) };
        // A rate needs a value before the first failure.
        for name in [PROCESSED, DUPLICATES, CONSUMER_FAILED, IGNORED] {
            meter.add(name, 0);
        }
        meter
    }

    pub(super) fn consumer(&self) -> &str {
        &self.consumer
    }

    /// A delivery is done with.
    pub(crate) fn count(&self, disposal: Disposal) {
        let name = match disposal {
            Disposal::Processed => PROCESSED,
            Disposal::Duplicate => DUPLICATES,
            Disposal::Failed(_) => CONSUMER_FAILED,
            Disposal::Ignored => IGNORED,
        };
        self.add(name, 1);
    }

    fn add(&self, name: &'static str, deliveries: u64) {
        counter!(name, CONSUMER => self.consumer.clone()).increment(deliveries);
    }

    /// A delivery that began to be processed then is done with.
    pub(super) fn took(&self, began: Instant, outcome: &'static str) {
        histogram!(PROCESS_DURATION, CONSUMER => self.consumer.clone(), OUTCOME => outcome)
            .record(began.elapsed());
    }
}
