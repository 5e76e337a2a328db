//! The transaction that a consumer's handler writes in.
//!
//! A handler takes it by value: `async fn h(event: Delivery<E>, txn: Tx)`, because a borrowed
//! `&DatabaseTransaction` cannot be given to a closure with captured state. So there are clones, and the
//! inbox must be able to end the transaction although a clone is still around: every statement passes
//! through one gate, and ending closes the gate. A savepoint is a `Tx` too: one that is still open at the
//! end would turn SeaORM's `commit` into a mere release of that savepoint.

mod conflict;
mod gate;
mod loan;
mod refusal;
mod session;

use std::{cell::Cell, fmt, ptr, sync::Arc};

use async_trait::async_trait;
use sea_orm::{ConnectionTrait, DatabaseTransaction, DbBackend, DbErr, ExecResult, QueryResult, Statement};

pub(crate) use conflict::Conflict;
use gate::{EndedBy, Gate, Level};
pub(crate) use loan::{Loan, LoanError};
pub(crate) use refusal::refuses_content;

/// A transaction that can be cloned: what a consumer's handler writes in.
///
/// It is a [`ConnectionTrait`] and a [`TransactionTrait`](sea_orm::TransactionTrait), so every SeaORM call
/// takes `&txn`; `begin` opens a savepoint. The inbox commits it when the handler returns `Ok` and rolls it
/// back when it returns an error. `commit` and `rollback` on it are errors; they work on savepoints.
///
/// A clone or a savepoint that is still there when the handler has returned could write into a
/// transaction that is over. So that is an error: everything is rolled back, the message comes again, and
/// each later statement of the clone fails. Await what you spawn.
///
/// Statements of clones run one after the other, as on any transaction. It does not stream.
///
/// MySQL and MariaDB end the whole transaction with some statements and run what follows outside of any. So there a
/// `Tx` is over, and each later statement an error, after a deadlock, a lock wait timeout, a row that changed
/// since the snapshot, and a statement whose future was dropped. What it cannot see is DDL: `CREATE`, `ALTER`,
/// `TRUNCATE` and the like in a handler commit the message's row and what was written so far, so that a
/// failure after it is taken for a duplicate when the message comes again. Keep DDL out of handlers.
///
/// To call a handler by hand, in a test, make one of a transaction of your own:
///
/// ```no_run
/// # use outbox_seaorm::Tx;
/// # use sea_orm::{DatabaseConnection, DbErr, TransactionSession as _, TransactionTrait as _};
/// # async fn reserve_stock(txn: Tx) -> Result<(), DbErr> { Ok(()) }
/// # async fn test(db: DatabaseConnection) -> Result<(), DbErr> {
/// let txn = Tx::from(db.begin().await?);
/// reserve_stock(txn.clone()).await?;
/// txn.commit().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Tx {
    handle: Arc<Handle>,
}

/// One level of the transaction: the last clone of a savepoint that is dropped rolls it back.
struct Handle {
    gate: Arc<Gate>,
    level: Level,
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.gate.abandon(self.level);
    }
}

impl Tx {
    fn at(gate: Arc<Gate>, level: Level) -> Self {
        Self { handle: Arc::new(Handle { gate, level }) }
    }

    fn gate(&self) -> &Gate {
        &self.handle.gate
    }
}

thread_local! {
    /// Where a `Tx` leaves its identity for [`identity_of`], which asks and reads without an await in between.
    static IDENTITY: Cell<Option<usize>> = const { Cell::new(None) };
}

/// What tells one transaction handle from another: for a `Tx` the handle that its clones share, else the address,
/// since what is borrowed does not move. A generic connection cannot be cast to a `Tx` safely, so it is asked a
/// question that costs nothing and that a `Tx` answers aside.
pub(crate) fn identity_of<C: ConnectionTrait>(connection: &C) -> usize {
    IDENTITY.set(None);
    let _ = connection.support_returning();
    IDENTITY.take().unwrap_or_else(|| ptr::from_ref(connection).addr())
}

impl From<DatabaseTransaction> for Tx {
    fn from(txn: DatabaseTransaction) -> Self {
        Self::at(Gate::new(txn, EndedBy::Anyone), Level::ROOT)
    }
}

impl fmt::Debug for Tx {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tx").field("level", &self.handle.level).finish_non_exhaustive()
    }
}

#[async_trait]
impl ConnectionTrait for Tx {
    fn get_database_backend(&self) -> DbBackend {
        self.gate().backend
    }

    async fn execute_raw(&self, stmt: Statement) -> Result<ExecResult, DbErr> {
        let mut entered = self.gate().enter().await;
        let outcome = entered.innermost()?.execute_raw(stmt).await;
        entered.checked(outcome)
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        let mut entered = self.gate().enter().await;
        let outcome = entered.innermost()?.execute_unprepared(sql).await;
        entered.checked(outcome)
    }

    async fn query_one_raw(&self, stmt: Statement) -> Result<Option<QueryResult>, DbErr> {
        let mut entered = self.gate().enter().await;
        let outcome = entered.innermost()?.query_one_raw(stmt).await;
        entered.checked(outcome)
    }

    async fn query_all_raw(&self, stmt: Statement) -> Result<Vec<QueryResult>, DbErr> {
        let mut entered = self.gate().enter().await;
        let outcome = entered.innermost()?.query_all_raw(stmt).await;
        entered.checked(outcome)
    }

    fn support_returning(&self) -> bool {
        IDENTITY.set(Some(Arc::as_ptr(&self.handle).addr()));
        self.gate().support_returning
    }

    fn is_mock_connection(&self) -> bool {
        self.gate().is_mock
    }
}
