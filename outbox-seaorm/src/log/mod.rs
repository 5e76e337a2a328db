//! The log in a database: what the relay needs of the table of events, on PostgreSQL, MySQL, MariaDB and SQLite.
//!
//! An event is written once and never updated. A subscription's progress is one small row: the highest number that
//! was read (the position), the numbers below it that are not settled (the holes) and the id of the row at the
//! position (the anchor). Claiming rows by updating them was not chosen: it writes each event twice and drains a
//! fifth as fast. A cursor by transaction id was not chosen: it is wrong after a restore and misorders aggregates.
//!
//! | file | holds |
//! |---|---|
//! | `sql` | every statement, one file for each database |
//! | `session`, `idle_timeout` | the log's own connections and what is set in them |
//! | `patience` | how long the log waits for an answer |
//! | `check` | what a database must be before a relay runs on it |
//! | `start`, `lease`, `read`, `flush`, `holds`, `receipts` | the life of a subscription |
//! | `changes`, `captured`, `storable` | what goes along with a flush, in a form that every database takes |
//! | `survey` | how far a subscription is behind |
//! | `proof` | when a hole may be forgotten |
//! | `purge` | the end of an event |
//! | `rewind` | where a subscription goes on that is moved back |

mod captured;
mod changes;
mod check;
mod flush;
mod holds;
mod idle_timeout;
mod lease;
mod patience;
mod proof;
mod purge;
mod read;
mod receipts;
mod rewind;
mod rows;
mod session;
mod sql;
mod start;
mod storable;
mod survey;
mod trouble;

use std::{collections::BTreeSet, fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
pub use outbox_core::log::*;
use outbox_core::{
    message::{Message, Seq},
    progress::SeqRanges,
    publisher::Topics,
    wake::Signal,
};
use sea_orm::{DatabaseConnection, DbBackend, QueryResult, TryGetable};

use patience::Patience;
use session::{Limits, Sessions};
use sql::{ProofSql, Sql};

/// How long a hole is left alone on MySQL before it is filled: a writer that has drawn its number and not yet
/// inserted its row would have to draw again.
const TOMBSTONE_GRACE: Duration = Duration::from_secs(10);

/// What a log takes of its server unless told otherwise.
const LIMITS: Limits = Limits { connections: 10, patience: Patience::new(Duration::from_secs(10)) };

/// The log in the service's own database.
///
/// It reads through a few connections of its own, opened on first use with the settings of the given pool (host,
/// user, TLS), so that a busy pool does not hold up the relay. They must reach the server itself or a pooler in session mode:
/// a pooler that changes servers between transactions loses the session's settings. On SQLite the given pool is used.
///
/// Clones share the connections.
#[derive(Clone)]
pub struct SeaOrmLog {
    /// Or why there is none.
    inner: Result<Arc<Inner>, &'static str>,
    tombstone_grace: Duration,
    listens: bool,
}

/// What the parts of the log work with.
#[derive(Debug)]
struct Inner {
    backend: DbBackend,
    sql: Arc<Sql>,
    sessions: Sessions,
    /// The table of events, quoted.
    event_table: String,
}

impl SeaOrmLog {
    /// The log in the database of this connection. It is checked when the relay starts; a mock or a connection
    /// that was never made is refused then.
    #[must_use]
    pub fn new(db: DatabaseConnection) -> Self {
        let inner = session::backend_of(&db).and_then(|backend| {
            let sql =
                Sql::of(backend).ok_or("expected PostgreSQL, MySQL or SQLite, found another database")?;
            let event_table = quoted_event_table(backend);
            let (sql, sessions) = (Arc::new(sql), Sessions::of(db, LIMITS));
            Ok(Arc::new(Inner { backend, sql, sessions, event_table }))
        });
        Self { inner, tombstone_grace: TOMBSTONE_GRACE, listens: false }
    }

    /// How long a number without a row is left alone on MySQL and MariaDB before a tombstone takes its place.
    /// Default: 10 seconds. Too small, slow writers have to insert twice; too large, numbers of transactions that
    /// were rolled back are asked for that much longer.
    #[must_use]
    pub fn tombstone_grace(self, grace: Duration) -> Self {
        Self { tombstone_grace: grace, ..self }
    }

    /// How many connections the log opens at most. Default: 10. It opens them as it needs them: two for each subscription
    /// that is led (reading and renewing) and one for purging are what it can use at once, and with fewer these wait for
    /// each other. Too small, renewals wait for slow reads and leases are lost; too large, and a process with many
    /// subscriptions takes many of the server's. On SQLite the given pool is used and this has no effect.
    ///
    /// Clones made before keep connections of their own.
    #[must_use]
    pub fn max_connections(self, connections: u32) -> Self {
        self.limit(|limits| limits.connections = connections.max(1))
    }

    /// How long a call waits for the database before its connection is given up and the database counts as away.
    /// Default: 10 seconds; six times as long to purge a chunk or to fill holes, sixty times for the pass over the log
    /// with which a subscription may begin. Too small, a slow read never ends; too large, a network that swallows
    /// everything stops a relay for that long. On PostgreSQL the server ends such a statement too. No effect on SQLite.
    ///
    /// Clones made before keep connections of their own.
    #[must_use]
    pub fn statement_timeout(self, timeout: Duration) -> Self {
        self.limit(|limits| limits.patience = Patience::new(timeout.max(Duration::from_millis(10))))
    }

    fn limit(self, change: impl FnOnce(&mut Limits)) -> Self {
        let inner = self.inner.map(|inner| {
            let mut limits = inner.sessions.limits();
            change(&mut limits);
            Arc::new(Inner {
                backend: inner.backend,
                sql: Arc::clone(&inner.sql),
                sessions: Sessions::of(inner.sessions.users().clone(), limits),
                event_table: inner.event_table.clone(),
            })
        });
        Self { inner, ..self }
    }

    /// Lets a relay on this log listen for what other processes store, if these have a
    /// [`Notifier`](crate::wake::Notifier): PostgreSQL's `LISTEN`, on one connection more. Default: it only polls, which
    /// it goes on doing in any case; see [`wake`](crate::wake). It does nothing on other databases, so that a service
    /// can run its tests on SQLite with the code it has in production.
    #[must_use]
    pub fn listen(self) -> Self {
        Self { listens: true, ..self }
    }

    /// The log's own connections, with its session settings.
    ///
    /// # Errors
    /// Where the database is away or is none.
    #[doc(hidden)]
    pub async fn connection(&self) -> Result<&DatabaseConnection, LogError> {
        self.inner()?.sessions.pool().await
    }

    /// How long ago the oldest event was stored that is neither settled nor on hold, asked on a connection of the caller's.
    pub(crate) async fn oldest_pending(
        &self,
        connection: &DatabaseConnection,
        position: Seq,
        holes: &SeqRanges,
        topics: &Topics,
    ) -> Result<Option<Duration>, LogError> {
        survey::oldest_pending(self.inner()?, connection, position, holes, topics).await
    }

    fn inner(&self) -> Result<&Inner, LogError> {
        match &self.inner {
            Ok(inner) => Ok(inner),
            Err(reason) => Err(LogError::Refused((*reason).to_owned())),
        }
    }
}

impl fmt::Debug for SeaOrmLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let database = self.inner.as_ref().map(|inner| inner.backend);
        f.debug_struct("SeaOrmLog").field("database", &database).finish_non_exhaustive()
    }
}

impl Inner {
    /// Runs a call of a few round trips within its bound. One that is given up at the bound may have done its work:
    /// whoever asked for it gets an error, as of any answer that is lost.
    async fn shortly<T>(&self, call: impl Future<Output = Result<T, LogError>>) -> Result<T, LogError> {
        self.sessions.within(self.sessions.limits().patience.short(), call).await
    }

    /// Whether numbers can appear below others that were seen before them.
    fn has_holes(&self) -> bool {
        !matches!(self.sql.proof, ProofSql::SingleWriter { .. })
    }
}

#[async_trait]
impl EventLog for SeaOrmLog {
    async fn check(&self) -> Result<(), LogError> {
        check::check(self.inner()?).await
    }

    async fn register(&self, subscription: &SubscriptionName, start: StartPoint) -> Result<(), LogError> {
        let log = self.inner()?;
        let bound = log.sessions.limits().patience.longest();
        log.sessions.within(bound, start::register(log, subscription, start)).await
    }

    async fn acquire(
        &self,
        subscription: &SubscriptionName,
        owner: Owner,
        lease: Duration,
    ) -> Result<Acquired, LogError> {
        let log = self.inner()?;
        log.shortly(lease::acquire(log, subscription, owner, lease)).await
    }

    async fn renew(
        &self,
        subscription: &SubscriptionName,
        owner: Owner,
        lease: Duration,
    ) -> Result<Option<i64>, LogError> {
        lease::renew(self.inner()?, subscription, owner, lease).await
    }

    async fn release(&self, subscription: &SubscriptionName, owner: Owner) -> Result<(), LogError> {
        lease::release(self.inner()?, subscription, owner).await
    }

    async fn report(
        &self,
        subscription: &SubscriptionName,
        owner: Owner,
        state: SubscriptionState,
        error: Option<&str>,
    ) -> Result<(), LogError> {
        lease::report(self.inner()?, subscription, owner, state, error).await
    }

    async fn describe(
        &self,
        subscription: &SubscriptionName,
        owner: Owner,
        description: &Description,
    ) -> Result<(), LogError> {
        lease::describe(self.inner()?, subscription, owner, description).await
    }

    async fn read(&self, request: ReadRequest<'_>) -> Result<Page, LogError> {
        let log = self.inner()?;
        log.shortly(read::read(log, request)).await
    }

    async fn flush(
        &self,
        subscription: &SubscriptionName,
        owner: Owner,
        flush: &Flush,
    ) -> Result<Flushed, LogError> {
        let log = self.inner()?;
        log.shortly(flush::flush(log, subscription, owner, flush)).await
    }

    async fn due(
        &self,
        subscription: &SubscriptionName,
        source: &Arc<str>,
        limit: usize,
    ) -> Result<Vec<(Hold, Message)>, LogError> {
        holds::due(self.inner()?, subscription, source, limit).await
    }

    async fn stopped(&self, subscription: &SubscriptionName) -> Result<Vec<Stopped>, LogError> {
        holds::stopped(self.inner()?, subscription).await
    }

    async fn blocked(
        &self,
        subscription: &SubscriptionName,
        source: &Arc<str>,
        aggregates: &[OrderKey],
        each: usize,
    ) -> Result<Vec<(Hold, Message)>, LogError> {
        holds::blocked(self.inner()?, subscription, source, aggregates, each).await
    }

    async fn resend_unacknowledged(
        &self,
        subscription: &SubscriptionName,
        ack_within: Duration,
        limit: usize,
    ) -> Result<u64, LogError> {
        let log = self.inner()?;
        log.shortly(receipts::resend_unacknowledged(log, subscription, ack_within, limit)).await
    }

    async fn survey(&self, subscription: &SubscriptionName, topics: &Topics) -> Result<Survey, LogError> {
        let log = self.inner()?;
        log.shortly(survey::survey(log, subscription, topics)).await
    }

    async fn next_due(&self, subscription: &SubscriptionName) -> Result<Option<Duration>, LogError> {
        holds::next_due(self.inner()?, subscription).await
    }

    fn hole_proof(&self) -> HoleProof {
        match self.inner.as_ref().map(|inner| &inner.sql.proof) {
            Ok(ProofSql::WriterList { .. }) => HoleProof::WriterList,
            Ok(ProofSql::Tombstones { .. }) => HoleProof::Tombstones { grace: self.tombstone_grace },
            // Without a database nothing else gets as far as a hole.
            Ok(ProofSql::SingleWriter { .. }) | Err(_) => HoleProof::SingleWriter,
        }
    }

    fn connections(&self) -> u64 {
        self.inner.as_ref().map_or(0, |inner| inner.sessions.made())
    }

    async fn barrier(&self) -> Result<Barrier, LogError> {
        proof::barrier(self.inner()?).await
    }

    async fn writers(&self) -> Result<BTreeSet<String>, LogError> {
        proof::writers(self.inner()?).await
    }

    async fn fill(&self, holes: &SeqRanges) -> Result<SeqRanges, LogError> {
        let log = self.inner()?;
        log.sessions.within(log.sessions.limits().patience.long(), proof::fill(log, holes)).await
    }

    async fn watch(&self, news: &Signal) {
        #[cfg(feature = "sqlx-postgres")]
        if let Ok(inner) = self.inner()
            && self.listens
            && inner.backend == DbBackend::Postgres
        {
            crate::wake::listen(inner.sessions.users(), news).await;
        }
        #[cfg(not(feature = "sqlx-postgres"))]
        let _ = (news, self.listens);
    }

    async fn purge(&self, request: PurgeRequest) -> Result<Purged, LogError> {
        let log = self.inner()?;
        log.sessions.within(log.sessions.limits().patience.long(), purge::purge(log, request)).await
    }
}

/// The table of events, as a statement names it.
pub(crate) fn quoted_event_table(backend: DbBackend) -> String {
    sql::quoted(backend, crate::tables::TableNames::current().event)
}

/// A column by its place in the statement.
fn column<T: TryGetable>(row: &QueryResult, index: usize) -> Result<T, LogError> {
    row.try_get_by_index(index).map_err(LogError::database)
}

/// A number of rows as the databases take it.
fn amount(rows: usize) -> i64 {
    i64::try_from(rows).unwrap_or(i64::MAX)
}

/// A duration as the databases take it.
fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}
