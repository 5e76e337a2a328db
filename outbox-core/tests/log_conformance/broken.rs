//! Logs that are broken on purpose, each in one place: the one in memory with something in front of it.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use async_trait::async_trait;
use outbox_core::{
    log::{
        Acquired, AfterRetention, Barrier, Description, Due, EventLog, Flush, Flushed, Hold, HoldChange,
        HoleProof, LogError, OrderKey, Owner, Page, PurgeRequest, Purged, ReadRequest, RowKind, StartPoint,
        Stopped, SubscriptionName, SubscriptionState, Survey,
    },
    message::{Message, Seq},
    progress::SeqRanges,
    publisher::Topics,
    testing::{
        MemoryLog,
        log_conformance::{LogCapabilities, LogFixture, Operation, StoredView},
    },
};

use super::memory::{InMemory, Transaction};

/// What is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    FlushAsksNotForTheOwner,
    FlushAsksNotForItsNumber,
    FlushAsksNotForTheAnchor,
    UpdateCreatesTheHold,
    PageHasNoAnchor,
    PageLeavesOtherTopicsOut,
    PageHasTwoLimits,
    PageForgetsTheHoles,
    PageHasTombstonesAsNothing,
    ScheduledEventsLookReady,
    InterventionsAreNotTold,
    StartForgetsTheGaps,
    RegistrationBeginsAnew,
    AnybodyRenews,
    AnybodyReleases,
    AnybodyReports,
    AnybodyDescribes,
    PausedIsLed,
    DelaysAreForgotten,
    ReplayIdIsLost,
    OneLimitOverAllKeys,
    StoppedForgetsTheDead,
    ReceiptsAreLost,
    CapturedEventsAreLost,
    WritersAreNotListed,
    EveryHoleCountsAsFilled,
    PurgeForgetsHolds,
    PurgeForgetsAwaitedReceipts,
    PurgeForgetsTheRetention,
    PurgeForgetsTheChunk,
    ArchiveDeletes,
    SurveyForgetsTheTopics,
}

pub(crate) struct Broken {
    pub(crate) memory: InMemory,
    pub(crate) fault: Fault,
}

#[async_trait]
impl LogFixture for Broken {
    type Log = BrokenLog;
    type Writer = Transaction;

    fn capabilities(&self) -> LogCapabilities {
        self.memory.capabilities()
    }
    async fn log(&self) -> BrokenLog {
        BrokenLog { log: self.memory.log.clone(), fault: self.fault }
    }
    async fn begin(&self) -> Transaction {
        self.memory.begin().await
    }
    async fn pass(&self, time: Duration) {
        self.memory.pass(time).await;
    }
    async fn remove(&self, seq: Seq) {
        self.memory.remove(seq).await;
    }
    async fn lose_from(&self, first: Seq) {
        self.memory.lose_from(first).await;
    }
    async fn operate(&self, subscription: &SubscriptionName, operation: Operation) {
        self.memory.operate(subscription, operation).await;
    }
    async fn stored(&self, subscription: &SubscriptionName) -> StoredView {
        self.memory.stored(subscription).await
    }
    async fn archived(&self) -> Vec<Seq> {
        self.memory.archived().await
    }
}

pub(crate) struct BrokenLog {
    log: MemoryLog,
    fault: Fault,
}

impl BrokenLog {
    /// Who really leads, where the fault lets anybody pass for the leader.
    fn owner(&self, fault: Fault, subscription: &SubscriptionName, owner: Owner) -> Owner {
        let leads = self.log.subscription(subscription.as_str()).and_then(|stored| stored.owner);
        leads.filter(|_| self.fault == fault).unwrap_or(owner)
    }

    fn flush_as_broken(&self, subscription: &SubscriptionName, flush: &Flush) -> Flush {
        let mut flush = flush.clone();
        let stored = self.log.subscription(subscription.as_str());
        match self.fault {
            Fault::FlushAsksNotForItsNumber => {
                flush.previous_flush_no = stored.map_or(0, |stored| stored.progress.flush_no);
            }
            Fault::ReceiptsAreLost => flush.receipts.clear(),
            Fault::CapturedEventsAreLost => flush.captured.clear(),
            _ => {}
        }
        let change = |change| match (self.fault, change) {
            (Fault::UpdateCreatesTheHold, HoldChange::Update(hold)) => HoldChange::Insert(hold),
            (Fault::DelaysAreForgotten, HoldChange::Insert(hold)) => HoldChange::Insert(at_once(hold)),
            (_, change) => change,
        };
        flush.holds = flush.holds.into_iter().map(change).collect();
        flush
    }

    fn held(&self, held: Vec<(Hold, Message)>) -> Vec<(Hold, Message)> {
        let lost = self.fault == Fault::ReplayIdIsLost;
        held.into_iter()
            .map(|(hold, mut message)| {
                message.replay = message.replay.filter(|_| !lost);
                (hold, message)
            })
            .collect()
    }
}

fn at_once(hold: Hold) -> Hold {
    let due = match hold.due {
        Due::After(_) => Due::After(Duration::ZERO),
        due => due,
    };
    Hold { due, ..hold }
}

#[async_trait]
impl EventLog for BrokenLog {
    async fn check(&self) -> Result<(), LogError> {
        self.log.check().await
    }

    async fn register(&self, name: &SubscriptionName, start: StartPoint) -> Result<(), LogError> {
        let stored = self.log.subscription(name.as_str());
        if self.fault == Fault::RegistrationBeginsAnew
            && stored.is_some_and(|stored| stored.owner.is_some() && stored.progress.flush_no == 0)
        {
            self.log.drop_subscription(name.as_str());
        }
        self.log.register(name, start).await
    }

    async fn acquire(
        &self,
        name: &SubscriptionName,
        owner: Owner,
        lease: Duration,
    ) -> Result<Acquired, LogError> {
        match (self.fault, self.log.acquire(name, owner, lease).await?) {
            (Fault::StartForgetsTheGaps, Acquired::Leader(mut progress)) => {
                if progress.flush_no == 0 {
                    progress.holes = SeqRanges::new();
                }
                Ok(Acquired::Leader(progress))
            }
            (Fault::PausedIsLed, Acquired::Paused) => {
                self.log.resume(name.as_str());
                self.log.acquire(name, owner, lease).await
            }
            (_, answer) => Ok(answer),
        }
    }

    async fn renew(
        &self,
        name: &SubscriptionName,
        owner: Owner,
        lease: Duration,
    ) -> Result<Option<i64>, LogError> {
        let owner = self.owner(Fault::AnybodyRenews, name, owner);
        let renewed = self.log.renew(name, owner, lease).await?;
        Ok(renewed.map(|told| if self.fault == Fault::InterventionsAreNotTold { 0 } else { told }))
    }

    async fn release(&self, name: &SubscriptionName, owner: Owner) -> Result<(), LogError> {
        self.log.release(name, self.owner(Fault::AnybodyReleases, name, owner)).await
    }

    async fn report(
        &self,
        name: &SubscriptionName,
        owner: Owner,
        state: SubscriptionState,
        error: Option<&str>,
    ) -> Result<(), LogError> {
        self.log.report(name, self.owner(Fault::AnybodyReports, name, owner), state, error).await
    }

    async fn describe(
        &self,
        name: &SubscriptionName,
        owner: Owner,
        description: &Description,
    ) -> Result<(), LogError> {
        self.log.describe(name, self.owner(Fault::AnybodyDescribes, name, owner), description).await
    }

    async fn read(&self, request: ReadRequest<'_>) -> Result<Page, LogError> {
        let none = SeqRanges::new();
        let mut page = match self.fault {
            Fault::PageForgetsTheHoles => self.log.read(ReadRequest { unseen: &none, ..request }).await?,
            Fault::PageHasTwoLimits => {
                let tail = self.log.read(ReadRequest { unseen: &none, ..request }).await?;
                let mut page = self.log.read(request).await?;
                page.rows.retain(|row| row.seq <= request.position);
                page.rows.extend(tail.rows);
                page
            }
            _ => self.log.read(request).await?,
        };
        match self.fault {
            Fault::PageHasNoAnchor => page.anchor = None,
            Fault::PageLeavesOtherTopicsOut => {
                page.rows.retain(|row| !matches!(row.kind, RowKind::OtherTopic { .. }));
            }
            Fault::PageHasTombstonesAsNothing => page.rows.retain(|row| row.kind != RowKind::Tombstone),
            Fault::InterventionsAreNotTold => page.interventions = Some(0),
            Fault::ScheduledEventsLookReady => {
                for row in &mut page.rows {
                    if let RowKind::Event { scheduled_for, .. } = &mut row.kind {
                        *scheduled_for = None;
                    }
                }
            }
            _ => {}
        }
        Ok(page)
    }

    async fn flush(&self, name: &SubscriptionName, owner: Owner, flush: &Flush) -> Result<Flushed, LogError> {
        let owner = self.owner(Fault::FlushAsksNotForTheOwner, name, owner);
        let flush = self.flush_as_broken(name, flush);
        let answer = self.log.flush(name, owner, &flush).await?;
        if answer == Flushed::Fenced && self.fault == Fault::FlushAsksNotForTheAnchor {
            return self.log.flush(name, owner, &Flush { anchor: None, ..flush }).await;
        }
        Ok(answer)
    }

    async fn due(
        &self,
        name: &SubscriptionName,
        source: &Arc<str>,
        limit: usize,
    ) -> Result<Vec<(Hold, Message)>, LogError> {
        Ok(self.held(self.log.due(name, source, limit).await?))
    }

    async fn stopped(&self, name: &SubscriptionName) -> Result<Vec<Stopped>, LogError> {
        let mut stopped = self.log.stopped(name).await?;
        if self.fault == Fault::StoppedForgetsTheDead {
            stopped.retain(|stopped| !stopped.dead);
        }
        Ok(stopped)
    }

    async fn blocked(
        &self,
        name: &SubscriptionName,
        source: &Arc<str>,
        aggregates: &[OrderKey],
        each: usize,
    ) -> Result<Vec<(Hold, Message)>, LogError> {
        let mut held = self.held(self.log.blocked(name, source, aggregates, each).await?);
        if self.fault == Fault::OneLimitOverAllKeys {
            held.truncate(each);
        }
        Ok(held)
    }

    async fn resend_unacknowledged(
        &self,
        name: &SubscriptionName,
        ack_within: Duration,
        limit: usize,
    ) -> Result<u64, LogError> {
        self.log.resend_unacknowledged(name, ack_within, limit).await
    }

    async fn survey(&self, name: &SubscriptionName, topics: &Topics) -> Result<Survey, LogError> {
        let all = self.fault == Fault::SurveyForgetsTheTopics;
        self.log.survey(name, if all { &Topics::All } else { topics }).await
    }

    async fn next_due(&self, name: &SubscriptionName) -> Result<Option<Duration>, LogError> {
        self.log.next_due(name).await
    }

    fn hole_proof(&self) -> HoleProof {
        self.log.hole_proof()
    }

    fn connections(&self) -> u64 {
        self.log.connections()
    }

    async fn barrier(&self) -> Result<Barrier, LogError> {
        self.log.barrier().await
    }

    async fn writers(&self) -> Result<BTreeSet<String>, LogError> {
        let writers = self.log.writers().await?;
        Ok(if self.fault == Fault::WritersAreNotListed { BTreeSet::new() } else { writers })
    }

    async fn fill(&self, holes: &SeqRanges) -> Result<SeqRanges, LogError> {
        let filled = self.log.fill(holes).await?;
        Ok(if self.fault == Fault::EveryHoleCountsAsFilled { holes.clone() } else { filled })
    }

    async fn purge(&self, mut request: PurgeRequest) -> Result<Purged, LogError> {
        let stored = self.log.subscription("conformance");
        match self.fault {
            Fault::PurgeForgetsHolds => {
                for seq in stored.into_iter().flat_map(|stored| stored.holds.into_keys()) {
                    self.log.discard("conformance", seq);
                }
            }
            Fault::PurgeForgetsAwaitedReceipts => {
                for seq in stored.into_iter().flat_map(|stored| stored.receipts.into_keys()) {
                    self.log.acknowledge("conformance", seq);
                }
            }
            Fault::PurgeForgetsTheRetention => request.keep = Duration::ZERO,
            Fault::PurgeForgetsTheChunk => request.chunk = 1_000,
            Fault::ArchiveDeletes => request.then = AfterRetention::Delete,
            _ => {}
        }
        self.log.purge(request).await
    }
}
