//! The purge floor: the highest seq that is gone for good.

use outbox_core::message::Seq;
use sea_orm::{ConnectionTrait, DatabaseTransaction, DbErr, EntityTrait as _, QuerySelect as _};

use super::OutboxError;
use crate::tables::meta;

/// Locks it to the end of the transaction: what is above stays in the log until then. Whoever needs old events again locks
/// it before anything else, as purge does.
pub(super) async fn lock_floor(txn: &DatabaseTransaction) -> Result<Seq, OutboxError> {
    let row = meta::Entity::find_by_id(1).lock_exclusive().one(txn).await?;
    floor_of(row)
}

/// As it stands.
pub(super) async fn read_floor(db: &impl ConnectionTrait) -> Result<Seq, OutboxError> {
    floor_of(meta::Entity::find_by_id(1).one(db).await?)
}

fn floor_of(row: Option<meta::Model>) -> Result<Seq, OutboxError> {
    let expected = "expected one row in the table that holds the purge floor, found none: run the migrations";
    let row = row.ok_or_else(|| DbErr::RecordNotFound(expected.to_owned()))?;
    Ok(row.floor)
}
