//! A leader whose every statement is sent by a case.

use std::{sync::Arc, time::Duration};

use super::LogFixture;
use crate::{
    event::NewEvent,
    log::{
        Acquired, Due, EventLog, Flush, Flushed, Hold, HoldChange, HoldState, Owner, Page, ReadRequest, Row,
        RowKind, StartPoint, StoredProgress, SubscriptionName,
    },
    message::{Message, Seq},
    progress::SeqRanges,
    publisher::Topics,
};

/// Longer than any case takes.
pub(super) const LEASE: Duration = Duration::from_secs(60);

/// The topic of the events of the cases.
pub(super) const TOPIC: &str = "orders";

/// No number.
pub(super) const NONE: [Seq; 0] = [];

pub(super) struct Leader<L> {
    pub(super) log: L,
    pub(super) name: SubscriptionName,
    pub(super) owner: Owner,
    pub(super) progress: StoredProgress,
}

pub(super) fn name(text: &str) -> SubscriptionName {
    SubscriptionName::new(text).expect("a good name")
}

pub(super) fn source() -> Arc<str> {
    "/conformance".into()
}

/// An event of an aggregate.
pub(super) fn event(aggregate: &str) -> NewEvent {
    crate::testing::new_event(TOPIC, aggregate, "{}")
}

/// The order that [`event`]s of this aggregate stand in.
pub(super) fn key(aggregate: &str) -> (String, String) {
    ("thing".to_owned(), aggregate.to_owned())
}

/// Stores so many events, each of another aggregate, and gives their numbers and the id of the last.
pub(super) async fn store(fixture: &impl LogFixture, count: usize) -> (Vec<Seq>, uuid::Uuid) {
    let (mut seqs, mut last) = (Vec::new(), uuid::Uuid::nil());
    for number in 0..count {
        let event = event(&format!("a{number}"));
        last = event.id;
        seqs.push(fixture.append(event).await);
    }
    (seqs, last)
}

pub(super) fn ranges(seqs: impl IntoIterator<Item = Seq>) -> SeqRanges {
    let mut ranges = SeqRanges::new();
    for seq in seqs {
        ranges.insert(seq);
    }
    ranges
}

pub(super) fn numbers(rows: &[Row]) -> Vec<Seq> {
    rows.iter().map(|row| row.seq).collect()
}

pub(super) fn held_numbers(held: &[(Hold, Message)]) -> Vec<Seq> {
    held.iter().map(|(hold, _)| hold.seq).collect()
}

pub(super) fn message_of(row: &Row) -> &Message {
    match &row.kind {
        RowKind::Event { message, .. } => message,
        other => panic!("expected an event at {}, found {other:?}", row.seq),
    }
}

/// A hold outside of every order.
pub(super) fn hold(seq: Seq, state: HoldState, due: Due) -> Hold {
    Hold { seq, aggregate: None, state, attempts: 0, due, last_error: None, replay: None }
}

/// A hold in the order of its aggregate.
pub(super) fn hold_of(aggregate: &str, seq: Seq, state: HoldState, due: Due) -> Hold {
    Hold { aggregate: Some(key(aggregate)), ..hold(seq, state, due) }
}

pub(super) fn inserts(holds: impl IntoIterator<Item = Hold>) -> Vec<HoldChange> {
    holds.into_iter().map(HoldChange::Insert).collect()
}

impl<L: EventLog> Leader<L> {
    /// Registers the subscription at the beginning of the log, if it is not there, and leads it.
    pub(super) async fn of(fixture: &impl LogFixture<Log = L>, subscription: &str) -> Self {
        Self::from(fixture, subscription, StartPoint::Beginning).await
    }

    pub(super) async fn from(
        fixture: &impl LogFixture<Log = L>,
        subscription: &str,
        start: StartPoint,
    ) -> Self {
        let (log, name) = (fixture.log().await, name(subscription));
        log.register(&name, start).await.expect("to register");
        let owner = Owner::random();
        match log.acquire(&name, owner, LEASE).await.expect("an answer") {
            Acquired::Leader(progress) => Self { log, name, owner, progress },
            other => panic!("expected to lead {subscription}, found {other:?}"),
        }
    }

    /// Gives the lease up and takes it again as another process does.
    pub(super) async fn replaced(self, fixture: &impl LogFixture<Log = L>) -> Self {
        self.log.release(&self.name, self.owner).await.expect("to release");
        Self::of(fixture, self.name.as_str()).await
    }

    /// A flush that changes nothing yet.
    pub(super) fn flush(&self) -> Flush {
        Flush {
            position: self.progress.position,
            anchor: self.progress.anchor,
            holes: self.progress.holes.clone(),
            previous_flush_no: self.progress.flush_no,
            ..Flush::default()
        }
    }

    pub(super) async fn send(&self, flush: &Flush) -> Flushed {
        self.log.flush(&self.name, self.owner, flush).await.expect("an answer to a flush")
    }

    /// Sends a flush that has to be stored.
    pub(super) async fn stores(&mut self, flush: Flush) {
        assert_eq!(self.send(&flush).await, Flushed::Stored, "the flush of the leader counts");
        self.progress.position = flush.position;
        self.progress.anchor = flush.anchor;
        self.progress.holes = flush.holes;
        self.progress.flush_no += 1;
    }

    /// Stores `position`, which has to be that of an event with the id `anchor`, and `holes` below it.
    pub(super) async fn stands_at(
        &mut self,
        position: Seq,
        anchor: uuid::Uuid,
        holes: impl IntoIterator<Item = Seq>,
    ) {
        let flush = Flush { position, anchor: Some(anchor), holes: ranges(holes), ..self.flush() };
        self.stores(flush).await;
    }

    pub(super) async fn stores_holds(&mut self, holds: Vec<HoldChange>) {
        let flush = Flush { holds, ..self.flush() };
        self.stores(flush).await;
    }

    /// Reads from the stored position.
    pub(super) async fn read(&self, limit: usize) -> Page {
        self.read_from(self.progress.position, &self.progress.holes, &Topics::All, limit).await
    }

    pub(super) async fn read_from(
        &self,
        position: Seq,
        unseen: &SeqRanges,
        topics: &Topics,
        limit: usize,
    ) -> Page {
        let (source, subscription) = (source(), &self.name);
        let request = ReadRequest {
            subscription,
            position,
            unseen,
            topics,
            source: &source,
            limit,
            max_bytes: usize::MAX,
        };
        self.log.read(request).await.expect("a page")
    }

    pub(super) async fn due(&self, limit: usize) -> Vec<(Hold, Message)> {
        self.log.due(&self.name, &source(), limit).await.expect("the due events")
    }

    pub(super) async fn blocked(&self, aggregates: &[&str], each: usize) -> Vec<(Hold, Message)> {
        let keys: Vec<_> = aggregates.iter().map(|aggregate| key(aggregate)).collect();
        self.log.blocked(&self.name, &source(), &keys, each).await.expect("the blocked events")
    }
}
