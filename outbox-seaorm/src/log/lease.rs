//! Who leads a subscription: taking, keeping and giving up its lease, all by the database's clock.

use std::time::Duration;

use chrono::{DateTime, Utc};
use outbox_core::{
    log::{Acquired, Description, LogError, Owner, StoredProgress, SubscriptionName, SubscriptionState},
    message::Seq,
    progress::SeqRanges,
};
use sea_orm::{ConnectionTrait, Value};

use super::{
    Inner, column, micros, read::topics, session::LOCK_PATIENCE, sql::ProofSql, storable,
    trouble::LockTrouble,
};

/// A subscription's row as it stands.
pub(super) struct Standing {
    pub(super) progress: StoredProgress,
    paused: bool,
    /// What is left of the lease that another holds; zero where nobody leads.
    remaining: Duration,
    /// Whether the row at the position is the one that was read, where there is one.
    pub(super) anchored: bool,
    /// The time by the database's clock.
    pub(super) now: DateTime<Utc>,
}

pub(super) async fn acquire(
    log: &Inner,
    subscription: &SubscriptionName,
    owner: Owner,
    lease: Duration,
) -> Result<Acquired, LogError> {
    log.sessions.follow_lease(lease);
    // A relay that stands by asks often: it looks without a lock, so that it never holds up the leader's flush.
    if let Some(refused) = refusal(&look(log, log.sessions.pool().await?, subscription).await?) {
        return Ok(refused);
    }
    let transaction = log.sessions.begin().await?;
    let take = log.sql.take.with(&[
        ("name", subscription.as_str().into()),
        ("owner", owner.as_uuid().into()),
        ("lease", micros(lease).into()),
    ]);
    let taken = match transaction.execute_raw(take).await {
        Ok(done) => done.rows_affected() == 1,
        // Somebody is at the row this moment, in a flush or in an attempt like this one.
        Err(error) if LockTrouble::of(&error).is_some() => {
            return Ok(Acquired::Held { expires_in: LOCK_PATIENCE });
        }
        Err(error) => return Err(LogError::database(error)),
    };
    let standing = look(log, &transaction, subscription).await?;
    if !taken {
        transaction.rollback().await.map_err(LogError::database)?;
        return Ok(refusal(&standing).unwrap_or(Acquired::Held { expires_in: Duration::ZERO }));
    }
    let position = standing.progress.position;
    if !standing.anchored {
        return Err(LogError::AnchorGone { subscription: subscription.clone(), position });
    }
    let last = last_number(log, &transaction).await?;
    if position > last {
        return Err(LogError::Refused(format!(
            "subscription `{subscription}` has read up to event {position}, but the log has given out numbers up to \
             {last} only: the table was truncated or restored without its counter, and new events would be taken for \
             old ones; give the counter a number above that, or rewind the subscription, to its beginning or to the last \
             event that its broker is known to have, and start the relay again"
        )));
    }
    transaction.commit().await.map_err(LogError::database)?;
    Ok(Acquired::Leader(standing.progress))
}

/// Why this subscription cannot be led now, if so.
fn refusal(standing: &Standing) -> Option<Acquired> {
    if standing.paused {
        Some(Acquired::Paused)
    } else if standing.remaining > Duration::ZERO {
        Some(Acquired::Held { expires_in: standing.remaining })
    } else {
        None
    }
}

pub(super) async fn look(
    log: &Inner,
    connection: &impl ConnectionTrait,
    subscription: &SubscriptionName,
) -> Result<Standing, LogError> {
    let statement = log.sql.look.with(&[("name", subscription.as_str().into())]);
    let row = connection.query_one_raw(statement).await.map_err(LogError::database)?;
    let row = row.ok_or_else(|| LogError::SubscriptionGone(subscription.clone()))?;
    let holes: String = column(&row, 2)?;
    let holes: SeqRanges = holes.parse().map_err(|error: outbox_core::progress::RangesError| {
        LogError::Corrupt { subscription: subscription.clone(), reason: error.to_string() }
    })?;
    let progress = StoredProgress {
        position: column(&row, 0)?,
        anchor: column(&row, 1)?,
        holes,
        flush_no: column(&row, 3)?,
        interventions: column(&row, 7)?,
    };
    let state: String = column(&row, 4)?;
    let remaining: i64 = column(&row, 5)?;
    Ok(Standing {
        progress,
        paused: state == SubscriptionState::Paused.as_str(),
        remaining: Duration::from_micros(u64::try_from(remaining).unwrap_or(0)),
        anchored: column(&row, 6)?,
        now: column(&row, 8)?,
    })
}

/// The last number that the log gave out.
pub(super) async fn last_number(log: &Inner, connection: &impl ConnectionTrait) -> Result<Seq, LogError> {
    let event = Value::from(log.event_table.clone());
    let one = async |statement| -> Result<sea_orm::QueryResult, LogError> {
        let row = connection.query_one_raw(statement).await.map_err(LogError::database)?;
        row.ok_or_else(|| LogError::database("the counter of the log gave no row"))
    };
    match &log.sql.proof {
        ProofSql::WriterList { last_number, .. } => {
            column(&one(last_number.with(&[("event", event)])).await?, 0)
        }
        ProofSql::SingleWriter { last_number } => {
            let name = Value::from(crate::tables::TableNames::current().event);
            column(&one(last_number.with(&[("event", name)])).await?, 0)
        }
        ProofSql::Tombstones { table, .. } => {
            let text: String = column(&one(table.with(&[])).await?, 1)?;
            Ok(next_number(&text) - 1)
        }
    }
}

/// The counter in the text of `SHOW CREATE TABLE`; one that was never used is left out there.
fn next_number(create_table: &str) -> Seq {
    let Some((_, counter)) = create_table.rsplit_once("AUTO_INCREMENT=") else { return 1 };
    let digits = counter.find(|c: char| !c.is_ascii_digit()).unwrap_or(counter.len());
    counter[..digits].parse().unwrap_or(1)
}

pub(super) async fn renew(
    log: &Inner,
    subscription: &SubscriptionName,
    owner: Owner,
    lease: Duration,
) -> Result<Option<i64>, LogError> {
    log.sessions.follow_lease(lease);
    let ours = [
        ("name", Value::from(subscription.as_str())),
        ("owner", owner.as_uuid().into()),
        ("lease", micros(lease).into()),
    ];
    if log.sessions.execute(log.sql.renew.with(&ours)).await?.rows_affected() != 1 {
        return Ok(None);
    }
    let row = log.sessions.one(log.sql.interventions.with(&ours)).await?;
    row.map(|row| column(&row, 0)).transpose()
}

pub(super) async fn release(
    log: &Inner,
    subscription: &SubscriptionName,
    owner: Owner,
) -> Result<(), LogError> {
    let statement =
        log.sql.release.with(&[("name", subscription.as_str().into()), ("owner", owner.as_uuid().into())]);
    log.sessions.execute(statement).await.map(|_| ())
}

pub(super) async fn report(
    log: &Inner,
    subscription: &SubscriptionName,
    owner: Owner,
    state: SubscriptionState,
    error: Option<&str>,
) -> Result<(), LogError> {
    let statement = log.sql.report.with(&[
        ("name", subscription.as_str().into()),
        ("owner", owner.as_uuid().into()),
        ("state", state.as_str().into()),
        ("error", error.map(storable::words).into()),
    ]);
    log.sessions.execute(statement).await.map(|_| ())
}

pub(super) async fn describe(
    log: &Inner,
    subscription: &SubscriptionName,
    owner: Owner,
    description: &Description,
) -> Result<(), LogError> {
    let skipped = serde_json::Value::from_iter(description.skipped_topics.iter().cloned()).to_string();
    let statement = log.sql.describe.with(&[
        ("name", subscription.as_str().into()),
        ("owner", owner.as_uuid().into()),
        ("leader", storable::name(&description.leader).into()),
        ("topics", topics(&description.topics).into()),
        ("skipped", skipped.into()),
        ("ordering", description.ordering.as_str().into()),
    ]);
    log.sessions.execute(statement).await.map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::next_number;

    #[test]
    fn the_counter_is_read_from_the_tables_text() {
        assert_eq!(next_number(") ENGINE=InnoDB AUTO_INCREMENT=42 DEFAULT CHARSET=utf8mb4"), 42);
        assert_eq!(next_number(") ENGINE=InnoDB DEFAULT CHARSET=utf8mb4"), 1);
    }
}
