//! Duplicates on purpose: brokers deliver some messages twice, so this example does too.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use async_trait::async_trait;
use outbox_seaorm::{
    message::Message,
    publisher::{Outcome, Publisher, PublisherError, Topics},
};

/// One message in so many is sent a second time.
const EVERY: i64 = 7;

/// For a caller that says nothing of its own.
const PATIENCE: Duration = Duration::from_secs(10);

/// What went through a [`Repeat`].
#[derive(Debug, Default)]
pub struct Tally {
    published: AtomicU64,
    repeated: AtomicU64,
}

impl Tally {
    /// Messages that the broker accepted, copies not counted.
    pub fn published(&self) -> u64 {
        self.published.load(Ordering::Relaxed)
    }

    /// Copies sent on purpose.
    pub fn repeated(&self) -> u64 {
        self.repeated.load(Ordering::Relaxed)
    }
}

/// Publishes everything, and some of it twice.
#[derive(Debug)]
pub struct Repeat<P> {
    inner: P,
    tally: Arc<Tally>,
}

impl<P: Publisher> Repeat<P> {
    pub fn new(inner: P) -> Self {
        Self { inner, tally: Arc::default() }
    }

    pub fn tally(&self) -> Arc<Tally> {
        self.tally.clone()
    }
}

#[async_trait]
impl<P: Publisher> Publisher for Repeat<P> {
    async fn publish(&self, batch: &[Message]) -> Vec<Outcome> {
        self.publish_within(batch, PATIENCE).await
    }

    async fn publish_within(&self, batch: &[Message], limit: Duration) -> Vec<Outcome> {
        let began = Instant::now();
        let copies: Vec<Message> = batch.iter().filter(|message| message.seq % EVERY == 0).cloned().collect();
        if !copies.is_empty() {
            let outcomes = self.inner.publish_within(&copies, limit / 2).await;
            count(&self.tally.repeated, &outcomes);
        }
        let outcomes = self.inner.publish_within(batch, limit.saturating_sub(began.elapsed())).await;
        count(&self.tally.published, &outcomes);
        outcomes
    }

    async fn start(&self) -> Result<(), PublisherError> {
        self.inner.start().await
    }

    fn max_batch(&self) -> usize {
        self.inner.max_batch()
    }

    fn max_batch_bytes(&self) -> usize {
        self.inner.max_batch_bytes()
    }

    fn system(&self) -> &'static str {
        self.inner.system()
    }

    fn topics(&self) -> Topics {
        self.inner.topics()
    }
}

fn count(counter: &AtomicU64, outcomes: &[Outcome]) {
    let published = outcomes.iter().filter(|outcome| outcome.is_published()).count();
    counter.fetch_add(published as u64, Ordering::Relaxed);
}
