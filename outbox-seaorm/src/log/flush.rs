//! Storing progress and what goes with it: one transaction, fenced.

use outbox_core::{
    event::NewEvent,
    log::{Flush, Flushed, LogError, Owner, SubscriptionName},
};
use sea_orm::{ConnectionTrait as _, DbErr, Statement, TransactionTrait as _};

use super::{Inner, captured, changes, trouble::LockTrouble};

pub(super) async fn flush(
    log: &Inner,
    subscription: &SubscriptionName,
    owner: Owner,
    flush: &Flush,
) -> Result<Flushed, LogError> {
    let progress = log.sql.flush.with(&[
        ("name", subscription.as_str().into()),
        ("owner", owner.as_uuid().into()),
        ("flush_no", flush.previous_flush_no.into()),
        ("position", flush.position.into()),
        ("anchor", flush.anchor.into()),
        ("holes", flush.holes.to_string().into()),
    ]);
    let changes = changes::statements(&log.sql, subscription, flush)?;
    match store(log, progress, changes, &flush.captured).await {
        Ok(flushed) => Ok(flushed),
        Err(Failed::Before(error)) if LockTrouble::of(&error).is_some() => Ok(Flushed::Busy),
        Err(Failed::Before(error) | Failed::AtCommit(error)) => Err(LogError::database(error)),
        Err(Failed::Connecting(error)) => Err(error),
    }
}

/// How far a flush came.
enum Failed {
    /// There was no connection.
    Connecting(LogError),
    /// Nothing was committed, if the database says so.
    Before(DbErr),
    /// It may have been committed.
    AtCommit(DbErr),
}

async fn store(
    log: &Inner,
    progress: Statement,
    changes: Vec<Statement>,
    captured: &[NewEvent],
) -> Result<Flushed, Failed> {
    let pool = log.sessions.pool().await.map_err(Failed::Connecting)?;
    if changes.is_empty() && captured.is_empty() {
        // One statement is a transaction of its own, and one round trip.
        let stored = pool.execute_raw(progress).await.map_err(Failed::Before)?.rows_affected();
        return Ok(if stored == 1 { Flushed::Stored } else { Flushed::Fenced });
    }
    let transaction = pool.begin_with_options(super::session::writing()).await.map_err(Failed::Before)?;
    // The row is locked from here on, by the leader only: the changes of holds follow under its protection.
    if transaction.execute_raw(progress).await.map_err(Failed::Before)?.rows_affected() != 1 {
        transaction.rollback().await.map_err(Failed::Before)?;
        return Ok(Flushed::Fenced);
    }
    for change in changes {
        // Dropped, the transaction is rolled back.
        transaction.execute_raw(change).await.map_err(Failed::Before)?;
    }
    captured::store(&transaction, captured).await.map_err(Failed::Before)?;
    transaction.commit().await.map_err(Failed::AtCommit)?;
    Ok(Flushed::Stored)
}
