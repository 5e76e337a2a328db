//! Dead letters: events that will not be tried again without an operator.

mod change;
mod find;

use outbox_core::message::Seq;
use sea_orm::{
    ColumnTrait as _, Condition, FromQueryResult, QueryOrder as _, QuerySelect as _, prelude::DateTimeUtc,
};
use serde::Serialize;
use uuid::Uuid;

use self::find::{behind, held, known};
use super::{DeadLetterFilter, EventInfo, Outbox, OutboxError};
use crate::tables::hold::Column;

/// An event that will not be tried again without an operator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct DeadLetter {
    /// Where it died.
    pub subscription: String,
    /// Its number in the log.
    pub seq: Seq,
    /// The event; `None` where somebody has deleted its row by hand, so that it can only be discarded.
    pub event: Option<EventInfo>,
    /// How often it was tried.
    pub attempts: u32,
    /// What the last attempt said.
    pub last_error: Option<String>,
    /// When it failed first, by the database's clock.
    pub first_failed_at: Option<DateTimeUtc>,
    /// Whether the later events of its aggregate wait for it (`OnDead::Block`).
    pub stops_its_aggregate: bool,
    /// Set where an operator wanted it to be processed again.
    pub replay: Option<Uuid>,
}

#[derive(FromQueryResult)]
struct Row {
    subscription: String,
    held_seq: Seq,
    attempts: i32,
    last_error: Option<String>,
    first_failed_at: Option<DateTimeUtc>,
    order_id: Option<String>,
    replay: Option<Uuid>,
    #[sea_orm(nested)]
    event: Option<EventInfo>,
}

impl Outbox {
    /// The dead letters, in order of subscription and seq, without payloads. A page is followed by the one
    /// [`after`](DeadLetterFilter::after) its last dead letter. It reads the holds by key; conditions are tried on each.
    ///
    /// # Errors
    /// [`OutboxError::UnknownSubscription`] where the filter names one, and where the database is away.
    pub async fn dead_letters(&self, filter: DeadLetterFilter) -> Result<Vec<DeadLetter>, OutboxError> {
        let db = &self.db;
        if let Some(name) = &filter.subscription {
            known(db, name).await?;
        }
        let place = Condition::all()
            .add_option(filter.subscription.as_ref().map(|name| Column::Subscription.eq(name)))
            .add_option(filter.after.as_ref().map(|(name, seq)| behind(name, *seq)));
        let rows = held(filter.condition(db.get_database_backend()).add(place))
            .select_only()
            .column(Column::Subscription)
            .column_as(Column::Seq, "held_seq")
            .columns([Column::Attempts, Column::LastError, Column::FirstFailedAt, Column::Replay])
            .column_as(Column::AggregateId, "order_id")
            .columns(EventInfo::COLUMNS)
            .order_by_asc(Column::Subscription)
            .order_by_asc(Column::Seq)
            .limit(filter.page())
            .into_model::<Row>()
            .all(db)
            .await?;
        Ok(rows.into_iter().map(DeadLetter::from).collect())
    }
}

impl From<Row> for DeadLetter {
    fn from(row: Row) -> Self {
        Self {
            subscription: row.subscription,
            seq: row.held_seq,
            event: row.event,
            attempts: row.attempts.unsigned_abs(),
            last_error: row.last_error,
            first_failed_at: row.first_failed_at,
            stops_its_aggregate: row.order_id.is_some(),
            replay: row.replay,
        }
    }
}
