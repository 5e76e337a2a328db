//! A database that numbers rows in one order and commits them in another.

use std::collections::{BTreeMap, BTreeSet};

use outbox_core::{
    log::{Barrier, Page, Row, RowKind, StoredProgress},
    message::{Message, Seq},
    progress::SeqRanges,
};
use uuid::Uuid;

/// How many aggregates there are. Topic and time are of no matter here.
pub(crate) const AGGREGATES: usize = 3;

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Event {
    pub(crate) id: Uuid,
    pub(crate) aggregate: usize,
}

/// An open transaction.
#[derive(Debug, Clone)]
struct Writer {
    number: u64,
    rows: Vec<(Seq, Event)>,
    locks: BTreeSet<usize>,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct World {
    /// `None` is a tombstone.
    pub(crate) rows: BTreeMap<Seq, Option<Event>>,
    pub(crate) stored: StoredProgress,
    last: Seq,
    durable_last: Seq,
    writers: Vec<Writer>,
    transactions: u64,
    ids: u128,
    /// One writer at a time, whose numbers come back when it rolls back.
    single_writer: bool,
    pub(crate) connections: u64,
}

impl World {
    pub(crate) fn new(single_writer: bool) -> Self {
        Self { single_writer, ..Self::default() }
    }

    /// Writes an event of `aggregate` in the transaction of this slot, which begins if need be. The row lock
    /// of the aggregate keeps two transactions from writing it at the same time.
    pub(crate) fn write(&mut self, slot: usize, aggregate: usize) {
        if self.writers.len() <= slot {
            if self.single_writer && !self.writers.is_empty() {
                return;
            }
            self.transactions += 1;
            self.writers.push(Writer { number: self.transactions, rows: Vec::new(), locks: BTreeSet::new() });
        }
        let slot = slot.min(self.writers.len() - 1);
        let is_locked =
            |(index, writer): (usize, &Writer)| index != slot && writer.locks.contains(&aggregate);
        if self.writers.iter().enumerate().any(is_locked) {
            return;
        }
        self.last += 1;
        self.ids += 1;
        let event = Event { id: Uuid::from_u128(self.ids), aggregate };
        self.writers[slot].locks.insert(aggregate);
        self.writers[slot].rows.push((self.last, event));
    }

    pub(crate) fn commit(&mut self, slot: usize) {
        if slot < self.writers.len() {
            let writer = self.writers.remove(slot);
            self.rows.extend(writer.rows.into_iter().map(|(seq, event)| (seq, Some(event))));
            self.durable_last = self.last;
        }
    }

    pub(crate) fn roll_back(&mut self, slot: usize) {
        if slot < self.writers.len() {
            let writer = self.writers.remove(slot);
            if let Some((first, _)) = writer.rows.first().filter(|_| self.single_writer) {
                self.last = first - 1;
            }
        }
    }

    /// Open transactions are gone, and numbers drawn since the last commit come again.
    pub(crate) fn crash(&mut self) {
        self.crash_unnoticed();
        self.connections += 1;
    }

    /// The same, and the reader's connections come through.
    pub(crate) fn crash_unnoticed(&mut self) {
        self.writers.clear();
        self.last = self.durable_last;
    }

    /// What a replica that stays behind has of it.
    pub(crate) fn remember(&self) -> Self {
        Self { writers: Vec::new(), last: self.durable_last, ..self.clone() }
    }

    /// The replica takes over.
    pub(crate) fn go_back(&mut self, to: &Self) {
        let Self { ids, transactions, connections, .. } = *self;
        *self = Self { ids, transactions, connections: connections + 1, ..to.clone() };
    }

    pub(crate) fn read(&self, position: Seq, unseen: &SeqRanges, limit: usize) -> Page {
        let holes = unseen.iter().flat_map(|hole| self.rows.range(hole));
        let rows = holes.chain(self.rows.range(position + 1..)).take(limit);
        let anchor = self.rows.get(&position).map(|row| id(position, row.as_ref()));
        Page { anchor, rows: rows.map(|(seq, event)| row(*seq, event.as_ref())).collect(), ..Page::default() }
    }

    pub(crate) fn barrier(&self) -> Barrier {
        Barrier { upto: self.last, writers: self.writers() }
    }

    pub(crate) fn writers(&self) -> BTreeSet<String> {
        self.writers.iter().map(|writer| writer.number.to_string()).collect()
    }

    /// Puts tombstones where nobody has drawn the number in a transaction that is still open.
    pub(crate) fn fill(&mut self, holes: &SeqRanges) -> SeqRanges {
        let drawn: BTreeSet<_> =
            self.writers.iter().flat_map(|writer| &writer.rows).map(|row| row.0).collect();
        let mut filled = SeqRanges::new();
        for seq in holes.iter().flatten() {
            if !drawn.contains(&seq) && !self.rows.contains_key(&seq) {
                self.rows.insert(seq, None);
                filled.insert(seq);
            }
        }
        // A number that is given by hand moves the counter past it.
        self.last = self.last.max(filled.last().unwrap_or_default());
        self.durable_last = self.last;
        filled
    }

    /// Stores progress if it is the next one of the same history.
    pub(crate) fn flush(&mut self, flush: outbox_core::log::Flush) -> bool {
        let found = self.rows.get(&flush.position).map(|row| id(flush.position, row.as_ref()));
        let is_next = self.stored.flush_no == flush.previous_flush_no;
        if !is_next || (flush.anchor.is_some() && flush.anchor != found) {
            return false;
        }
        self.stored = StoredProgress {
            position: flush.position,
            anchor: flush.anchor,
            holes: flush.holes,
            flush_no: flush.previous_flush_no + 1,
            ..StoredProgress::default()
        };
        self.durable_last = self.last;
        true
    }
}

fn id(seq: Seq, event: Option<&Event>) -> Uuid {
    // A tombstone's id is as unique as its number: nothing else ever stands there.
    event.map_or(Uuid::from_u128(u128::MAX - u128::from(seq.unsigned_abs())), |event| event.id)
}

fn row(seq: Seq, event: Option<&Event>) -> Row {
    let kind = match event {
        None => RowKind::Tombstone,
        Some(event) => {
            let mut message = Message::new(event.id, "/model", "topic", "type", "null");
            message.seq = seq;
            message.aggregate_id = Some(event.aggregate.to_string());
            RowKind::Event { message: Box::new(message), scheduled_for: None }
        }
    };
    Row { seq, id: id(seq, event), kind }
}
