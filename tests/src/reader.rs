//! A reader of the log that is driven step by step: what a relay does, without its clock.

use std::{collections::BTreeSet, sync::Arc};

use anyhow::{Result, ensure};
use outbox_core::{
    log::{Acquired, EventLog, Flushed, HoleProof, Owner, StartPoint, SubscriptionName},
    message::Seq,
    progress::{Absence, HoleClosing, NextStep, Progress},
    publisher::Topics,
};
use outbox_seaorm::SeaOrmLog;

use crate::events::LEASE;

/// A leader whose every step is called by a test.
#[derive(Debug)]
pub struct Reader {
    pub log: SeaOrmLog,
    pub name: SubscriptionName,
    pub owner: Owner,
    pub progress: Progress,
    closing: HoleClosing,
    source: Arc<str>,
}

impl Reader {
    /// Registers the subscription and leads it.
    ///
    /// # Errors
    /// What the log says.
    pub async fn lead(log: SeaOrmLog, name: &str) -> Result<Self> {
        let name = SubscriptionName::new(name)?;
        log.register(&name, StartPoint::Beginning).await?;
        let owner = Owner::random();
        let Acquired::Leader(stored) = log.acquire(&name, owner, LEASE).await? else {
            anyhow::bail!("expected to lead");
        };
        let progress = Progress::load(stored);
        Ok(Self { log, name, owner, progress, closing: HoleClosing::default(), source: "/orders".into() })
    }

    /// Reads a page, takes what it brings as published and flushes. Gives the numbers that the page brought.
    ///
    /// # Errors
    /// What the log says; where the anchor is lost or the flush is fenced.
    pub async fn poll(&mut self, limit: usize) -> Result<Vec<Seq>> {
        let absence = match self.log.hole_proof() {
            HoleProof::SingleWriter => Absence::Proves,
            HoleProof::WriterList => self.closing.absence(),
            HoleProof::Tombstones { .. } => Absence::ProvesNothing,
        };
        let request = self.progress.read_request(&self.name, &Topics::All, &self.source, limit);
        let page = self.log.read(request).await?;
        let absorbed = self.progress.absorb(page, limit, absence, 100_000)?;
        self.closing.absorbed(self.progress.unseen());
        let seqs: Vec<Seq> = absorbed.events.iter().map(|event| event.message.seq).collect();
        self.progress.settle(seqs.iter().copied());
        self.closing.flush_sent();
        let flushed = self.log.flush(&self.name, self.owner, &self.progress.to_flush(Vec::new())).await?;
        ensure!(flushed == Flushed::Stored, "the flush was fenced off");
        self.progress.flushed();
        self.closing.flush_stored();
        Ok(seqs)
    }

    /// Brings the proof of the holes one step forward.
    ///
    /// # Errors
    /// What the log says.
    pub async fn prove(&mut self) -> Result<()> {
        match self.log.hole_proof() {
            HoleProof::WriterList => match self.closing.next_step(self.progress.unseen()) {
                NextStep::ReadBarrier => self.closing.barrier_read(self.log.barrier().await?),
                NextStep::ListWriters => self.closing.writers_listed(&self.log.writers().await?),
                NextStep::Nothing | NextStep::Flush | NextStep::Read => {}
            },
            HoleProof::Tombstones { .. } => {
                let filled = self.log.fill(self.progress.unseen()).await?;
                self.progress.close(&filled);
            }
            HoleProof::SingleWriter => {}
        }
        Ok(())
    }

    /// Reads and proves for as many rounds as any proof takes, and some more.
    ///
    /// # Errors
    /// What the log says.
    pub async fn settle(&mut self) -> Result<Vec<Seq>> {
        let mut seqs = Vec::new();
        for _ in 0..6 {
            seqs.extend(self.poll(100).await?);
            self.prove().await?;
        }
        let distinct: BTreeSet<Seq> = seqs.iter().copied().collect();
        ensure!(distinct.len() == seqs.len(), "an event came twice: {seqs:?}");
        Ok(seqs)
    }
}
