//! Finding holds by what they and their events are like.

use outbox_core::message::Seq;
use sea_orm::{
    ColumnTrait as _, Condition, ConnectionTrait, DatabaseTransaction, DbErr, EntityTrait, JoinType,
    QueryFilter as _, QueryOrder as _, QuerySelect as _, RelationDef, Select,
};

use super::super::{EventRef, OutboxError, operator::unknown_subscription};
use crate::tables::{
    event,
    hold::{Column, Entity},
    subscription,
};

/// Behind a place in the order of subscriptions and seqs.
pub(super) fn behind(name: &str, seq: Seq) -> Condition {
    Condition::any()
        .add(Column::Subscription.gt(name))
        .add(Condition::all().add(Column::Subscription.eq(name)).add(Column::Seq.gt(seq)))
}

/// Holds with their events, if these are there.
pub(super) fn held(condition: Condition) -> Select<Entity> {
    let event: RelationDef =
        Entity::belongs_to(event::Entity).from(Column::Seq).to(event::Column::Seq).into();
    Entity::find().join(JoinType::LeftJoin, event).filter(condition)
}

pub(super) async fn seqs(
    db: &impl ConnectionTrait,
    condition: Condition,
    limit: u64,
) -> Result<Vec<Seq>, DbErr> {
    held(condition)
        .select_only()
        .column(Column::Seq)
        .order_by_asc(Column::Seq)
        .limit(limit)
        .into_tuple()
        .all(db)
        .await
}

/// The seq and the state of an event that is on hold.
pub(super) async fn one_held(
    txn: &DatabaseTransaction,
    event: EventRef,
    subscription: &str,
) -> Result<(Seq, String), OutboxError> {
    let wanted = match event {
        EventRef::Seq(seq) => Column::Seq.eq(seq),
        EventRef::Id(id) => event::Column::Id.eq(id),
    };
    let found = held(Condition::all().add(Column::Subscription.eq(subscription)).add(wanted))
        .select_only()
        .column(Column::Seq)
        .column(Column::State)
        .into_tuple()
        .one(txn)
        .await?;
    found.ok_or_else(|| OutboxError::NotHeld { subscription: subscription.to_owned(), event })
}

/// # Errors
/// Where there is no such subscription: a slip must not look like an empty list.
pub(super) async fn known(db: &impl ConnectionTrait, name: &str) -> Result<(), OutboxError> {
    let found = subscription::Entity::find_by_id(name)
        .select_only()
        .column(subscription::Column::Name)
        .into_tuple::<String>()
        .one(db)
        .await?;
    if found.is_some() { Ok(()) } else { Err(unknown_subscription(db, name).await?) }
}

pub(super) async fn names(db: &impl ConnectionTrait) -> Result<Vec<String>, DbErr> {
    subscription::Entity::find()
        .select_only()
        .column(subscription::Column::Name)
        .order_by_asc(subscription::Column::Name)
        .into_tuple()
        .all(db)
        .await
}
