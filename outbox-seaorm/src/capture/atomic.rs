//! A save and its events, both or neither.

use std::sync::Arc;

use outbox_core::{event::NewEvent, wake};
use sea_orm::{
    ConnectionTrait, DbBackend, DbErr, EntityName as _, SqliteTransactionMode, TransactionOptions,
    TransactionSession, TransactionTrait,
    sea_query::{Expr, ExprTrait as _, Query},
};

use super::{CaptureError, SaveConnection, guard::is_transaction, insert::insert, scope::Scope, turn::Turn};
use crate::tables::event;

/// One write with its events, on a connection that is in a transaction.
pub(super) trait Step: Send {
    /// What the write gives back.
    type Output: Send;

    /// Writes the row, then the events.
    fn run<T: SaveConnection>(
        self,
        db: &T,
    ) -> impl Future<Output = Result<Done<Self::Output>, Failure>> + Send;
}

/// A step that went well.
pub(super) struct Done<O> {
    pub(super) output: O,
    pub(super) captured: bool,
}

/// A step that failed.
pub(super) struct Failure {
    error: DbErr,
    at: At,
}

/// Where a step failed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum At {
    /// SeaORM's own save. Nothing is written, as far as can be known.
    Save,
    /// The row is written, an event cannot be made of it or a later hook failed.
    Events,
    /// The row is written, the insert into the log failed.
    Log,
}

impl From<DbErr> for Failure {
    fn from(error: DbErr) -> Self {
        Self { error, at: At::Save }
    }
}

impl From<CaptureError> for Failure {
    fn from(error: CaptureError) -> Self {
        DbErr::from(error).into()
    }
}

impl Failure {
    pub(super) fn after_write(error: impl Into<DbErr>) -> Self {
        Self { error: error.into(), at: At::Events }
    }

    pub(super) fn not_json(error: outbox_core::event::EventError) -> Self {
        Self::after_write(CaptureError::from(error))
    }

    fn on(self, mock: bool) -> DbErr {
        if mock && self.at == At::Log {
            CaptureError::Mock { table: event::Entity.table_name(), source: self.error }.into()
        } else {
            self.error
        }
    }
}

/// Runs a step: in a transaction of its own, or as a part of the one that `db` is.
pub(super) async fn atomic<C: SaveConnection, S: Step>(db: &C, step: S) -> Result<S::Output, DbErr> {
    if !is_transaction::<C>() {
        let mock = db.is_mock_connection();
        return finish(begin(db).await?, step).await.map_err(|failure| failure.on(mock));
    }
    if db.get_database_backend() == DbBackend::Postgres {
        return join(db, step).await;
    }
    // These databases undo a failed statement alone: without a savepoint the row would stand when the
    // event failed, and a caller who goes on would commit it.
    let _turn = Turn::wait(db).await;
    finish(db.begin().await?, step).await.map_err(|failure| failure.error)
}

/// Begins a transaction that is going to write.
async fn begin<C: TransactionTrait>(db: &C) -> Result<C::Transaction, DbErr> {
    // Only SQLite looks at the mode: it takes the right to write at once, instead of failing later when
    // another writer came between the first read and the first write.
    let sqlite_transaction_mode = Some(SqliteTransactionMode::Immediate);
    db.begin_with_options(TransactionOptions { sqlite_transaction_mode, ..Default::default() }).await
}

async fn finish<T, S>(txn: T, step: S) -> Result<S::Output, Failure>
where
    T: SaveConnection + TransactionSession + Send,
    S: Step,
{
    match step.run(&txn).await {
        Ok(done) => {
            txn.commit().await?;
            if done.captured {
                wake::captured();
            }
            Ok(done.output)
        }
        Err(failure) => {
            // The step's error is the one to report; a transaction that cannot be rolled back is dropped.
            if let Err(error) = txn.rollback().await {
                tracing::debug!(%error, "a failed save could not be rolled back by itself");
            }
            Err(failure)
        }
    }
}

/// PostgreSQL: a failed statement aborts the whole transaction, so no savepoint is needed, which would cost every
/// save two round trips. A failure that the database has not seen is made known to it.
async fn join<C: SaveConnection, S: Step>(db: &C, step: S) -> Result<S::Output, DbErr> {
    match step.run(db).await {
        Ok(done) => {
            if done.captured {
                wake::captured();
            }
            Ok(done.output)
        }
        Err(failure) => {
            if failure.at != At::Save {
                abort(db).await;
            }
            Err(failure.error)
        }
    }
}

/// Aborts the transaction by a statement that fails: the row is written and its event is not.
async fn abort<C: ConnectionTrait>(db: &C) {
    let division_by_zero = Query::select().expr(Expr::val(1).div(0)).to_owned();
    let outcome = db.query_one(&division_by_zero).await;
    tracing::debug!(aborted = outcome.is_err(), "a save failed after its row was written");
}

/// Runs SeaORM's trait method in its scope.
pub(super) async fn write<O, W>(scope: &Arc<Scope>, write: W) -> Result<O, Failure>
where
    W: Future<Output = Result<O, DbErr>> + Send,
{
    scope.enter(write).await.map_err(|error| match scope.row_written() {
        true => Failure { error, at: At::Events },
        false => Failure { error, at: At::Save },
    })
}

/// Inserts the events of the hooks, then those that were raised, in one statement.
pub(super) async fn log<T, O>(
    db: &T,
    hooked: Vec<NewEvent>,
    raised: Vec<NewEvent>,
    output: O,
) -> Result<Done<O>, Failure>
where
    T: ConnectionTrait,
{
    let mut events = hooked;
    events.extend(raised);
    let captured = !events.is_empty();
    if captured {
        insert(db, events).await.map_err(|error| Failure { error, at: At::Log })?;
    }
    Ok(Done { output, captured })
}
