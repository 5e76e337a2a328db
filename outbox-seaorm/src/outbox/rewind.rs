//! Moving a subscription's position back, so that it publishes what it had settled once more.

use async_trait::async_trait;
use outbox_core::message::Seq;
use sea_orm::{
    ColumnTrait as _, DatabaseTransaction, EntityTrait as _, QueryFilter as _,
    prelude::DateTimeUtc,
    sea_query::{Expr, ExprTrait as _},
};
use serde::Serialize;

use super::{
    Operator, OutboxError,
    audit::{Action, Change},
    operator::{Work, intervene},
};
use crate::{
    SeaOrmLog,
    tables::{
        hold, receipt,
        subscription::{Column, Entity},
    },
};

/// Where a subscription goes on after a rewind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RewindTo {
    /// With the oldest event that the log still has.
    Beginning,
    /// With the events after this seq, which itself is not published again.
    After(Seq),
    /// With the events stored at this moment or later, by the database's clock, as far as the log still has them.
    Time(DateTimeUtc),
}

/// What a rewind did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Rewound {
    /// The highest seq that counts as read now.
    pub position: Seq,
    /// What it was before.
    pub was: Seq,
    /// The last seq that was purged: nothing up to it comes again.
    pub floor: Seq,
    /// How many holds ended because their events are read again.
    pub holds_ended: u64,
}

impl Operator {
    /// Moves a subscription back: what it has read behind that place is read and published once more, with the same ids,
    /// so that inboxes drop what they have processed. A leader stores nothing more of its term, and the next begins
    /// there; what is in flight goes out twice. It works while a relay runs and while none does, and also where the
    /// stored position is not in the log any more: after a truncation or a restore, this is the way on.
    ///
    /// What was not settled up to that place stays so. Events on hold up to it stay on hold; **holds behind it end, dead
    /// letters too**, since their events are read again: they are tried as new ones, in their order, and none twice. For the
    /// same reason no acknowledgement of an event behind it is awaited until it is published again, and then anew.
    ///
    /// A subscription cannot be moved forward, since that would skip events. To a time, and wherever the stored position
    /// is not to be trusted, this reads the log once.
    ///
    /// # Errors
    /// [`OutboxError::UnknownSubscription`], [`OutboxError::NotBack`], [`OutboxError::Purged`], and where the database
    /// is away.
    pub async fn rewind(&self, subscription: &str, to: RewindTo) -> Result<Rewound, OutboxError> {
        let log = &self.outbox.log;
        // The log's own connection: whether the position can be trusted, only its own statements can tell.
        self.carry_out_on(log.connection().await?, &Rewind { log, subscription, to }).await
    }
}

struct Rewind<'a> {
    log: &'a SeaOrmLog,
    subscription: &'a str,
    to: RewindTo,
}

#[async_trait]
impl Work for Rewind<'_> {
    type Answer = Rewound;

    async fn work(&self, txn: &DatabaseTransaction) -> Result<Change<Rewound>, OutboxError> {
        let Self { log, subscription, to } = *self;
        // Purge waits from here on, and so does whoever registers.
        let floor = log.lock_floor(txn).await?;
        intervene(txn, subscription).await?;
        let stored = log.trusted_progress(txn, subscription).await?;
        let place = log.place(txn, floor, to, &stored).await?;
        let (position, was) = (place.position, stored.progress.position);
        match to {
            RewindTo::After(seq) if seq < floor => return Err(OutboxError::Purged { found: seq, floor }),
            RewindTo::After(_) | RewindTo::Time(_) if position > was => {
                let subscription = subscription.to_owned();
                return Err(OutboxError::NotBack { subscription, found: position, position: was });
            }
            _ => {}
        }
        Entity::update_many()
            .col_expr(Column::Position, Expr::value(position))
            .col_expr(Column::Anchor, Expr::value(place.anchor))
            .col_expr(Column::Holes, Expr::value(place.holes.to_string()))
            // A leader that has read further stores nothing of it.
            .col_expr(Column::FlushNo, Expr::col(Column::FlushNo).add(1))
            .filter(Column::Name.eq(subscription))
            .exec(txn)
            .await?;
        // Before the holds: a resend that is under way has the receipts, and its holds are seen once it has ended.
        await_what_is_published_anew(txn, subscription, position).await?;
        let ended = hold::Entity::delete_many()
            .filter(hold::Column::Subscription.eq(subscription))
            .filter(hold::Column::Seq.gt(position))
            .exec(txn)
            .await?;
        let answer = Rewound { position, was, floor, holds_ended: ended.rows_affected };
        Ok(Change::Made {
            action: Action::Rewind,
            target: format!("{subscription}/{position}, from {was}"),
            answer,
        })
    }
}

/// What was delivered from behind the position is no longer awaited, nor sent again beside the reading: each delivery that
/// comes is awaited for itself.
async fn await_what_is_published_anew(
    txn: &DatabaseTransaction,
    subscription: &str,
    position: Seq,
) -> Result<(), OutboxError> {
    use receipt::Column::{AckDueAt, AcknowledgedAt, Seq as Number, Subscription};

    let never = || Expr::value(Option::<DateTimeUtc>::None);
    receipt::Entity::update_many()
        .col_expr(AckDueAt, never())
        .col_expr(AcknowledgedAt, never())
        .filter(Subscription.eq(subscription))
        .filter(Number.gt(position))
        .filter(AckDueAt.is_not_null().or(AcknowledgedAt.is_not_null()))
        .exec(txn)
        .await?;
    Ok(())
}
