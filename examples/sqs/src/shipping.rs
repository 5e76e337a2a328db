//! The service that consumes: each event takes effect once in its own table, however often it is delivered.

use anyhow::Result;
use outbox_seaorm::{
    Tx,
    consumer::{Delivery, HandlerError},
};
use sea_orm::{ActiveValue::Set, DatabaseConnection, QueryOrder as _, entity::prelude::*};

use crate::orders::{OrderPaid, OrderPlaced, OrderShipped};

/// What was done for an order, in the order in which it was done.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "shipping_steps")]
pub struct Model {
    #[sea_orm(primary_key)]
    pub id: i64,
    pub order_id: i64,
    pub step: String,
}

impl ActiveModelBehavior for ActiveModel {}

pub async fn prepare(event: Delivery<OrderPlaced>, txn: Tx) -> Result<(), HandlerError> {
    note(&txn, event.order_id, "placed").await
}

pub async fn charge(event: Delivery<OrderPaid>, txn: Tx) -> Result<(), HandlerError> {
    note(&txn, event.order_id, "paid").await
}

/// An error gives the message back: it comes again, and after three receives the queue puts it aside.
pub async fn hand_over(event: Delivery<OrderShipped>, txn: Tx) -> Result<(), HandlerError> {
    if event.address.is_empty() {
        return Err(HandlerError::retry("expected an address, found none"));
    }
    note(&txn, event.order_id, "shipped").await
}

/// Written in the transaction of the inbox row: both are committed or neither.
async fn note(txn: &Tx, order_id: i64, step: &str) -> Result<(), HandlerError> {
    let row = ActiveModel { order_id: Set(order_id), step: Set(step.to_owned()), ..Default::default() };
    row.insert(txn).await?;
    Ok(())
}

/// Everything that was done.
pub async fn steps(db: &DatabaseConnection) -> Result<Vec<Model>> {
    Ok(Entity::find().order_by_asc(Column::Id).all(db).await?)
}
