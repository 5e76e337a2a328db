//! Where every statement of a transaction passes, and which closes when the transaction ends.

use std::sync::{
    Arc, PoisonError,
    atomic::{AtomicBool, AtomicU32, Ordering},
};

use sea_orm::{
    ConnectionTrait as _, DatabaseTransaction, DbBackend, DbErr, TransactionOptions, TransactionTrait as _,
};
use tokio::sync::{Mutex, MutexGuard};

use super::conflict::Conflict;

/// Which handle of a transaction: the transaction itself or one of its savepoints.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Level(u32);

impl Level {
    pub(super) const ROOT: Self = Self(0);
}

/// Who may end the transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum EndedBy {
    /// Whoever holds a handle.
    Anyone,
    /// The inbox that lent it to a handler.
    Inbox,
}

/// One database transaction with its savepoints.
///
/// SeaORM panics where a transaction is dropped while a statement of one of its savepoints is under way.
/// Here handles are taken from the list only by who holds the lock that every statement holds.
pub(super) struct Gate {
    /// The open levels in the order in which they were begun; empty once the transaction is over.
    open: Mutex<Vec<(Level, DatabaseTransaction)>>,
    /// Savepoints that were dropped while a statement was under way; rolled back by who enters next.
    abandoned: std::sync::Mutex<Vec<Level>>,
    /// The transaction was given up while a statement was under way; whoever leaves ends it.
    revoked: AtomicBool,
    /// A statement failed, or was not waited for: the database may have aborted the transaction. PostgreSQL then
    /// answers a `COMMIT` with a rollback and no error.
    doubtful: AtomicBool,
    /// A statement was not waited for, so that nobody read its outcome.
    unread: AtomicBool,
    next_level: AtomicU32,
    pub(super) end: EndedBy,
    pub(super) backend: DbBackend,
    pub(super) support_returning: bool,
    pub(super) is_mock: bool,
}

impl Gate {
    pub(super) fn new(txn: DatabaseTransaction, end: EndedBy) -> Arc<Self> {
        Arc::new(Self {
            backend: txn.get_database_backend(),
            support_returning: txn.support_returning(),
            is_mock: txn.is_mock_connection(),
            open: Mutex::new(vec![(Level::ROOT, txn)]),
            abandoned: std::sync::Mutex::default(),
            revoked: AtomicBool::new(false),
            doubtful: AtomicBool::new(false),
            unread: AtomicBool::new(false),
            next_level: AtomicU32::new(1),
            end,
        })
    }

    /// Waits until no other statement of this transaction is under way.
    pub(super) async fn enter(&self) -> Entered<'_> {
        let mut open = self.open.lock().await;
        self.settle(&mut open);
        Entered { gate: self, open: Some(open), was_doubtful: false }
    }

    /// The same without waiting: `None` while a statement is under way.
    pub(super) fn try_enter(&self) -> Option<Entered<'_>> {
        let mut open = self.open.try_lock().ok()?;
        self.settle(&mut open);
        Some(Entered { gate: self, open: Some(open), was_doubtful: false })
    }

    /// Rolls a savepoint back whose last handle is gone.
    pub(super) fn abandon(&self, level: Level) {
        if level == Level::ROOT {
            return;
        }
        self.abandoned.lock().unwrap_or_else(PoisonError::into_inner).push(level);
        self.settle_if_idle();
    }

    /// Rolls everything back: at once, or when the statement that is under way ends.
    pub(super) fn revoke(&self) {
        self.revoked.store(true, Ordering::SeqCst);
        self.settle_if_idle();
    }

    /// Whether the database may have aborted the transaction.
    pub(super) fn is_doubtful(&self) -> bool {
        self.doubtful.load(Ordering::SeqCst)
    }

    fn settle_if_idle(&self) {
        if let Ok(mut open) = self.open.try_lock() {
            self.settle(&mut open);
        }
    }

    /// Drops what has no owner any more; a dropped level is rolled back. Savepoints nest, so one that has others
    /// inside waits for them: SeaORM would roll back the innermost in its place.
    fn settle(&self, open: &mut Vec<(Level, DatabaseTransaction)>) {
        if self.revoked.load(Ordering::SeqCst) {
            open.clear();
        }
        let mut abandoned = self.abandoned.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(index) =
            open.last().and_then(|(level, _)| abandoned.iter().position(|gone| gone == level))
        {
            abandoned.swap_remove(index);
            open.pop();
        }
        abandoned.retain(|gone| open.iter().any(|(level, _)| level == gone));
    }
}

/// The right to run a statement.
pub(super) struct Entered<'g> {
    gate: &'g Gate,
    /// `None` only while it is being dropped.
    open: Option<MutexGuard<'g, Vec<(Level, DatabaseTransaction)>>>,
    was_doubtful: bool,
}

impl Entered<'_> {
    fn open(&mut self) -> &mut Vec<(Level, DatabaseTransaction)> {
        self.open.as_mut().expect("taken only when dropped")
    }

    /// Where a statement runs; its outcome goes through [`checked`](Self::checked). All levels share one
    /// connection, so it runs in the innermost whichever handle it was given to.
    pub(super) fn innermost(&mut self) -> Result<&DatabaseTransaction, DbErr> {
        // MySQL and MariaDB may have ended the transaction with that statement, and do not say so to the next.
        if self.gate.backend == DbBackend::MySql && self.gate.unread.load(Ordering::SeqCst) {
            self.open().clear();
        }
        let open = self.open.as_ref().expect("taken only when dropped");
        let (_, txn) = open.last().ok_or_else(over)?;
        // Stays set where the statement fails or its future is dropped.
        self.was_doubtful = self.gate.doubtful.swap(true, Ordering::SeqCst);
        self.gate.unread.store(true, Ordering::SeqCst);
        Ok(txn)
    }

    /// Notes what a statement's outcome says of the transaction.
    pub(super) fn checked<T>(&mut self, outcome: Result<T, DbErr>) -> Result<T, DbErr> {
        self.gate.unread.store(false, Ordering::SeqCst);
        match &outcome {
            Ok(_) => self.gate.doubtful.store(self.was_doubtful, Ordering::SeqCst),
            // The next statement would be a transaction of its own.
            Err(error) if Conflict::of(error) == Some(Conflict::RolledBack) => self.open().clear(),
            Err(_) => {}
        }
        outcome
    }

    /// Begins a savepoint. Where that fails or is given up, SeaORM rolls back what is around it: the transaction is
    /// over then, or the next statement would run outside of any.
    pub(super) async fn begin(&mut self, options: TransactionOptions) -> Result<Level, DbErr> {
        let savepoint = Beginning { entered: self, stands: false }.savepoint(options).await?;
        let level = Level(self.gate.next_level.fetch_add(1, Ordering::Relaxed));
        self.open().push((level, savepoint));
        Ok(level)
    }

    /// Takes a level out, to commit it or to roll it back. Only the innermost can be: SeaORM ends savepoints by
    /// depth, so that another than the one asked for would be ended.
    pub(super) async fn take(&mut self, level: Level) -> Result<DatabaseTransaction, DbErr> {
        let innermost = self.open().pop_if(|(found, _)| *found == level);
        if let Some((_, txn)) = innermost {
            return Ok(txn);
        }
        if !self.open().iter().any(|(found, _)| *found == level) {
            return Err(over());
        }
        self.rollback_all().await?;
        Err(DbErr::Custom(
            "savepoints of one transaction were not ended in the reverse order of their beginning (two at once \
             through clones of a `Tx`?): all is rolled back; await one before the next"
                .to_owned(),
        ))
    }

    /// Whether savepoints are open.
    pub(super) fn has_savepoints(&self) -> bool {
        self.open.as_ref().is_some_and(|open| open.len() > 1)
    }

    /// Rolls all levels back, the innermost first. All are ended whatever the database says.
    pub(super) async fn rollback_all(&mut self) -> Result<(), DbErr> {
        let mut outcome = Ok(());
        while let Some((_, txn)) = self.open().pop() {
            outcome = outcome.and(txn.rollback().await);
        }
        outcome
    }
}

/// A savepoint that is being begun.
struct Beginning<'e, 'g> {
    entered: &'e mut Entered<'g>,
    stands: bool,
}

impl Beginning<'_, '_> {
    async fn savepoint(mut self, options: TransactionOptions) -> Result<DatabaseTransaction, DbErr> {
        let savepoint = self.entered.innermost()?.begin_with_options(options).await?;
        self.stands = true;
        self.entered.checked(Ok(savepoint))
    }
}

impl Drop for Beginning<'_, '_> {
    fn drop(&mut self) {
        if !self.stands {
            self.entered.open().clear();
        }
    }
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        drop(self.open.take());
        // What was given up while this statement ran found the gate locked.
        self.gate.settle_if_idle();
    }
}

fn over() -> DbErr {
    DbErr::Custom(
        "the transaction is over: it was used after its end, after the database had rolled it back, or, on MySQL \
         and MariaDB, after a statement that was not waited for"
            .to_owned(),
    )
}
