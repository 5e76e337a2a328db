//! The service that consumes: each event takes effect once in its own table, however often it is delivered.

pub mod booking;

use outbox_seaorm::{
    Tx,
    consumer::{Delivery, HandlerError},
};
use sea_orm::{ActiveModelTrait as _, ActiveValue::Set};

use crate::orders::events::{OrderCancelled, OrderMoved, OrderPaid, OrderPlaced};

/// The consumer's name: with source and id of a message it is the key of the inbox.
pub const CONSUMER: &str = "inventory";

pub async fn reserve(event: Delivery<OrderPlaced>, txn: Tx) -> Result<(), HandlerError> {
    book(&txn, &event.order_id, event.revision, "reserved", event.quantity).await
}

pub async fn confirm(event: Delivery<OrderPaid>, txn: Tx) -> Result<(), HandlerError> {
    book(&txn, &event.order_id, event.revision, "confirmed", 0).await
}

pub async fn redirect(event: Delivery<OrderMoved>, txn: Tx) -> Result<(), HandlerError> {
    book(&txn, &event.order_id, event.revision, "redirected", 0).await
}

pub async fn release(event: Delivery<OrderCancelled>, txn: Tx) -> Result<(), HandlerError> {
    book(&txn, &event.order_id, event.revision, "released", -event.quantity).await
}

/// Written in the transaction of the inbox row: both are committed or neither.
async fn book(txn: &Tx, order_id: &str, revision: i32, step: &str, units: i32) -> Result<(), HandlerError> {
    let booking = booking::ActiveModel {
        order_id: Set(order_id.to_owned()),
        revision: Set(revision),
        step: Set(step.to_owned()),
        units: Set(units),
        ..Default::default()
    };
    booking.insert(txn).await?;
    Ok(())
}
