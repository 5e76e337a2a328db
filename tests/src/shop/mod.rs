//! The house domain: orders with lines (as `#[sea_orm::model]`), parts (an old-style entity) and their events.

pub mod events;
pub mod line;
pub mod order;
pub mod part;
pub mod seat;

use anyhow::Result;
use outbox_seaorm::tables::event;
use sea_orm::{ConnectionTrait, EntityTrait, QueryOrder as _, Schema};

/// Creates the shop's tables.
///
/// # Errors
/// What the database says.
pub async fn create_tables<C: ConnectionTrait>(db: &C) -> Result<()> {
    let schema = Schema::new(db.get_database_backend());
    db.execute(&schema.create_table_from_entity(order::Entity)).await?;
    db.execute(&schema.create_table_from_entity(line::Entity)).await?;
    db.execute(&schema.create_table_from_entity(part::Entity)).await?;
    db.execute(&schema.create_table_from_entity(seat::Entity)).await?;
    Ok(())
}

/// The log, in order.
///
/// # Errors
/// What the database says.
pub async fn log<C: ConnectionTrait>(db: &C) -> Result<Vec<event::Model>> {
    Ok(event::Entity::find().order_by_asc(event::Column::Seq).all(db).await?)
}

/// The types of the events in the log, in order.
///
/// # Errors
/// What the database says.
pub async fn types<C: ConnectionTrait>(db: &C) -> Result<Vec<String>> {
    Ok(log(db).await?.into_iter().map(|event| event.event_type).collect())
}
