//! What the database in memory holds.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use chrono::{DateTime, TimeDelta, Utc};
use tokio::time::Instant;

use crate::{
    event::NewEvent,
    log::{Description, Hold, LogError, Owner, Receipt, StoredProgress, SubscriptionName, SubscriptionState},
    message::Seq,
};

/// How many statements of each kind there were.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LogCounts {
    /// Attempts to acquire a lease.
    pub acquires: u64,
    /// Renewals of a lease.
    pub renewals: u64,
    /// Pages read.
    pub reads: u64,
    /// Flushes, stored or fenced.
    pub flushes: u64,
    /// Reports of a state.
    pub reports: u64,
    /// Barriers and lists of writers.
    pub proofs: u64,
    /// Fills of holes.
    pub fills: u64,
    /// Questions for due events.
    pub due: u64,
    /// Questions for blocked events, and for what is stopped.
    pub blocked: u64,
    /// Surveys.
    pub surveys: u64,
    /// Descriptions stored.
    pub descriptions: u64,
}

/// What is stored of a subscription.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredSubscription {
    /// How far it is.
    pub progress: StoredProgress,
    /// Who leads.
    pub owner: Option<Owner>,
    /// Until when.
    pub lease_until: Instant,
    /// What its leader says of it.
    pub state: SubscriptionState,
    /// What its leader says went wrong.
    pub last_error: Option<String>,
    /// Its held events.
    pub holds: BTreeMap<Seq, Hold>,
    /// Its receipts, and whether each was acknowledged.
    pub receipts: BTreeMap<Seq, StoredReceipt>,
    /// What its leader tells of it.
    pub description: Option<Description>,
}

/// A receipt as stored.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredReceipt {
    /// What the leader stored.
    pub receipt: Receipt,
    /// Until when its acknowledgement is awaited; `None` where it is not, or has come.
    pub ack_due: Option<DateTime<Utc>>,
    /// Whether a consumer has acknowledged it, which stays so when it is published once more.
    pub is_acknowledged: bool,
}

/// All that was committed at some time.
#[derive(Debug, Clone)]
pub struct TimeTravel {
    rows: BTreeMap<Seq, Row>,
    last: Seq,
    subscriptions: HashMap<String, StoredSubscription>,
}

/// A row of the log; without an event it is a tombstone.
#[derive(Debug, Clone)]
pub(super) struct Row {
    pub(super) id: uuid::Uuid,
    pub(super) event: Option<NewEvent>,
    pub(super) created: Instant,
}

impl Row {
    pub(super) fn new(event: NewEvent) -> Self {
        Self { id: event.id, event: Some(event), created: Instant::now() }
    }

    pub(super) fn tombstone() -> Self {
        Self { id: uuid::Uuid::now_v7(), event: None, created: Instant::now() }
    }

    pub(super) fn age(&self) -> Duration {
        Instant::now().duration_since(self.created)
    }
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) rows: BTreeMap<Seq, Row>,
    /// The last number that was given out.
    pub(super) last: Seq,
    /// The last number that survives a crash: what was drawn before the last commit.
    durable_last: Seq,
    /// Open transactions and the rows that only they see.
    pub(super) open: BTreeMap<u64, Vec<(Seq, Row)>>,
    last_transaction: u64,
    pub(super) subscriptions: HashMap<String, StoredSubscription>,
    pub(super) floor: Seq,
    pub(super) archived: Vec<Seq>,
    pub(super) away: bool,
    pub(super) errors_left: usize,
    pub(super) flush_answers_to_lose: usize,
    pub(super) busy_flushes: usize,
    pub(super) hung_renewals: usize,
    pub(super) counts: LogCounts,
    pub(super) connections: u64,
    began: (Instant, DateTime<Utc>),
}

impl State {
    pub(super) fn new() -> Self {
        Self {
            rows: BTreeMap::new(),
            last: 0,
            durable_last: 0,
            open: BTreeMap::new(),
            last_transaction: 0,
            subscriptions: HashMap::new(),
            floor: 0,
            archived: Vec::new(),
            away: false,
            errors_left: 0,
            flush_answers_to_lose: 0,
            busy_flushes: 0,
            hung_renewals: 0,
            counts: LogCounts::default(),
            connections: 1,
            began: (Instant::now(), Utc::now()),
        }
    }

    /// The database's clock, which moves as tokio's does.
    pub(super) fn now(&self) -> DateTime<Utc> {
        self.time_of(Instant::now())
    }

    pub(super) fn time_of(&self, instant: Instant) -> DateTime<Utc> {
        let (began, at) = self.began;
        at + TimeDelta::from_std(instant.duration_since(began)).unwrap_or(TimeDelta::MAX)
    }

    pub(super) fn begin(&mut self) -> u64 {
        self.last_transaction += 1;
        self.open.insert(self.last_transaction, Vec::new());
        self.last_transaction
    }

    pub(super) fn draw(&mut self) -> Seq {
        self.last += 1;
        self.last
    }

    pub(super) fn commit(&mut self, transaction: u64) -> bool {
        let Some(rows) = self.open.remove(&transaction) else { return false };
        self.rows.extend(rows);
        self.committed();
        true
    }

    /// A commit makes everything before it durable, numbers included.
    pub(super) fn committed(&mut self) {
        self.durable_last = self.last;
    }

    pub(super) fn roll_back(&mut self, transaction: u64, reissues: bool) {
        let rows = self.open.remove(&transaction);
        if let Some((first, _)) = rows.as_ref().and_then(|rows| rows.first()).filter(|_| reissues) {
            self.last = first - 1;
        }
    }

    pub(super) fn crash(&mut self) {
        self.open.clear();
        self.last = self.durable_last;
        self.connections += 1;
    }

    pub(super) fn remember(&self) -> TimeTravel {
        TimeTravel {
            rows: self.rows.clone(),
            last: self.durable_last,
            subscriptions: self.subscriptions.clone(),
        }
    }

    pub(super) fn go_back(&mut self, to: &TimeTravel) {
        self.subscriptions.clone_from(&to.subscriptions);
        self.go_back_with_events_only(to);
    }

    pub(super) fn go_back_with_events_only(&mut self, to: &TimeTravel) {
        self.open.clear();
        self.connections += 1;
        self.rows.clone_from(&to.rows);
        (self.last, self.durable_last) = (to.last, to.last);
    }

    pub(super) fn lose_from(&mut self, first: Seq) {
        self.open.clear();
        self.connections += 1;
        self.rows.split_off(&first);
        (self.last, self.durable_last) = (first - 1, first - 1);
    }

    pub(super) fn subscription_mut(&mut self, name: &str) -> Option<&mut StoredSubscription> {
        self.subscriptions.get_mut(name)
    }

    pub(super) fn stored(&mut self, name: &SubscriptionName) -> Result<&mut StoredSubscription, LogError> {
        self.subscriptions.get_mut(name.as_str()).ok_or_else(|| LogError::SubscriptionGone(name.clone()))
    }

    /// The row of a subscription, if it is there and `owner` is the one whose lease it has.
    pub(super) fn led_by(
        &mut self,
        name: &SubscriptionName,
        owner: Owner,
    ) -> Option<&mut StoredSubscription> {
        self.subscription_mut(name.as_str()).filter(|stored| stored.owner == Some(owner))
    }

    /// Every statement goes through here.
    pub(super) fn answer(&mut self) -> Result<(), LogError> {
        if self.away {
            return Err(LogError::database("the database is away on purpose"));
        }
        if let Some(left) = self.errors_left.checked_sub(1) {
            self.errors_left = left;
            return Err(LogError::database("a statement that fails on purpose"));
        }
        Ok(())
    }
}
