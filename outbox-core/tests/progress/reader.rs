//! A leader without a relay: it reads, settles and flushes when it is told to.

use std::collections::{HashMap, HashSet, VecDeque};

use outbox_core::{
    log::{Flush, HoleProof},
    message::Seq,
    progress::{Absence, HoleClosing, NextStep, Progress},
};
use uuid::Uuid;

use crate::world::World;

pub(crate) struct Reader {
    proof: HoleProof,
    progress: Progress,
    closing: HoleClosing,
    connections: u64,
    /// Delivered and not settled.
    pending: VecDeque<Seq>,
    /// A flush on its way.
    sent: Option<Flush>,
    /// Every first delivery: its id, and the last number of each aggregate.
    pub(crate) delivered: HashSet<Uuid>,
    latest: HashMap<String, Seq>,
    pub(crate) second_deliveries: usize,
    pub(crate) max_holes: usize,
}

impl Reader {
    pub(crate) fn new(proof: HoleProof, world: &World) -> Self {
        Self {
            proof,
            progress: Progress::load(world.stored.clone()),
            closing: HoleClosing::default(),
            connections: world.connections,
            pending: VecDeque::new(),
            sent: None,
            delivered: HashSet::new(),
            latest: HashMap::new(),
            second_deliveries: 0,
            max_holes: 4,
        }
    }

    pub(crate) fn forget_order(&mut self) {
        self.latest.clear();
    }

    /// Drops all memory and goes on from what is stored.
    pub(crate) fn reload(&mut self, world: &World) {
        self.progress = Progress::load(world.stored.clone());
        self.closing.reset();
        self.pending.clear();
        self.sent = None;
        // What comes again from here on may be older than what was delivered: checked by id.
    }

    fn notice(&mut self, world: &World) {
        if std::mem::replace(&mut self.connections, world.connections) != world.connections {
            self.closing.reset();
        }
    }

    pub(crate) fn read(&mut self, world: &World, limit: usize) -> bool {
        self.notice(world);
        let absence = match self.proof {
            HoleProof::WriterList => self.closing.absence(),
            HoleProof::Tombstones { .. } => Absence::ProvesNothing,
            HoleProof::SingleWriter => Absence::Proves,
        };
        let page = world.read(self.progress.position(), self.progress.unseen(), limit);
        let Ok(absorbed) = self.progress.absorb(page, limit, absence, self.max_holes) else {
            self.reload(world);
            return true;
        };
        self.closing.absorbed(self.progress.unseen());
        for event in &absorbed.events {
            let message = &event.message;
            self.pending.push_back(message.seq);
            if !self.delivered.insert(message.id) {
                self.second_deliveries += 1;
                continue;
            }
            let aggregate = message.aggregate_id.clone().expect("all have one");
            if let Some(before) = self.latest.insert(aggregate, message.seq) {
                assert!(before < message.seq, "{} after {before}", message.seq);
            }
        }
        absorbed.moved
    }

    pub(crate) fn settle(&mut self, count: usize, from_the_back: bool) {
        for _ in 0..count {
            let seq = if from_the_back { self.pending.pop_back() } else { self.pending.pop_front() };
            self.progress.settle(seq);
        }
    }

    pub(crate) fn send_flush(&mut self) {
        if self.sent.is_none() {
            self.sent = Some(self.progress.to_flush(Vec::new()));
            self.closing.flush_sent();
        }
    }

    pub(crate) fn finish_flush(&mut self, world: &mut World) {
        let Some(flush) = self.sent.take() else { return };
        let is_same_world = self.connections == world.connections;
        if is_same_world && world.flush(flush) {
            self.progress.flushed();
            self.closing.flush_stored();
        } else {
            self.reload(world);
        }
    }

    pub(crate) fn read_barrier(&mut self, world: &World) {
        self.notice(world);
        if self.proof == HoleProof::WriterList && self.closing == HoleClosing::default() {
            self.closing.barrier_read(world.barrier());
        }
    }

    pub(crate) fn list_writers(&mut self, world: &World) {
        self.notice(world);
        self.closing.writers_listed(&world.writers());
    }

    pub(crate) fn fill(&mut self, world: &mut World) {
        if matches!(self.proof, HoleProof::Tombstones { .. }) {
            let filled = world.fill(self.progress.unseen());
            self.progress.close(&filled);
        }
    }

    /// Whether a crash of the database now must not go unnoticed. With a durable barrier it may: the numbers up
    /// to it are not given out again. That is what the flush is for.
    pub(crate) fn would_notice(&self) -> bool {
        let some_hole = "1".parse().expect("a range");
        self.sent.is_some() || self.closing.next_step(&some_hole) == NextStep::Flush
    }

    pub(crate) fn progress(&self) -> &Progress {
        &self.progress
    }

    pub(crate) fn has_pending(&self) -> bool {
        !self.pending.is_empty()
    }
}
