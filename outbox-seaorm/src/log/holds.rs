//! Held events whose time has come.

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use outbox_core::{
    log::{Due, Hold, HoldState, LogError, SubscriptionName},
    message::Message,
};
use sea_orm::QueryResult;

use super::{Inner, amount, column, rows::EventRow};

pub(super) async fn due(
    log: &Inner,
    subscription: &SubscriptionName,
    source: &Arc<str>,
    limit: usize,
) -> Result<Vec<(Hold, Message)>, LogError> {
    let statement =
        log.sql.due.with(&[("name", subscription.as_str().into()), ("limit", amount(limit).into())]);
    let rows = log.sessions.all(statement).await?;
    let mut due = Vec::with_capacity(rows.len());
    let mut orphans: Vec<i64> = Vec::new();
    for row in &rows {
        if column::<Option<i64>>(row, 0)?.is_some() {
            due.push(held(row, subscription, source)?);
        } else {
            orphans.push(column(row, 16)?);
        }
    }
    if !orphans.is_empty() {
        end(log, subscription, &orphans).await?;
    }
    Ok(due)
}

/// Ends holds whose events are not in the log any more: they would be due for ever.
async fn end(log: &Inner, subscription: &SubscriptionName, seqs: &[i64]) -> Result<(), LogError> {
    tracing::error!(
        %subscription,
        count = seqs.len(),
        first = seqs.first(),
        "events on hold are not in the log any more: somebody deleted them by hand; they are given up"
    );
    let seqs = serde_json::to_string(seqs).map_err(LogError::database)?;
    let end = log.sql.hold_delete.with(&[("name", subscription.as_str().into()), ("seqs", seqs.into())]);
    log.sessions.execute(end).await.map(|_| ())
}

fn held(
    row: &QueryResult,
    subscription: &SubscriptionName,
    source: &Arc<str>,
) -> Result<(Hold, Message), LogError> {
    let message = EventRow::of(row)?.into_message(source);
    let state: String = column(row, 12)?;
    let attempts: i32 = column(row, 13)?;
    let due_at: DateTime<Utc> = column(row, 14)?;
    let corrupt = |reason: String| LogError::Corrupt { subscription: subscription.clone(), reason };
    let hold = Hold {
        seq: message.seq,
        aggregate: message.aggregate().map(|(kind, id)| (kind.to_owned(), id.to_owned())),
        state: HoldState::parse(&state)
            .ok_or_else(|| corrupt(format!("event {} is on hold as `{state}`", message.seq)))?,
        attempts: u32::try_from(attempts)
            .map_err(|_| corrupt(format!("event {} was tried {attempts} times", message.seq)))?,
        due: Due::At(due_at),
        last_error: column(row, 15)?,
        replay: None,
    };
    Ok((hold, message))
}

pub(super) async fn next_due(
    log: &Inner,
    subscription: &SubscriptionName,
) -> Result<Option<Duration>, LogError> {
    let statement = log.sql.next_due.with(&[("name", subscription.as_str().into())]);
    let Some(row) = log.sessions.one(statement).await? else { return Ok(None) };
    let wait: Option<i64> = column(&row, 0)?;
    Ok(wait.map(|micros| Duration::from_micros(u64::try_from(micros).unwrap_or(0))))
}
