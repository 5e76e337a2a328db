//! What the writers write and the consumer does: orders whose saves tell of themselves, and the effects of that.
//!
//! The orders are the measure of a run: an order at step 7 has told of its steps 1 to 7, each with as many parts as
//! [`parts`] says, or its row and its events are not of one transaction.

pub mod effect;
pub mod events;
pub mod order;

use anyhow::Result;
use sea_orm::{ActiveValue::Set, ConnectionTrait, DatabaseConnection, EntityTrait as _, Schema};

/// How many orders the writers share: few, so that their row locks are waited for.
pub const ORDERS: i64 = 24;

/// How many events the save that led to this step told of: the hook's one or two, and one that was raised.
#[must_use]
pub fn parts(step: i64) -> usize {
    1 + usize::from(step % 4 == 0) + usize::from(step % 5 == 0)
}

/// Creates the outbox's and the shop's tables, with the orders at step 0.
///
/// # Errors
/// What the database says.
pub async fn create_tables(db: &DatabaseConnection) -> Result<()> {
    outbox_seaorm::create_tables(db).await?;
    let schema = Schema::new(db.get_database_backend());
    db.execute(&schema.create_table_from_entity(order::Entity)).await?;
    db.execute(&schema.create_table_from_entity(effect::Entity)).await?;
    let orders = (1..=ORDERS).map(|id| order::ActiveModel { id: Set(id), step: Set(0) });
    order::Entity::insert_many(orders).exec(db).await?;
    Ok(())
}
