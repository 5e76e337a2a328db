//! A save and its events, both or neither.
//!
//! A save always has a transaction, or a savepoint, of its own, also on PostgreSQL, which would abort the transaction
//! for a statement that failed: a save can be given up (its future dropped) between the row and the event without
//! that any statement fails, and the one thing that reaches the database from there is the rollback that SeaORM
//! queues for what it began. It costs a save inside a transaction two round trips.

use outbox_core::{event::NewEvent, wake};
use sea_orm::{
    ConnectionTrait, DbErr, SqliteTransactionMode, TransactionOptions, TransactionSession, TransactionTrait,
};

use super::{SaveConnection, guard::is_transaction, insert::insert, turn::Turn};

/// One write with its events, in a transaction or savepoint of its own.
pub(super) trait Step: Send {
    /// What the write gives back.
    type Output: Send;

    /// Writes the row, then the events.
    fn run<T: SaveConnection>(self, db: &T)
    -> impl Future<Output = Result<Done<Self::Output>, DbErr>> + Send;
}

/// A step that went well.
pub(super) struct Done<O> {
    pub(super) output: O,
    pub(super) captured: bool,
}

/// Runs a step: in a transaction of its own, or in a savepoint of the one that `db` is.
pub(super) async fn atomic<C: SaveConnection, S: Step>(db: &C, step: S) -> Result<S::Output, DbErr> {
    // Savepoints nest: one at a time.
    let _turn = if is_transaction::<C>() { Some(Turn::wait(db).await) } else { None };
    let txn = begin(db).await?;
    match step.run(&txn).await {
        Ok(done) => {
            txn.commit().await?;
            if done.captured {
                wake::captured();
            }
            Ok(done.output)
        }
        Err(error) => {
            // The step's error is the one to report; a transaction that cannot be rolled back is dropped.
            if let Err(error) = txn.rollback().await {
                tracing::debug!(%error, "a failed save could not be rolled back by itself");
            }
            Err(error)
        }
    }
}

/// Begins a transaction that is going to write, or a savepoint.
async fn begin<C: TransactionTrait>(db: &C) -> Result<C::Transaction, DbErr> {
    // Only SQLite looks at the mode: it takes the right to write at once, instead of failing later when
    // another writer came between the first read and the first write.
    let sqlite_transaction_mode = Some(SqliteTransactionMode::Immediate);
    db.begin_with_options(TransactionOptions { sqlite_transaction_mode, ..Default::default() }).await
}

/// Inserts the events of the hooks, then those that were raised, in one statement.
pub(super) async fn log<T, O>(
    db: &T,
    hooked: Vec<NewEvent>,
    raised: Vec<NewEvent>,
    output: O,
) -> Result<Done<O>, DbErr>
where
    T: ConnectionTrait,
{
    let mut events = hooked;
    events.extend(raised);
    let captured = !events.is_empty();
    if captured {
        insert(db, events).await?;
    }
    Ok(Done { output, captured })
}
