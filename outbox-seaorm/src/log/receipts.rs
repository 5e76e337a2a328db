//! Acknowledgements that did not come.

use std::time::Duration;

use outbox_core::{
    log::{LogError, SubscriptionName},
    message::Seq,
};
use sea_orm::{ConnectionTrait as _, DatabaseTransaction, DbErr, Value};

use super::{Inner, amount, column, storable, trouble::LockTrouble};

/// The receipts stay locked to the end: an acknowledgement has come before, and nothing is sent again, or it finds the
/// event on hold. At no moment is the event neither awaited nor on hold, so that purge does not take it, and the floor
/// need not be locked.
pub(super) async fn resend_unacknowledged(
    log: &Inner,
    subscription: &SubscriptionName,
    ack_within: Duration,
    limit: usize,
) -> Result<u64, LogError> {
    let transaction = log.sessions.begin().await?;
    match resend(log, &transaction, subscription, ack_within, limit).await {
        Ok(count) => transaction.commit().await.map(|()| count).map_err(LogError::database),
        // Somebody acknowledges this moment: those that are left are found the next time. Dropped, it is rolled back.
        Err(Failed::Database(error)) if LockTrouble::of(&error).is_some() => Ok(0),
        Err(Failed::Database(error)) => Err(LogError::database(error)),
        Err(Failed::Log(error)) => Err(error),
    }
}

enum Failed {
    Database(DbErr),
    Log(LogError),
}

async fn resend(
    log: &Inner,
    transaction: &DatabaseTransaction,
    subscription: &SubscriptionName,
    ack_within: Duration,
    limit: usize,
) -> Result<u64, Failed> {
    let name = || ("name", Value::from(subscription.as_str()));
    let overdue = log.sql.overdue.with(&[name(), ("limit", amount(limit).into())]);
    let rows = transaction.query_all_raw(overdue).await.map_err(Failed::Database)?;
    if rows.is_empty() {
        return Ok(0);
    }
    let seqs: Vec<Seq> =
        rows.iter().map(|row| column(row, 0)).collect::<Result<_, _>>().map_err(Failed::Log)?;
    let seqs = serde_json::Value::from(seqs).to_string();
    let resend = log.sql.resend.with(&[name(), ("seqs", seqs.as_str().into())]);
    let count = transaction.execute_raw(resend).await.map_err(Failed::Database)?.rows_affected();
    let again = log.sql.await_again.with(&[
        name(),
        ("seqs", seqs.into()),
        ("within", storable::delay(ack_within).into()),
    ]);
    transaction.execute_raw(again).await.map_err(Failed::Database)?;
    Ok(count)
}
