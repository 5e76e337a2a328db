//! What the cases need of an adapter's tests.

use std::{collections::BTreeMap, time::Duration};

use async_trait::async_trait;
use uuid::Uuid;

use super::LogCapabilities;
use crate::{
    event::NewEvent,
    log::{Description, EventLog, SubscriptionName, SubscriptionState},
    message::Seq,
};

/// One log that is fresh: it has never held an event or a subscription. What has a default is called only where the
/// capability of that name says that it can be done.
#[async_trait]
pub trait LogFixture: Send + Sync {
    /// The log under test.
    type Log: EventLog;
    /// A transaction of a service that stores events.
    type Writer: LogWriter;

    /// What this log and this fixture can do.
    fn capabilities(&self) -> LogCapabilities;

    /// The log, as another process has it: with connections of its own, each time it is asked for.
    async fn log(&self) -> Self::Log;

    /// Begins a transaction.
    async fn begin(&self) -> Self::Writer;

    /// Stores an event in a transaction of its own.
    async fn append(&self, event: NewEvent) -> Seq {
        let mut writer = self.begin().await;
        let seq = writer.append(event).await;
        writer.commit().await;
        seq
    }

    /// Lets time pass by the database's clock: leases run, held events become due, events grow older. What cannot move
    /// the clock moves every stored time back instead. [`LogCapabilities::moves_time`]
    async fn pass(&self, time: Duration) {
        panic!("expected a fixture that lets {time:?} pass, as its capabilities say");
    }

    /// Takes one committed event away, as nobody should. [`LogCapabilities::loses_events`]
    async fn remove(&self, seq: Seq) {
        panic!("expected a fixture that removes event {seq}, as its capabilities say");
    }

    /// The database becomes one that was behind: the events from `first` on never were, and `first` is the next number
    /// that is given out. Subscriptions stay as they are. [`LogCapabilities::loses_events`]
    async fn lose_from(&self, first: Seq) {
        panic!("expected a fixture that loses the events from {first} on, as its capabilities say");
    }

    /// What an operator or a consumer does, in a transaction of its own.
    async fn operate(&self, subscription: &SubscriptionName, operation: Operation) {
        panic!("expected a fixture that does {operation:?} to {subscription}, as its capabilities say");
    }

    /// What is stored of a subscription. [`LogCapabilities::shows_what_is_stored`]
    async fn stored(&self, subscription: &SubscriptionName) -> StoredView {
        panic!("expected a fixture that shows what is stored of {subscription}, as its capabilities say");
    }

    /// The numbers of the events in the archive, ascending. [`LogCapabilities::archives`]
    async fn archived(&self) -> Vec<Seq> {
        panic!("expected a fixture that shows the archive, as its capabilities say");
    }
}

/// A transaction of a service that stores events as capture does.
#[async_trait]
pub trait LogWriter: Send + Sized {
    /// Draws a number and stores the event under it.
    async fn append(&mut self, event: NewEvent) -> Seq;

    /// Commits.
    async fn commit(self);

    /// Rolls back.
    async fn rollback(self);
}

/// What an operator or a consumer does to a subscription.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Operation {
    /// Pauses it. [`LogCapabilities::pauses`]
    Pause,
    /// Ends the pause. [`LogCapabilities::pauses`]
    Resume,
    /// Lets a dead event be tried again. [`LogCapabilities::requeues`]
    Requeue(Seq),
    /// Gives a held event up. [`LogCapabilities::requeues`]
    Discard(Seq),
    /// Asks for these events once more, where they are settled. [`LogCapabilities::replays`]
    Replay {
        /// The events, ascending.
        seqs: Vec<Seq>,
        /// Set where consumers are to process them again.
        replay: Option<Uuid>,
    },
    /// A consumer acknowledges an event. [`LogCapabilities::acknowledges`]
    Acknowledge(Seq),
    /// Drops the subscription with all that is its own. [`LogCapabilities::drops`]
    Drop,
}

/// What is stored of a subscription that no method of the log gives back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredView {
    /// Its state.
    pub state: SubscriptionState,
    /// What went wrong, as its leader said.
    pub last_error: Option<String>,
    /// What its leader told of it; `None` where none ever did.
    pub description: Option<Description>,
    /// Its receipts.
    pub receipts: BTreeMap<Seq, ReceiptView>,
}

/// A receipt as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceiptView {
    /// The id that the broker gave the message.
    pub broker_id: Option<String>,
    /// Whether an acknowledgement is still awaited.
    pub is_awaited: bool,
}
