//! A publisher that remembers.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;

use crate::{
    message::{Message, Seq},
    publisher::{Outcome, Publisher},
};

/// Takes everything and remembers it, in the order of arrival. A clone is the same publisher.
#[derive(Debug, Clone, Default)]
pub struct RecordingPublisher {
    batches: Arc<Mutex<Vec<Vec<Message>>>>,
}

impl RecordingPublisher {
    /// Nothing is recorded yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The batches that were sent.
    #[must_use]
    pub fn batches(&self) -> Vec<Vec<Message>> {
        self.lock().clone()
    }

    /// The messages that were sent.
    #[must_use]
    pub fn messages(&self) -> Vec<Message> {
        self.lock().iter().flatten().cloned().collect()
    }

    /// The seqs of the messages that were sent.
    #[must_use]
    pub fn seqs(&self) -> Vec<Seq> {
        self.lock().iter().flatten().map(|message| message.seq).collect()
    }

    pub(super) fn record(&self, batch: &[Message]) {
        self.lock().push(batch.to_vec());
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Vec<Message>>> {
        self.batches.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Publisher for RecordingPublisher {
    async fn publish(&self, batch: &[Message]) -> Vec<Outcome> {
        self.record(batch);
        vec![Outcome::published(); batch.len()]
    }
}
