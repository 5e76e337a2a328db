//! A log in memory, whose database does on command what real ones do at the worst moment.

mod event_log;
mod operator;
mod state;
mod writer;

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

pub use state::{LogCounts, StoredReceipt, StoredSubscription, TimeTravel};
use state::{Row, State};
pub use writer::MemoryWriter;

use crate::{
    event::NewEvent,
    log::{Hold, HoleProof},
    message::Seq,
    wake::Signal,
};

/// An [`EventLog`](crate::log::EventLog) in memory. A clone is the same log.
///
/// Writers draw numbers when they append and are seen when they commit, in whatever order the test wants.
/// Time is tokio's, so a test with a paused clock moves it.
///
/// ```
/// use outbox_core::{log::HoleProof, testing::{MemoryLog, new_event}};
///
/// let log = MemoryLog::new(HoleProof::WriterList);
/// let mut slow = log.begin();
/// assert_eq!(slow.append(new_event("orders", "a", "first")), 1);
/// assert_eq!(log.append(new_event("orders", "b", "second")), 2); // seen before 1 is
/// slow.commit();
/// ```
#[derive(Debug, Clone)]
pub struct MemoryLog {
    proof: HoleProof,
    state: Arc<Mutex<State>>,
    news: Signal,
}

impl MemoryLog {
    /// An empty log whose holes are forgotten by this proof.
    #[must_use]
    pub fn new(proof: HoleProof) -> Self {
        Self { proof, state: Arc::new(Mutex::new(State::new())), news: Signal::new() }
    }

    /// Begins a transaction.
    ///
    /// # Panics
    /// With [`HoleProof::SingleWriter`], while another is open.
    pub fn begin(&self) -> MemoryWriter {
        let mut state = self.state();
        assert!(
            self.proof != HoleProof::SingleWriter || state.open.is_empty(),
            "a database with one writer at a time has no second one"
        );
        MemoryWriter::new(self.clone(), state.begin())
    }

    /// Stores an event in a transaction of its own.
    pub fn append(&self, event: NewEvent) -> Seq {
        let mut writer = self.begin();
        let seq = writer.append(event);
        writer.commit();
        seq
    }

    /// Tells relays that another process may have stored an event.
    pub fn tell_news(&self) {
        self.news.send();
    }

    /// The database goes away (`true`): every statement errs; or it comes back.
    pub fn set_away(&self, away: bool) {
        self.state().away = away;
    }

    /// The next statements err, so many of them.
    pub fn fail_statements(&self, count: usize) {
        self.state().errors_left = count;
    }

    /// The next flushes are stored, but their answer is lost: so many of them.
    pub fn lose_flush_answers(&self, count: usize) {
        self.state().flush_answers_to_lose = count;
    }

    /// The next renewals get no answer, ever: so many of them. Their connection leads nowhere.
    pub fn hang_renewals(&self, count: usize) {
        self.state().hung_renewals = count;
    }

    /// The next flushes find another session in the way and are not stored: so many of them.
    pub fn be_busy_for_flushes(&self, count: usize) {
        self.state().busy_flushes = count;
    }

    /// The database crashes and restarts: open transactions are gone, and the numbers drawn since the last
    /// commit will be given out again. No statement errs: the pool has connected anew.
    pub fn crash(&self) {
        self.state().crash();
    }

    /// Remembers all that is committed now, to [`go_back`](Self::go_back) to.
    #[must_use]
    pub fn remember(&self) -> TimeTravel {
        self.state().remember()
    }

    /// The database becomes one that was left behind: what was committed since is forgotten, progress
    /// included, and numbers are given out again. No statement errs: a failover behind a proxy.
    pub fn go_back(&self, to: &TimeTravel) {
        self.state().go_back(to);
    }

    /// The same, but the subscriptions keep their progress: the table of events was restored by hand.
    pub fn go_back_with_events_only(&self, to: &TimeTravel) {
        self.state().go_back_with_events_only(to);
    }

    /// The same without a time to go back to: the events from `first` on never were, and `first` is the next number.
    pub fn lose_from(&self, first: Seq) {
        self.state().lose_from(first);
    }

    /// The lease of a subscription runs out now.
    pub fn expire_lease(&self, subscription: &str) {
        if let Some(subscription) = self.state().subscription_mut(subscription) {
            subscription.lease_until = Instant::now();
        }
    }

    /// What is stored of a subscription.
    #[must_use]
    pub fn subscription(&self, name: &str) -> Option<StoredSubscription> {
        self.state().subscription_mut(name).map(|stored| stored.clone())
    }

    /// The held events of a subscription, in order.
    #[must_use]
    pub fn holds(&self, subscription: &str) -> Vec<Hold> {
        self.subscription(subscription).map(|stored| stored.holds.into_values().collect()).unwrap_or_default()
    }

    /// The seqs of all committed events, in order; tombstones are none.
    #[must_use]
    pub fn committed(&self) -> Vec<Seq> {
        let state = self.state();
        state.rows.iter().filter(|(_, row)| row.event.is_some()).map(|(seq, _)| *seq).collect()
    }

    /// The seqs that were purged into the archive.
    #[must_use]
    pub fn archived(&self) -> Vec<Seq> {
        self.state().archived.clone()
    }

    /// Takes a committed event away, as nobody should.
    pub fn remove(&self, seq: Seq) -> bool {
        self.state().rows.remove(&seq).is_some()
    }

    /// How many statements of each kind there were.
    #[must_use]
    pub fn counts(&self) -> LogCounts {
        self.state().counts
    }

    /// Whether everything committed is settled: no hole, no hold, and the position is the last event.
    #[must_use]
    pub fn is_drained(&self, subscription: &str) -> bool {
        let state = self.state();
        let last = state.rows.last_key_value().map_or(0, |(seq, _)| *seq);
        state.subscriptions.get(subscription).is_some_and(|stored| {
            stored.progress.holes.is_empty() && stored.holds.is_empty() && stored.progress.position >= last
        })
    }

    /// How long ago an event was stored.
    #[must_use]
    pub fn age(&self, seq: Seq) -> Option<Duration> {
        self.state().rows.get(&seq).map(Row::age)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A test that panicked while it held the lock has failed already.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
