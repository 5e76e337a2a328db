//! A log whose events are made when they are read: a backlog of any length that takes no memory itself.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use outbox_core::{
    log::{
        Acquired, Barrier, Description, EventLog, Flush, Flushed, Hold, HoleProof, LogError, OrderKey, Owner,
        Page, PurgeRequest, Purged, ReadRequest, Row, RowKind, StartPoint, Stopped, StoredProgress,
        SubscriptionName, SubscriptionState, Survey,
    },
    message::{Message, Seq},
    progress::SeqRanges,
    publisher::Topics,
};
use uuid::Uuid;

/// So many events, each with a payload of so many bytes.
#[derive(Clone)]
pub(crate) struct GeneratedLog {
    events: Seq,
    payload: usize,
    progress: Arc<Mutex<StoredProgress>>,
}

impl GeneratedLog {
    pub(crate) fn new(events: Seq, payload: usize) -> Self {
        Self { events, payload, progress: Arc::default() }
    }

    pub(crate) fn is_drained(&self) -> bool {
        let stored = self.stored();
        stored.position == self.events && stored.holes.is_empty()
    }

    fn stored(&self) -> MutexGuard<'_, StoredProgress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn row(&self, seq: Seq, source: &Arc<str>) -> Row {
        let payload = "x".repeat(self.payload);
        let mut message = Message::new(id(seq), Arc::clone(source), "orders", "order.placed", payload);
        message.seq = seq;
        message.aggregate_type = Some("order".to_owned());
        message.aggregate_id = Some((seq % 50_021).to_string());
        Row { seq, id: id(seq), kind: RowKind::Event { message: Box::new(message), scheduled_for: None } }
    }
}

fn id(seq: Seq) -> Uuid {
    Uuid::from_u128(u128::from(seq.unsigned_abs()))
}

#[async_trait]
impl EventLog for GeneratedLog {
    async fn check(&self) -> Result<(), LogError> {
        Ok(())
    }

    async fn register(&self, _: &SubscriptionName, _: StartPoint) -> Result<(), LogError> {
        Ok(())
    }

    async fn acquire(&self, _: &SubscriptionName, _: Owner, _: Duration) -> Result<Acquired, LogError> {
        Ok(Acquired::Leader(self.stored().clone()))
    }

    async fn renew(&self, _: &SubscriptionName, _: Owner, _: Duration) -> Result<Option<i64>, LogError> {
        Ok(Some(0))
    }

    async fn release(&self, _: &SubscriptionName, _: Owner) -> Result<(), LogError> {
        Ok(())
    }

    async fn report(
        &self,
        _: &SubscriptionName,
        _: Owner,
        _: SubscriptionState,
        _: Option<&str>,
    ) -> Result<(), LogError> {
        Ok(())
    }

    async fn describe(&self, _: &SubscriptionName, _: Owner, _: &Description) -> Result<(), LogError> {
        Ok(())
    }

    async fn read(&self, request: ReadRequest<'_>) -> Result<Page, LogError> {
        assert!(request.unseen.is_empty(), "one writer leaves no holes, and the term began at the beginning");
        let anchor = (request.position > 0).then(|| id(request.position));
        let mut page = Page { anchor, interventions: Some(0), ..Page::default() };
        for seq in (request.position + 1..=self.events).take(request.limit) {
            if page.rows.len() * self.payload >= request.max_bytes.max(1) {
                page.is_cut = true;
                break;
            }
            page.rows.push(self.row(seq, request.source));
        }
        Ok(page)
    }

    async fn flush(&self, _: &SubscriptionName, _: Owner, flush: &Flush) -> Result<Flushed, LogError> {
        let mut stored = self.stored();
        assert!(flush.holds.is_empty(), "nothing fails");
        *stored = StoredProgress {
            position: flush.position,
            anchor: flush.anchor,
            holes: flush.holes.clone(),
            flush_no: stored.flush_no + 1,
            interventions: 0,
        };
        Ok(Flushed::Stored)
    }

    async fn due(
        &self,
        _: &SubscriptionName,
        _: &Arc<str>,
        _: usize,
    ) -> Result<Vec<(Hold, Message)>, LogError> {
        Ok(Vec::new())
    }

    async fn stopped(&self, _: &SubscriptionName) -> Result<Vec<Stopped>, LogError> {
        Ok(Vec::new())
    }

    async fn blocked(
        &self,
        _: &SubscriptionName,
        _: &Arc<str>,
        _: &[OrderKey],
        _: usize,
    ) -> Result<Vec<(Hold, Message)>, LogError> {
        Ok(Vec::new())
    }

    async fn resend_unacknowledged(
        &self,
        _: &SubscriptionName,
        _: Duration,
        _: usize,
    ) -> Result<u64, LogError> {
        Ok(0)
    }

    async fn survey(&self, _: &SubscriptionName, _: &Topics) -> Result<Survey, LogError> {
        Ok(Survey::default())
    }

    async fn next_due(&self, _: &SubscriptionName) -> Result<Option<Duration>, LogError> {
        Ok(None)
    }

    fn hole_proof(&self) -> HoleProof {
        HoleProof::SingleWriter
    }

    fn connections(&self) -> u64 {
        1
    }

    async fn barrier(&self) -> Result<Barrier, LogError> {
        Ok(Barrier::default())
    }

    async fn writers(&self) -> Result<BTreeSet<String>, LogError> {
        Ok(BTreeSet::new())
    }

    async fn fill(&self, _: &SeqRanges) -> Result<SeqRanges, LogError> {
        Ok(SeqRanges::new())
    }

    async fn purge(&self, _: PurgeRequest) -> Result<Purged, LogError> {
        Ok(Purged::default())
    }
}
