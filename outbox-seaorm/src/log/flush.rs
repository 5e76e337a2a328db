//! Storing progress and holds: one transaction, fenced.

use std::time::Duration;

use outbox_core::log::{Due, Flush, Flushed, Hold, HoldChange, LogError, Owner, SubscriptionName};
use sea_orm::{ConnectionTrait as _, Statement};
use serde::Serialize;

use super::{Inner, micros, sql::Sql, storable};

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
    if flush.holds.is_empty() {
        // One statement is a transaction of its own, and one round trip.
        let stored = log.sessions.execute(progress).await?.rows_affected();
        return Ok(if stored == 1 { Flushed::Stored } else { Flushed::Fenced });
    }
    let changes = hold_changes(&log.sql, subscription, &flush.holds)?;
    let transaction = log.sessions.begin().await?;
    // The row is locked from here on, by the leader only: the changes of holds follow under its protection.
    if transaction.execute_raw(progress).await.map_err(LogError::database)?.rows_affected() != 1 {
        transaction.rollback().await.map_err(LogError::database)?;
        return Ok(Flushed::Fenced);
    }
    for change in changes {
        transaction.execute_raw(change).await.map_err(LogError::database)?;
    }
    transaction.commit().await.map_err(LogError::database)?;
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
