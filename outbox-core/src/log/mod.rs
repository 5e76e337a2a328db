//! The seam to the database: what the relay needs from the table of events and the row that holds
//! a subscription's progress. `outbox-seaorm` implements it on three databases.

mod description;
mod error;
mod flush;
mod hold;
mod lease;
mod page;
mod proof;
mod purge;
mod receipt;
mod survey;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;

pub use description::{Description, Ordering};
pub use error::LogError;
pub use flush::{Flush, Flushed};
pub use hold::{Due, Hold, HoldChange, HoldState, OrderKey, Stopped};
pub use lease::{
    Acquired, MAX_SUBSCRIPTION_NAME_LEN, Owner, StartPoint, StoredProgress, SubscriptionName,
    SubscriptionNameError, SubscriptionState,
};
pub use page::{Page, ReadRequest, Row, RowKind};
pub use proof::{Barrier, HoleProof};
pub use purge::{AfterRetention, PurgeRequest, Purged};
pub use receipt::Receipt;
pub use survey::{HoldCounts, Survey};

use crate::{message::Message, progress::SeqRanges, publisher::Topics, wake::Signal};

/// An append-only log of events with one progress row per subscription.
///
/// Every method is one short statement or transaction on a connection of the log's own; none is
/// held over a call to a broker.
#[async_trait]
pub trait EventLog: Send + Sync + 'static {
    /// Checks, before anything else, that this database and these tables are fit for the protocol.
    ///
    /// # Errors
    /// [`LogError::Refused`] with what was expected, what was found and what to do.
    async fn check(&self) -> Result<(), LogError>;

    /// Creates the subscription's row at `start` if it has none. The only place where such rows are made.
    ///
    /// # Errors
    /// Where the database is away.
    async fn register(&self, subscription: &SubscriptionName, start: StartPoint) -> Result<(), LogError>;

    /// Takes the lease if it is free or has expired (by the database's clock), with a token of this
    /// acquisition's own, and loads the stored progress in the same transaction.
    ///
    /// # Errors
    /// [`LogError::SubscriptionGone`] where the row has vanished, [`LogError::AnchorGone`] where the stored
    /// anchor is not in the log, [`LogError::Refused`] where the position lies beyond the log's sequence.
    async fn acquire(
        &self,
        subscription: &SubscriptionName,
        owner: Owner,
        lease: Duration,
    ) -> Result<Acquired, LogError>;

    /// Prolongs the lease and gives the count of [interventions](StoredProgress::interventions); `None` where `owner`
    /// does not hold the lease any more. A paused subscription's leader keeps it until it has ended in good order.
    ///
    /// # Errors
    /// Where the database is away.
    async fn renew(
        &self,
        subscription: &SubscriptionName,
        owner: Owner,
        lease: Duration,
    ) -> Result<Option<i64>, LogError>;

    /// Gives the lease up, so that another relay takes over at once. Does nothing if it is not `owner`'s.
    ///
    /// # Errors
    /// Where the database is away: the lease then ends by itself.
    async fn release(&self, subscription: &SubscriptionName, owner: Owner) -> Result<(), LogError>;

    /// Stores that the subscription runs, is paused or waits for its broker, for other processes to see.
    /// Does nothing if the lease is not `owner`'s.
    ///
    /// # Errors
    /// Where the database is away.
    async fn report(
        &self,
        subscription: &SubscriptionName,
        owner: Owner,
        state: SubscriptionState,
        error: Option<&str>,
    ) -> Result<(), LogError>;

    /// Stores what a leader tells of its subscription. Does nothing if the lease is not `owner`'s.
    ///
    /// # Errors
    /// Where the database is away.
    async fn describe(
        &self,
        subscription: &SubscriptionName,
        owner: Owner,
        description: &Description,
    ) -> Result<(), LogError>;

    /// Reads, as one statement with one snapshot, the row at the position, the rows at the unseen holes
    /// and the rows after the position: one union ordered by seq with one limit.
    ///
    /// # Errors
    /// Where the database is away.
    async fn read(&self, request: ReadRequest<'_>) -> Result<Page, LogError>;

    /// Stores progress, holds, receipts and events of the relay's own in one transaction, fenced by the owner token, the flush number and the anchor.
    ///
    /// # Errors
    /// Where the database is away. The flush may then have been stored or not: reload before going on. Another
    /// session's lock before the commit is no error but [`Flushed::Busy`].
    async fn flush(
        &self,
        subscription: &SubscriptionName,
        owner: Owner,
        flush: &Flush,
    ) -> Result<Flushed, LogError>;

    /// The held events whose time has come, by the database's clock, in order of seq.
    ///
    /// # Errors
    /// Where the database is away.
    async fn due(
        &self,
        subscription: &SubscriptionName,
        source: &Arc<str>,
        limit: usize,
    ) -> Result<Vec<(Hold, Message)>, LogError>;

    /// The ordering keys that have events on hold, with what these are. Asked once in a term.
    ///
    /// # Errors
    /// Where the database is away.
    async fn stopped(&self, subscription: &SubscriptionName) -> Result<Vec<Stopped>, LogError>;

    /// The first blocked events of each of these ordering keys, at most `each` of one, in order of seq. With fewer
    /// than `each` of a key there are no more of it.
    ///
    /// # Errors
    /// Where the database is away.
    async fn blocked(
        &self,
        subscription: &SubscriptionName,
        source: &Arc<str>,
        aggregates: &[OrderKey],
        each: usize,
    ) -> Result<Vec<(Hold, Message)>, LogError>;

    /// Puts events on hold, due now and outside of every order, whose acknowledgement is overdue by the database's
    /// clock, and gives their consumers so much time again. Says how many. One that is on hold already is left alone.
    ///
    /// # Errors
    /// Where the database is away.
    async fn resend_unacknowledged(
        &self,
        subscription: &SubscriptionName,
        ack_within: Duration,
        limit: usize,
    ) -> Result<u64, LogError>;

    /// Where a subscription stands, without counting the log: for gauges and for the status.
    ///
    /// # Errors
    /// Where the database is away; [`LogError::SubscriptionGone`].
    async fn survey(&self, subscription: &SubscriptionName, topics: &Topics) -> Result<Survey, LogError>;

    /// How long until the next held event is due; `None` where none is scheduled.
    ///
    /// # Errors
    /// Where the database is away.
    async fn next_due(&self, subscription: &SubscriptionName) -> Result<Option<Duration>, LogError>;

    /// By which proof this database lets a hole be forgotten.
    fn hole_proof(&self) -> HoleProof;

    /// How many connections to the database were made so far. Only for [`HoleProof::WriterList`].
    ///
    /// A connection that was made anew may lead to a database that has restarted and gives out numbers a second
    /// time. A proof that was under way then speaks of another world: the relay drops it when this number has
    /// changed. A pool that replaces a broken connection without an error must count it here.
    fn connections(&self) -> u64;

    /// Reads the last number given out and, after that, the transactions that may still be writing.
    /// Only for [`HoleProof::WriterList`].
    ///
    /// # Errors
    /// Where the database is away.
    async fn barrier(&self) -> Result<Barrier, LogError>;

    /// The transactions that may be writing now, named as in [`Barrier::writers`].
    /// Only for [`HoleProof::WriterList`].
    ///
    /// # Errors
    /// Where the database is away.
    async fn writers(&self) -> Result<std::collections::BTreeSet<String>, LogError>;

    /// Fills holes with tombstones and gives back those that went in: nobody ever will write there.
    /// Only for [`HoleProof::Tombstones`].
    ///
    /// # Errors
    /// Where the database is away. A hole that is locked by a writer is no error: it is not in the answer.
    async fn fill(&self, holes: &SeqRanges) -> Result<SeqRanges, LogError>;

    /// Sends `news` whenever another process may have stored an event, and where such a word may have been missed:
    /// relays then read before their poll interval ends. It saves latency and is never relied on, so that a log that
    /// hears of nothing is a complete one: this method then returns at once, as it does unless it is implemented.
    ///
    /// A relay calls it once, in a task of its own. An outage is this method's own to wait for.
    ///
    /// # Cancel safety
    /// It is dropped when the relay stops.
    async fn watch(&self, news: &Signal) {
        let _ = news;
    }

    /// Removes or archives one chunk of a prefix of the log that every subscription is done with.
    ///
    /// # Errors
    /// Where the database is away; nothing is then removed.
    async fn purge(&self, request: PurgeRequest) -> Result<Purged, LogError>;
}
