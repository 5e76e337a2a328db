//! Beginning a subscription.

use outbox_core::{
    log::{LogError, StartPoint, StoredProgress, SubscriptionName},
    message::Seq,
    progress::SeqRanges,
};
use sea_orm::{ConnectionTrait, DatabaseTransaction};
use uuid::Uuid;

use super::{Inner, column};

pub(super) async fn register(
    log: &Inner,
    subscription: &SubscriptionName,
    start: StartPoint,
) -> Result<(), LogError> {
    let look = log.sql.look.with(&[("name", subscription.as_str().into())]);
    if log.sessions.one(look).await?.is_some() {
        return Ok(());
    }
    // The floor stays locked to the end: purge must not take what this subscription is about to begin with.
    let transaction = log.sessions.begin_long(log.sessions.limits().patience.longest()).await?;
    let floor = lock_floor(log, &transaction).await?;
    let begin = match start {
        StartPoint::Beginning => StoredProgress { position: floor, ..StoredProgress::default() },
        StartPoint::Now => at_end(log, &transaction, floor, None).await?,
        StartPoint::At(moment) => at_end(log, &transaction, floor, Some(log.sql.moment(moment))).await?,
    };
    let row = log.sql.register.with(&[
        ("name", subscription.as_str().into()),
        ("position", begin.position.into()),
        ("anchor", begin.anchor.into()),
        ("holes", begin.holes.to_string().into()),
    ]);
    // Where another process was faster its row stays.
    transaction.execute_raw(row).await.map_err(LogError::database)?;
    transaction.commit().await.map_err(LogError::database)
}

pub(super) async fn lock_floor(log: &Inner, transaction: &DatabaseTransaction) -> Result<Seq, LogError> {
    let row = transaction.query_one_raw(log.sql.lock_floor.with(&[])).await.map_err(LogError::database)?;
    let row = row.ok_or_else(|| {
        LogError::Refused(
            "expected one row in the table that holds the purge floor, found none: run the migrations".into(),
        )
    })?;
    column(&row, 0)
}

/// Behind the last row that was stored before a moment, with every gap below as a hole: a number that is missing
/// there may belong to a transaction that is still to commit. One snapshot; two would lose what commits in between.
pub(super) async fn at_end(
    log: &Inner,
    connection: &impl ConnectionTrait,
    floor: Seq,
    since: Option<String>,
) -> Result<StoredProgress, LogError> {
    let statement = log.sql.start.with(&[("floor", floor.into()), ("since", since.into())]);
    let mut begin = StoredProgress { position: floor, ..StoredProgress::default() };
    let mut holes = SeqRanges::new();
    for row in connection.query_all_raw(statement).await.map_err(LogError::database)? {
        let (prior, seq): (Seq, Seq) = (column(&row, 0)?, column(&row, 1)?);
        if log.has_holes() {
            holes.insert_range(prior + 1..=seq - 1);
        }
        if column::<bool>(&row, 3)? {
            begin.position = seq;
            begin.anchor = Some(column::<Uuid>(&row, 2)?);
        }
    }
    begin.holes = holes;
    Ok(begin)
}
