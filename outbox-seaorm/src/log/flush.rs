//! Storing progress and holds: one transaction, fenced.

use std::time::Duration;

use outbox_core::log::{Due, Flush, Flushed, Hold, HoldChange, LogError, Owner, SubscriptionName};
use sea_orm::{ConnectionTrait as _, DbErr, Statement, TransactionTrait as _};
use serde::Serialize;

use super::{Inner, micros, sql::Sql, storable, trouble::LockTrouble};

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
    let changes = hold_changes(&log.sql, subscription, &flush.holds)?;
    match store(log, progress, changes).await {
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

async fn store(log: &Inner, progress: Statement, changes: Vec<Statement>) -> Result<Flushed, Failed> {
    let pool = log.sessions.pool().await.map_err(Failed::Connecting)?;
    if changes.is_empty() {
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
    transaction.commit().await.map_err(Failed::AtCommit)?;
    Ok(Flushed::Stored)
}

/// At most three statements, whatever the number of changes.
fn hold_changes(
    sql: &Sql,
    subscription: &SubscriptionName,
    changes: &[HoldChange],
) -> Result<Vec<Statement>, LogError> {
    let (mut inserted, mut updated, mut deleted) = (Vec::new(), Vec::new(), Vec::new());
    for change in changes {
        match change {
            HoldChange::Insert(hold) => inserted.push(HoldText::of(sql, hold)),
            HoldChange::Update(hold) => updated.push(HoldText::of(sql, hold)),
            HoldChange::Delete(seq) => deleted.push(*seq),
        }
    }
    let name = || ("name", subscription.as_str().into());
    let mut statements = Vec::with_capacity(3);
    for (holds, query) in [(inserted, &sql.hold_insert), (updated, &sql.hold_update)] {
        if !holds.is_empty() {
            let holds = serde_json::to_string(&holds).map_err(LogError::database)?;
            statements.push(query.with(&[name(), ("holds", holds.into())]));
        }
    }
    if !deleted.is_empty() {
        let seqs = serde_json::to_string(&deleted).map_err(LogError::database)?;
        statements.push(sql.hold_delete.with(&[name(), ("seqs", seqs.into())]));
    }
    Ok(statements)
}

/// A hold as the statements take it.
#[derive(Serialize)]
struct HoldText<'a> {
    seq: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    aggregate_type: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    aggregate_id: Option<&'a str>,
    state: &'static str,
    attempts: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    due_at: Option<String>,
    /// In microseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    due_after: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_error: Option<String>,
}

impl<'a> HoldText<'a> {
    fn of(sql: &Sql, hold: &'a Hold) -> Self {
        let (due_at, due_after) = match hold.due {
            Due::At(moment) => (Some(sql.moment(moment)), None),
            Due::After(delay) => (None, Some(micros(delay.min(Duration::from_secs(100 * 365 * 86_400))))),
            Due::Never => (None, None),
        };
        Self {
            seq: hold.seq,
            aggregate_type: hold.aggregate.as_ref().map(|(kind, _)| kind.as_str()),
            aggregate_id: hold.aggregate.as_ref().map(|(_, id)| id.as_str()),
            state: hold.state.as_str(),
            attempts: hold.attempts,
            due_at,
            due_after,
            last_error: hold.last_error.as_deref().map(storable),
        }
    }
}
