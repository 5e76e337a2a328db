//! How far a subscription is behind, without a count over the log.

use std::time::Duration;

use outbox_core::{
    log::{HoldCounts, HoldState, LogError, SubscriptionName, Survey},
    message::Seq,
    progress::SeqRanges,
    publisher::Topics,
};
use sea_orm::ConnectionTrait;

use super::{
    Inner, column,
    lease::{Standing, last_number, look},
    read::{bind_ranges, topics},
};

/// How many rows are looked at for the oldest pending one. Where that many are of other topics, the last of them is taken
/// for it: the subscription has not read so far, and what follows is not older.
const LOOKED_AT: i64 = 10_000;

pub(super) async fn survey(
    log: &Inner,
    subscription: &SubscriptionName,
    wanted: &Topics,
) -> Result<Survey, LogError> {
    let pool = log.sessions.pool().await?;
    let Standing { progress, now, .. } = look(log, pool, subscription).await?;
    let oldest_pending = oldest_pending(log, pool, progress.position, &progress.holes, wanted).await?;
    let holds = hold_counts(log, subscription).await?;
    // Asked last: it is never below the position.
    let last: Seq = last_number(log, pool).await?;
    Ok(Survey {
        now,
        last,
        position: progress.position,
        holes: progress.holes.count(),
        oldest_pending,
        holds,
    })
}

/// How long ago the oldest event was stored that is neither settled nor on hold.
pub(super) async fn oldest_pending(
    log: &Inner,
    connection: &impl ConnectionTrait,
    position: Seq,
    holes: &SeqRanges,
    wanted: &Topics,
) -> Result<Option<Duration>, LogError> {
    let mut values =
        vec![("position", position.into()), ("topics", topics(wanted).into()), ("limit", LOOKED_AT.into())];
    bind_ranges(holes, &mut values);
    let oldest = connection.query_one_raw(log.sql.oldest_pending.with(&values)).await;
    let oldest: Option<i64> = oldest.map_err(LogError::database)?.map(|row| column(&row, 1)).transpose()?;
    Ok(oldest.map(|micros| Duration::from_micros(u64::try_from(micros).unwrap_or(0))))
}

async fn hold_counts(log: &Inner, subscription: &SubscriptionName) -> Result<HoldCounts, LogError> {
    let statement = log.sql.hold_counts.with(&[("name", subscription.as_str().into())]);
    let mut counts = HoldCounts::default();
    for row in log.sessions.all(statement).await? {
        let (state, count): (String, i64) = (column(&row, 0)?, column(&row, 1)?);
        let count = u64::try_from(count).unwrap_or(0);
        match HoldState::parse(&state) {
            Some(HoldState::Scheduled) => counts.scheduled = count,
            Some(HoldState::Retry) => counts.retry = count,
            Some(HoldState::Blocked) => counts.blocked = count,
            Some(HoldState::Dead) => counts.dead = count,
            None => {
                let reason = format!("{count} events are on hold as `{state}`");
                return Err(LogError::Corrupt { subscription: subscription.clone(), reason });
            }
        }
    }
    Ok(counts)
}
