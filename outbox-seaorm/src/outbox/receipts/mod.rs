//! What is known of deliveries after the fact, where a subscription keeps receipts: when the broker took an event and under
//! which id, and whether a consumer has acknowledged it.
//!
//! An acknowledgement is recorded by whoever hears of it, on a pool of its own: it is no operator's change, and no leader's
//! memory depends on it. It may come before the leader has stored the receipt, and is kept then.

mod acknowledge;
mod filter;
mod resend;

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use outbox_core::message::Seq;
use sea_orm::{
    ColumnTrait as _, EntityTrait as _, QueryFilter as _, QueryOrder as _, QuerySelect as _, sea_query::Query,
};
use serde::Serialize;
use uuid::Uuid;

pub use acknowledge::Acknowledged;
pub use filter::Awaited;
pub use resend::Resent;

use super::{Outbox, OutboxError};
use crate::{
    clock,
    tables::{event, receipt, subscription},
};

/// What is known of one delivery.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DeliveryReceipt {
    /// Who published it.
    pub subscription: String,
    /// The event.
    pub seq: Seq,
    /// The id that the broker gave it, where it gives one.
    pub broker_id: Option<String>,
    /// When it was published last, by the database's clock; where only the acknowledgement is known so far, when that came.
    pub dispatched_at: DateTime<Utc>,
    /// When a consumer acknowledged it.
    pub acknowledged_at: Option<DateTime<Utc>>,
    /// Until when that is awaited; `None` where it is not, or has come.
    pub ack_due_at: Option<DateTime<Utc>>,
}

/// A delivery whose acknowledgement is awaited.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Unacknowledged {
    /// Who published it.
    pub subscription: String,
    /// The event.
    pub seq: Seq,
    /// The event's id, with which it is acknowledged; `None` where somebody deleted the event by hand.
    pub id: Option<Uuid>,
    /// The event's type.
    pub event_type: Option<String>,
    /// The id that the broker gave it, where it gives one.
    pub broker_id: Option<String>,
    /// Since when it is awaited: when it was published last, by the database's clock.
    pub dispatched_at: DateTime<Utc>,
    /// Until when its consumer has time.
    pub ack_due_at: DateTime<Utc>,
    /// Whether that time is over, by the database's clock.
    pub overdue: bool,
}

impl Outbox {
    /// The deliveries whose acknowledgement is awaited, the longest overdue first. Until it comes, the log keeps the event.
    ///
    /// # Errors
    /// [`OutboxError::TooManySeqs`], and where the database is away.
    pub async fn unacknowledged(&self, which: &Awaited) -> Result<Vec<Unacknowledged>, OutboxError> {
        let now = clock::read(&self.db).await?;
        let receipts = receipt::Entity::find()
            .filter(which.condition(now)?)
            .order_by_asc(receipt::Column::AckDueAt)
            .order_by_asc(receipt::Column::Seq)
            .limit(which.limit())
            .all(&self.db)
            .await?;
        let mut events = self.ids_and_types(receipts.iter().map(|receipt| receipt.seq)).await?;
        let awaited = receipts.into_iter().filter_map(|receipt| {
            let ack_due_at = receipt.ack_due_at?;
            let event = events.get_mut(&receipt.seq);
            Some(Unacknowledged {
                id: event.as_ref().map(|event| event.0),
                event_type: event.map(|event| event.1.clone()),
                subscription: receipt.subscription,
                seq: receipt.seq,
                broker_id: receipt.broker_id,
                dispatched_at: receipt.dispatched_at,
                ack_due_at,
                overdue: ack_due_at <= now,
            })
        });
        Ok(awaited.collect())
    }

    /// What is known of an event's deliveries, one for each subscription that keeps receipts and has published it.
    ///
    /// # Errors
    /// Where the database is away.
    pub async fn receipts(&self, seq: Seq) -> Result<Vec<DeliveryReceipt>, OutboxError> {
        // The key begins with the subscription's name.
        let names = Query::select().column(subscription::Column::Name).from(subscription::Entity).to_owned();
        let receipts = receipt::Entity::find()
            .filter(receipt::Column::Subscription.in_subquery(names))
            .filter(receipt::Column::Seq.eq(seq))
            .order_by_asc(receipt::Column::Subscription)
            .all(&self.db)
            .await?;
        Ok(receipts.into_iter().map(DeliveryReceipt::from).collect())
    }

    async fn ids_and_types(
        &self,
        seqs: impl Iterator<Item = Seq>,
    ) -> Result<HashMap<Seq, (Uuid, String)>, OutboxError> {
        use event::Column::{EventType, Id, Seq as Number};

        let rows: Vec<(Seq, Uuid, String)> = event::Entity::find()
            .select_only()
            .columns([Number, Id, EventType])
            .filter(Number.is_in(seqs))
            .into_tuple()
            .all(&self.db)
            .await?;
        Ok(rows.into_iter().map(|(seq, id, event_type)| (seq, (id, event_type))).collect())
    }
}

impl From<receipt::Model> for DeliveryReceipt {
    fn from(row: receipt::Model) -> Self {
        let receipt::Model { subscription, seq, broker_id, dispatched_at, acknowledged_at, ack_due_at } = row;
        Self { subscription, seq, broker_id, dispatched_at, acknowledged_at, ack_due_at }
    }
}
