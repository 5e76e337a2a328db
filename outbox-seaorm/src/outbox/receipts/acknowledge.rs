//! A consumer has processed an event.

use outbox_core::message::Seq;
use sea_orm::{
    ActiveValue::{NotSet, Set},
    ColumnTrait as _, ConnectionTrait, EntityTrait as _, PaginatorTrait as _, QueryFilter as _, SqlErr,
    TransactionTrait as _,
    sea_query::Expr,
};
use serde::Serialize;
use uuid::Uuid;

use crate::{
    clock,
    outbox::{Outbox, OutboxError, floor::lock_floor},
    tables::{event, receipt, subscription},
};

/// How often an acknowledgement is tried again where the leader stores the receipt at the same moment: once is enough,
/// because a receipt stays.
const ATTEMPTS: u32 = 3;

/// What became of an acknowledgement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Acknowledged {
    /// It is stored.
    Recorded,
    /// It was stored before; nothing is changed.
    Before,
    /// There is no such subscription, or the log has no event of that number and id: it was purged, or the
    /// acknowledgement is somebody else's.
    Unknown,
}

impl Outbox {
    /// Records that a consumer has processed what a subscription published: the event's number and id, as its message
    /// carried them. It may be said any number of times, and before the leader has stored that it was published; the leader
    /// then awaits it no more.
    ///
    /// # Errors
    /// Where the database is away.
    pub async fn acknowledge(
        &self,
        subscription: &str,
        seq: Seq,
        id: Uuid,
    ) -> Result<Acknowledged, OutboxError> {
        if !is_in_log(&self.db, seq, id).await? {
            return Ok(Acknowledged::Unknown);
        }
        for _ in 0..ATTEMPTS {
            if let Some(stored) = self.note_at_receipt(subscription, seq).await? {
                return Ok(stored);
            }
            if let Some(stored) = self.note_without_receipt(subscription, seq, id).await? {
                return Ok(stored);
            }
        }
        Ok(Acknowledged::Unknown)
    }

    /// `None` where there is no receipt.
    async fn note_at_receipt(
        &self,
        subscription: &str,
        seq: Seq,
    ) -> Result<Option<Acknowledged>, OutboxError> {
        use receipt::Column::{AckDueAt, AcknowledgedAt};

        let noted = receipt::Entity::update_many()
            .col_expr(AcknowledgedAt, clock::now(self.db.get_database_backend()))
            .col_expr(AckDueAt, Expr::value(Option::<sea_orm::prelude::DateTimeUtc>::None))
            .filter(receipt::Column::Subscription.eq(subscription))
            .filter(receipt::Column::Seq.eq(seq))
            .filter(AcknowledgedAt.is_null())
            .exec(&self.db)
            .await?;
        if noted.rows_affected > 0 {
            return Ok(Some(Acknowledged::Recorded));
        }
        let key = (subscription.to_owned(), seq);
        let stored = receipt::Entity::find_by_id(key).one(&self.db).await?;
        Ok(stored.filter(|receipt| receipt.acknowledged_at.is_some()).map(|_| Acknowledged::Before))
    }

    /// The leader's flush finds it there and awaits nothing. Purge is kept away meanwhile: it would leave a receipt of an
    /// event that is gone. `None` where there is a receipt by now.
    async fn note_without_receipt(
        &self,
        subscription: &str,
        seq: Seq,
        id: Uuid,
    ) -> Result<Option<Acknowledged>, OutboxError> {
        let txn = self.db.begin_with_options(self.changing()).await?;
        lock_floor(&txn).await?;
        let known = subscription::Entity::find_by_id(subscription).count(&txn).await? > 0;
        if !known || !is_in_log(&txn, seq, id).await? {
            txn.rollback().await?;
            return Ok(Some(Acknowledged::Unknown));
        }
        let insert = receipt::Entity::insert(receipt::ActiveModel {
            subscription: Set(subscription.to_owned()),
            seq: Set(seq),
            broker_id: Set(None),
            dispatched_at: NotSet,
            acknowledged_at: Set(Some(clock::read(&txn).await?)),
            ack_due_at: Set(None),
        });
        match insert.exec_without_returning(&txn).await {
            Ok(_) => txn.commit().await.map(|()| Some(Acknowledged::Recorded)).map_err(OutboxError::from),
            Err(error) if matches!(error.sql_err(), Some(SqlErr::UniqueConstraintViolation(_))) => {
                txn.rollback().await?;
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }
}

async fn is_in_log(db: &impl ConnectionTrait, seq: Seq, id: Uuid) -> Result<bool, OutboxError> {
    let event = event::Entity::find_by_id(seq).filter(event::Column::Id.eq(id));
    Ok(event.count(db).await? > 0)
}
