//! The statements, as the relay sends them.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use tokio::time::Instant;

use super::{
    MemoryLog,
    state::{Row as StoredRow, State, StoredReceipt, StoredSubscription},
};
use crate::{
    log::{
        Acquired, AfterRetention, Barrier, Description, Due, EventLog, Flush, Flushed, Hold, HoldChange,
        HoldCounts, HoldState, HoleProof, LogError, OrderKey, Owner, Page, PurgeRequest, Purged, ReadRequest,
        Row, RowKind, StartPoint, Stopped, StoredProgress, SubscriptionName, SubscriptionState, Survey,
    },
    message::{Message, Seq},
    progress::SeqRanges,
    publisher::Topics,
    wake::Signal,
};

#[async_trait]
impl EventLog for MemoryLog {
    async fn check(&self) -> Result<(), LogError> {
        self.state().answer()
    }

    async fn register(&self, name: &SubscriptionName, start: StartPoint) -> Result<(), LogError> {
        let mut state = self.state();
        state.answer()?;
        if !state.subscriptions.contains_key(name.as_str()) {
            let progress = state.start(start);
            let stored = StoredSubscription {
                progress,
                owner: None,
                lease_until: Instant::now(),
                state: SubscriptionState::Running,
                last_error: None,
                holds: BTreeMap::new(),
                receipts: BTreeMap::new(),
                description: None,
            };
            state.subscriptions.insert(name.as_str().to_owned(), stored);
            state.committed();
        }
        Ok(())
    }

    async fn acquire(
        &self,
        name: &SubscriptionName,
        owner: Owner,
        lease: Duration,
    ) -> Result<Acquired, LogError> {
        let mut state = self.state();
        state.answer()?;
        state.counts.acquires += 1;
        let now = Instant::now();
        let stored = state.stored(name)?;
        if stored.owner.is_some() && stored.lease_until > now {
            return Ok(Acquired::Held { expires_in: stored.lease_until - now });
        }
        if stored.state == SubscriptionState::Paused {
            return Ok(Acquired::Paused);
        }
        let progress = stored.progress.clone();
        let found = state.rows.get(&progress.position).map(|row| row.id);
        if progress.anchor.is_some() && progress.anchor != found {
            return Err(LogError::AnchorGone { subscription: name.clone(), position: progress.position });
        }
        if progress.position > state.last {
            return Err(LogError::Refused(format!(
                "subscription `{name}` has read up to event {}, but the log has given out numbers up to {} only",
                progress.position, state.last
            )));
        }
        let stored = state.stored(name)?;
        stored.owner = Some(owner);
        stored.lease_until = now + lease;
        state.committed();
        Ok(Acquired::Leader(progress))
    }

    async fn renew(
        &self,
        name: &SubscriptionName,
        owner: Owner,
        lease: Duration,
    ) -> Result<Option<i64>, LogError> {
        if self.state().hangs_renewal() {
            std::future::pending::<()>().await;
        }
        let mut state = self.state();
        state.answer()?;
        state.counts.renewals += 1;
        let Some(stored) = state.led_by(name, owner) else { return Ok(None) };
        stored.lease_until = Instant::now() + lease;
        let interventions = stored.progress.interventions;
        state.committed();
        Ok(Some(interventions))
    }

    async fn release(&self, name: &SubscriptionName, owner: Owner) -> Result<(), LogError> {
        let mut state = self.state();
        state.answer()?;
        if let Some(stored) = state.led_by(name, owner) {
            stored.owner = None;
            state.committed();
        }
        Ok(())
    }

    async fn report(
        &self,
        name: &SubscriptionName,
        owner: Owner,
        reported: SubscriptionState,
        error: Option<&str>,
    ) -> Result<(), LogError> {
        let mut state = self.state();
        state.answer()?;
        state.counts.reports += 1;
        let stored = state.led_by(name, owner).filter(|stored| stored.state != SubscriptionState::Paused);
        if let Some(stored) = stored {
            stored.state = reported;
            stored.last_error = error.map(str::to_owned);
            state.committed();
        }
        Ok(())
    }

    async fn describe(
        &self,
        name: &SubscriptionName,
        owner: Owner,
        description: &Description,
    ) -> Result<(), LogError> {
        let mut state = self.state();
        state.answer()?;
        state.counts.descriptions += 1;
        if let Some(stored) = state.led_by(name, owner) {
            stored.description = Some(description.clone());
            state.committed();
        }
        Ok(())
    }

    async fn read(&self, request: ReadRequest<'_>) -> Result<Page, LogError> {
        let mut state = self.state();
        state.answer()?;
        state.counts.reads += 1;
        let holes = request.unseen.iter().flat_map(|hole| state.rows.range(hole));
        let after = state.rows.range(request.position + 1..);
        let mut page = Page::default();
        let mut bytes = 0;
        for (seq, row) in holes.chain(after).take(request.limit) {
            if bytes >= request.max_bytes.max(1) {
                page.is_cut = true;
                break;
            }
            let row = state.row(*seq, row, request.topics, request.source);
            if let RowKind::Event { message, .. } = &row.kind {
                let headers = message.headers.iter().map(|(name, value)| name.len() + value.len());
                bytes += message.payload.len() + headers.sum::<usize>();
            }
            page.rows.push(row);
        }
        let anchor = state.rows.get(&request.position).map(|row| row.id);
        let stored = state.subscriptions.get(request.subscription.as_str());
        Ok(Page { anchor, interventions: stored.map(|stored| stored.progress.interventions), ..page })
    }

    async fn flush(&self, name: &SubscriptionName, owner: Owner, flush: &Flush) -> Result<Flushed, LogError> {
        let mut state = self.state();
        state.answer()?;
        state.counts.flushes += 1;
        if let Some(left) = state.busy_flushes.checked_sub(1) {
            state.busy_flushes = left;
            return Ok(Flushed::Busy);
        }
        let found = state.rows.get(&flush.position).map(|row| row.id);
        let anchor_holds = flush.anchor.is_none() || flush.anchor == found;
        let now = state.now();
        let stored = state
            .led_by(name, owner)
            .filter(|stored| anchor_holds && stored.progress.flush_no == flush.previous_flush_no);
        let Some(stored) = stored else { return Ok(Flushed::Fenced) };
        stored.progress = StoredProgress {
            position: flush.position,
            anchor: flush.anchor,
            holes: flush.holes.clone(),
            flush_no: flush.previous_flush_no + 1,
            interventions: stored.progress.interventions,
        };
        for change in &flush.holds {
            match change {
                HoldChange::Insert(hold) => {
                    stored.holds.insert(hold.seq, dated(hold, now));
                }
                HoldChange::Update(hold) => {
                    if let Some(held) = stored.holds.get_mut(&hold.seq) {
                        *held = dated(hold, now);
                    }
                }
                HoldChange::Delete(seq) => {
                    stored.holds.remove(seq);
                }
            }
        }
        for receipt in &flush.receipts {
            let before = stored.receipts.get(&receipt.seq);
            let is_acknowledged = before.is_some_and(|before| before.is_acknowledged);
            let ack_due = receipt.ack_within.filter(|_| !is_acknowledged).map(|within| now + within);
            let stored_receipt = StoredReceipt { receipt: receipt.clone(), ack_due, is_acknowledged };
            stored.receipts.insert(receipt.seq, stored_receipt);
        }
        for event in &flush.captured {
            let seq = state.draw();
            state.rows.insert(seq, StoredRow::new(event.clone()));
        }
        state.committed();
        if let Some(left) = state.flush_answers_to_lose.checked_sub(1) {
            state.flush_answers_to_lose = left;
            return Err(LogError::database("an answer lost on purpose"));
        }
        Ok(Flushed::Stored)
    }

    async fn due(
        &self,
        name: &SubscriptionName,
        source: &Arc<str>,
        limit: usize,
    ) -> Result<Vec<(Hold, Message)>, LogError> {
        let mut state = self.state();
        state.answer()?;
        state.counts.due += 1;
        let now = state.now();
        let held: Vec<_> =
            state.stored(name)?.holds.values().filter(|hold| is_due(hold, now)).cloned().collect();
        let (found, orphans) = state.with_messages(held.into_iter().take(limit), source);
        state.end(name, &orphans)?;
        Ok(found)
    }

    async fn stopped(&self, name: &SubscriptionName) -> Result<Vec<Stopped>, LogError> {
        let mut state = self.state();
        state.answer()?;
        state.counts.blocked += 1;
        let mut stopped: BTreeMap<OrderKey, Stopped> = BTreeMap::new();
        for hold in state.stored(name)?.holds.values() {
            let Some(aggregate) = hold.aggregate.clone() else { continue };
            let entry = stopped.entry(aggregate.clone()).or_insert(Stopped {
                aggregate,
                retries: false,
                dead: false,
                blocked: false,
            });
            match hold.state {
                HoldState::Retry => entry.retries = true,
                HoldState::Dead => entry.dead = true,
                HoldState::Blocked => entry.blocked = true,
                HoldState::Scheduled => {}
            }
        }
        Ok(stopped.into_values().collect())
    }

    async fn blocked(
        &self,
        name: &SubscriptionName,
        source: &Arc<str>,
        aggregates: &[OrderKey],
        each: usize,
    ) -> Result<Vec<(Hold, Message)>, LogError> {
        let mut state = self.state();
        state.answer()?;
        state.counts.blocked += 1;
        let mut found: BTreeMap<&OrderKey, usize> = aggregates.iter().map(|key| (key, 0)).collect();
        let holds = state.stored(name)?.holds.clone();
        let wanted = holds
            .into_values()
            .filter(|hold| hold.state == HoldState::Blocked)
            .filter(|hold| hold.aggregate.as_ref().is_some_and(|key| found.contains_key(key)));
        let (mut blocked, orphans) = state.with_messages(wanted, source);
        state.end(name, &orphans)?;
        blocked.retain(|(hold, _)| {
            let count = hold.aggregate.as_ref().and_then(|key| found.get_mut(key));
            count.is_some_and(|count| {
                *count += 1;
                *count <= each
            })
        });
        Ok(blocked)
    }

    async fn resend_unacknowledged(
        &self,
        name: &SubscriptionName,
        ack_within: Duration,
        limit: usize,
    ) -> Result<u64, LogError> {
        let mut state = self.state();
        state.answer()?;
        let now = state.now();
        let StoredSubscription { receipts, holds, .. } = state.stored(name)?;
        let overdue = receipts.iter_mut().filter(|(_, stored)| stored.ack_due.is_some_and(|due| due <= now));
        let mut count = 0;
        for (seq, stored) in overdue.take(limit) {
            stored.ack_due = Some(now + ack_within);
            if let std::collections::btree_map::Entry::Vacant(free) = holds.entry(*seq) {
                free.insert(due_now(*seq, HoldState::Scheduled, now));
                count += 1;
            }
        }
        state.committed();
        Ok(count)
    }

    async fn survey(&self, name: &SubscriptionName, topics: &Topics) -> Result<Survey, LogError> {
        let mut state = self.state();
        state.answer()?;
        state.counts.surveys += 1;
        let last = state.last;
        let stored = state.stored(name)?.clone();
        let StoredProgress { position, holes, .. } = stored.progress;
        let unsettled = holes.iter().flat_map(|hole| state.rows.range(hole));
        let oldest_pending = unsettled
            .chain(state.rows.range(position + 1..))
            .filter(|(_, row)| {
                row.event.as_ref().is_some_and(|event| crate::relay::takes(topics, &event.topic))
            })
            .map(|(_, row)| row.age())
            .next();
        let count = |wanted| stored.holds.values().filter(|hold| hold.state == wanted).count() as u64;
        let holds = HoldCounts {
            scheduled: count(HoldState::Scheduled),
            retry: count(HoldState::Retry),
            blocked: count(HoldState::Blocked),
            dead: count(HoldState::Dead),
        };
        Ok(Survey { now: state.now(), last, position, holes: holes.count(), oldest_pending, holds })
    }

    async fn next_due(&self, name: &SubscriptionName) -> Result<Option<Duration>, LogError> {
        let mut state = self.state();
        state.answer()?;
        state.counts.due += 1;
        let now = state.now();
        let next = state.stored(name)?.holds.values().filter_map(due_at).min();
        Ok(next.map(|at| (at - now).to_std().unwrap_or_default()))
    }

    fn hole_proof(&self) -> HoleProof {
        self.proof
    }

    fn connections(&self) -> u64 {
        self.state().connections
    }

    async fn barrier(&self) -> Result<Barrier, LogError> {
        let mut state = self.state();
        state.answer()?;
        state.counts.proofs += 1;
        Ok(Barrier { upto: state.last, writers: state.writers() })
    }

    async fn writers(&self) -> Result<BTreeSet<String>, LogError> {
        let mut state = self.state();
        state.answer()?;
        state.counts.proofs += 1;
        Ok(state.writers())
    }

    async fn fill(&self, holes: &SeqRanges) -> Result<SeqRanges, LogError> {
        let mut state = self.state();
        state.answer()?;
        state.counts.fills += 1;
        let mut filled = SeqRanges::new();
        for seq in holes.iter().flatten() {
            let is_locked = state.open.values().flatten().any(|(drawn, _)| *drawn == seq);
            if !is_locked && !state.rows.contains_key(&seq) {
                state.rows.insert(seq, StoredRow::tombstone());
                filled.insert(seq);
            }
        }
        // A number that is given by hand moves the counter past it.
        state.last = state.last.max(filled.last().unwrap_or_default());
        state.committed();
        Ok(filled)
    }

    async fn watch(&self, news: &Signal) {
        let mut told = self.news.listen();
        loop {
            told.next().await;
            news.send();
        }
    }

    async fn purge(&self, request: PurgeRequest) -> Result<Purged, LogError> {
        let mut state = self.state();
        state.answer()?;
        let kept_from = state.subscriptions.values().map(StoredSubscription::first_needed).min();
        let Some(kept_from) = kept_from else { return Ok(Purged::default()) };
        let chunk = usize::try_from(request.chunk).unwrap_or(usize::MAX);
        let old: Vec<Seq> = state
            .rows
            .range(..kept_from)
            .take_while(|(_, row)| row.age() >= request.keep)
            .take(chunk)
            .map(|(seq, _)| *seq)
            .collect();
        for seq in &old {
            state.rows.remove(seq);
        }
        if let Some(last) = old.last() {
            state.floor = *last;
            for stored in state.subscriptions.values_mut() {
                stored.receipts.retain(|seq, _| seq > last);
            }
            if request.then == AfterRetention::Archive {
                state.archived.extend(&old);
            }
            state.committed();
        }
        Ok(Purged { removed: old.len() as u64, floor: state.floor, more: old.len() == chunk })
    }
}

impl State {
    fn hangs_renewal(&mut self) -> bool {
        let hangs = self.hung_renewals > 0;
        self.hung_renewals = self.hung_renewals.saturating_sub(1);
        hangs
    }

    fn writers(&self) -> BTreeSet<String> {
        self.open.iter().filter(|(_, rows)| !rows.is_empty()).map(|(number, _)| number.to_string()).collect()
    }

    fn start(&self, start: StartPoint) -> StoredProgress {
        let position = match start {
            StartPoint::Beginning => {
                return StoredProgress { position: self.floor, ..StoredProgress::default() };
            }
            StartPoint::Now => self.last,
            StartPoint::At(time) => {
                let first = self.rows.iter().find(|(_, row)| self.time_of(row.created) >= time);
                first.map_or(self.last, |(seq, _)| seq - 1)
            }
        };
        let mut holes = SeqRanges::new();
        holes.insert_range(self.floor + 1..=position);
        for (&seq, _) in self.rows.range(..=position) {
            holes.remove(seq);
        }
        let anchor = self.rows.get(&position).map(|row| row.id);
        StoredProgress { position, anchor, holes, ..StoredProgress::default() }
    }

    fn row(&self, seq: Seq, row: &StoredRow, topics: &Topics, source: &Arc<str>) -> Row {
        let kind = match &row.event {
            None => RowKind::Tombstone,
            Some(event) if !crate::relay::takes(topics, &event.topic) => {
                RowKind::OtherTopic { topic: event.topic.clone() }
            }
            Some(event) => match self.message(seq, row, source) {
                Some(message) => RowKind::Event {
                    message: Box::new(message),
                    scheduled_for: event.deliver_at.filter(|at| *at > self.now()),
                },
                None => RowKind::Tombstone,
            },
        };
        Row { seq, id: row.id, kind }
    }

    /// The holds with their events, and those whose events somebody deleted by hand.
    fn with_messages(
        &self,
        holds: impl Iterator<Item = Hold>,
        source: &Arc<str>,
    ) -> (Vec<(Hold, Message)>, Vec<Seq>) {
        let (mut found, mut orphans) = (Vec::new(), Vec::new());
        for hold in holds {
            match self.held_message(&hold, source) {
                Some(message) => found.push((hold, message)),
                None => orphans.push(hold.seq),
            }
        }
        (found, orphans)
    }

    /// Gives holds up whose events are gone. An intervention: the leader may know their aggregates as stopped.
    fn end(&mut self, name: &SubscriptionName, orphans: &[Seq]) -> Result<(), LogError> {
        if orphans.is_empty() {
            return Ok(());
        }
        let stored = self.stored(name)?;
        for seq in orphans {
            stored.holds.remove(seq);
            stored.receipts.remove(seq);
        }
        stored.progress.interventions += 1;
        self.committed();
        Ok(())
    }

    fn held_message(&self, hold: &Hold, source: &Arc<str>) -> Option<Message> {
        let message = self.message(hold.seq, self.rows.get(&hold.seq)?, source)?;
        Some(Message { replay: hold.replay, ..message })
    }

    fn message(&self, seq: Seq, row: &StoredRow, source: &Arc<str>) -> Option<Message> {
        let event = row.event.clone()?;
        Some(Message {
            seq,
            id: event.id,
            source: Arc::clone(source),
            event_type: event.event_type,
            event_version: event.event_version,
            topic: event.topic,
            aggregate_type: event.aggregate_type,
            aggregate_id: event.aggregate_id,
            payload: event.payload,
            headers: event.headers,
            occurred_at: event.occurred_at,
            created_at: self.time_of(row.created),
            replay: None,
        })
    }
}

impl StoredSubscription {
    /// The lowest seq that must stay: the anchor, a hole, a held event or one whose acknowledgement is awaited.
    fn first_needed(&self) -> Seq {
        let hole = self.progress.holes.first();
        let held = self.holds.keys().next().copied();
        let awaited = self.receipts.iter().find(|(_, stored)| stored.ack_due.is_some()).map(|(seq, _)| *seq);
        [hole, held, awaited].into_iter().flatten().fold(self.progress.position, Seq::min)
    }
}

/// The hold as stored: a delay becomes a time.
fn dated(hold: &Hold, now: chrono::DateTime<chrono::Utc>) -> Hold {
    let due = match hold.due {
        Due::After(delay) => Due::At(now + delay),
        due => due,
    };
    Hold { due, ..hold.clone() }
}

/// A hold outside of every order that may go at once.
pub(super) fn due_now(seq: Seq, state: HoldState, now: chrono::DateTime<chrono::Utc>) -> Hold {
    Hold { seq, aggregate: None, state, attempts: 0, due: Due::At(now), last_error: None, replay: None }
}

fn due_at(hold: &Hold) -> Option<chrono::DateTime<chrono::Utc>> {
    match (hold.state, hold.due) {
        (HoldState::Scheduled | HoldState::Retry, Due::At(at)) => Some(at),
        _ => None,
    }
}

fn is_due(hold: &Hold, now: chrono::DateTime<chrono::Utc>) -> bool {
    due_at(hold).is_some_and(|at| at <= now)
}
