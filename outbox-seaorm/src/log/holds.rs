//! Held events: those whose time has come, and those that wait behind others.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use outbox_core::{
    log::{Due, Hold, HoldState, LogError, OrderKey, Stopped, SubscriptionName},
    message::{Message, Seq},
};
use sea_orm::{ConnectionTrait as _, QueryResult, Statement, Value};
use uuid::Uuid;

use super::{Inner, amount, column, rows::EventRow};

/// Ordering keys in one statement: far below the largest packet of any database.
const KEYS_PER_STATEMENT: usize = 500;

pub(super) async fn due(
    log: &Inner,
    subscription: &SubscriptionName,
    source: &Arc<str>,
    limit: usize,
) -> Result<Vec<(Hold, Message)>, LogError> {
    let statement =
        log.sql.due.with(&[("name", subscription.as_str().into()), ("limit", amount(limit).into())]);
    let (due, orphans) = with_events(log, statement, subscription, source).await?;
    if !orphans.is_empty() {
        end(log, subscription, &orphans).await?;
    }
    Ok(due)
}

pub(super) async fn stopped(log: &Inner, subscription: &SubscriptionName) -> Result<Vec<Stopped>, LogError> {
    let statement = log.sql.stopped.with(&[("name", subscription.as_str().into())]);
    let rows = log.sessions.all(statement).await?;
    rows.iter()
        .map(|row| {
            Ok(Stopped {
                aggregate: (column(row, 0)?, column(row, 1)?),
                retries: column(row, 2)?,
                dead: column(row, 3)?,
                blocked: column(row, 4)?,
            })
        })
        .collect()
}

pub(super) async fn blocked(
    log: &Inner,
    subscription: &SubscriptionName,
    source: &Arc<str>,
    aggregates: &[OrderKey],
    each: usize,
) -> Result<Vec<(Hold, Message)>, LogError> {
    let mut blocked = Vec::new();
    let Some(each_but_one) = each.checked_sub(1) else { return Ok(blocked) };
    // A key that is named twice would give its events twice.
    let keys: BTreeSet<&OrderKey> = aggregates.iter().collect();
    let keys: Vec<&OrderKey> = keys.into_iter().collect();
    for keys in keys.chunks(KEYS_PER_STATEMENT) {
        let document = serde_json::to_string(keys).map_err(LogError::database)?;
        let statement = log.sql.blocked.with(&[
            ("name", subscription.as_str().into()),
            ("keys", document.into()),
            ("each", amount(each).into()),
            ("each_but_one", amount(each_but_one).into()),
        ]);
        loop {
            let (found, orphans) = with_events(log, statement.clone(), subscription, source).await?;
            if orphans.is_empty() {
                blocked.extend(found);
                break;
            }
            // Fewer than `each` says that there are no more: asked again, without those that were in the way.
            end(log, subscription, &orphans).await?;
        }
    }
    blocked.sort_unstable_by_key(|(hold, _)| hold.seq);
    Ok(blocked)
}

/// What a statement found on hold, with the events, and the holds whose events are not in the log.
async fn with_events(
    log: &Inner,
    statement: Statement,
    subscription: &SubscriptionName,
    source: &Arc<str>,
) -> Result<(Vec<(Hold, Message)>, Vec<Seq>), LogError> {
    let rows = log.sessions.all(statement).await?;
    let (mut found, mut orphans) = (Vec::with_capacity(rows.len()), Vec::new());
    for row in &rows {
        if column::<Option<Seq>>(row, 0)?.is_some() {
            found.push(held(row, subscription, source)?);
        } else {
            orphans.push(column(row, 19)?);
        }
    }
    Ok((found, orphans))
}

/// Ends holds whose events are not in the log any more: they would be due, or in the way, for ever. Their receipts go with
/// them: an acknowledgement that is awaited would keep purge from everything behind, and put the hold there again.
///
/// It counts as an intervention, which it is, by whoever deleted them: the leader may know their aggregates as stopped, and
/// its next term begins with what is stored.
async fn end(log: &Inner, subscription: &SubscriptionName, seqs: &[Seq]) -> Result<(), LogError> {
    tracing::error!(
        %subscription,
        count = seqs.len(),
        first = seqs.first(),
        "events on hold are not in the log any more: somebody deleted them by hand; they are given up"
    );
    let seqs = serde_json::to_string(seqs).map_err(LogError::database)?;
    let gone = [("name", Value::from(subscription.as_str())), ("seqs", seqs.into())];
    // The row first, as a flush does.
    let statements =
        [&log.sql.intervene, &log.sql.hold_delete, &log.sql.receipt_delete].map(|query| query.with(&gone));
    let ending = async {
        let transaction = log.sessions.begin().await?;
        for statement in statements {
            transaction.execute_raw(statement).await.map_err(LogError::database)?;
        }
        transaction.commit().await.map_err(LogError::database)
    };
    log.shortly(ending).await
}

fn held(
    row: &QueryResult,
    subscription: &SubscriptionName,
    source: &Arc<str>,
) -> Result<(Hold, Message), LogError> {
    let replay: Option<Uuid> = column(row, 16)?;
    let mut message = EventRow::of(row)?.into_message(source);
    message.replay = replay;
    let state: String = column(row, 12)?;
    let attempts: i32 = column(row, 13)?;
    let due_at: Option<DateTime<Utc>> = column(row, 14)?;
    let (kind, id): (Option<String>, Option<String>) = (column(row, 17)?, column(row, 18)?);
    let corrupt = |reason: String| LogError::Corrupt { subscription: subscription.clone(), reason };
    let hold = Hold {
        seq: message.seq,
        aggregate: kind.zip(id),
        state: HoldState::parse(&state)
            .ok_or_else(|| corrupt(format!("event {} is on hold as `{state}`", message.seq)))?,
        attempts: u32::try_from(attempts)
            .map_err(|_| corrupt(format!("event {} was tried {attempts} times", message.seq)))?,
        due: due_at.map_or(Due::Never, Due::At),
        last_error: column(row, 15)?,
        replay,
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
