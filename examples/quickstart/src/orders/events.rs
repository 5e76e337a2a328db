//! What the service tells the world. Names and versions are a contract: they are written by hand, never derived.

use outbox_seaorm::prelude::*;
use serde::{Deserialize, Serialize};

use super::order;

#[derive(Clone, Debug, Serialize, Deserialize, OutboxEvent)]
#[outbox(event_type = "order.placed", topic = "orders", aggregate = "order")]
pub struct OrderPlaced {
    #[outbox(aggregate_id)]
    pub order_id: String,
    pub revision: i32,
    pub sku: String,
    pub quantity: i32,
}

#[derive(Clone, Debug, Serialize, Deserialize, OutboxEvent)]
#[outbox(event_type = "order.paid", topic = "orders", aggregate = "order")]
pub struct OrderPaid {
    #[outbox(aggregate_id)]
    pub order_id: String,
    pub revision: i32,
    pub total_cents: i64,
}

#[derive(Clone, Debug, Serialize, Deserialize, OutboxEvent)]
#[outbox(event_type = "order.moved", topic = "orders", aggregate = "order")]
pub struct OrderMoved {
    #[outbox(aggregate_id)]
    pub order_id: String,
    pub revision: i32,
    pub address: String,
}

#[derive(Clone, Debug, Serialize, Deserialize, OutboxEvent)]
#[outbox(event_type = "order.cancelled", topic = "orders", aggregate = "order")]
pub struct OrderCancelled {
    #[outbox(aggregate_id)]
    pub order_id: String,
    pub revision: i32,
    pub sku: String,
    pub quantity: i32,
}

impl From<&order::Model> for OrderPlaced {
    fn from(order: &order::Model) -> Self {
        Self {
            order_id: order.id.clone(),
            revision: order.revision,
            sku: order.sku.clone(),
            quantity: order.quantity,
        }
    }
}

impl From<&order::Model> for OrderPaid {
    fn from(order: &order::Model) -> Self {
        Self { order_id: order.id.clone(), revision: order.revision, total_cents: order.total_cents }
    }
}

impl From<&order::Model> for OrderMoved {
    fn from(order: &order::Model) -> Self {
        Self { order_id: order.id.clone(), revision: order.revision, address: order.address.clone() }
    }
}

impl From<&order::Model> for OrderCancelled {
    fn from(order: &order::Model) -> Self {
        Self {
            order_id: order.id.clone(),
            revision: order.revision,
            sku: order.sku.clone(),
            quantity: order.quantity,
        }
    }
}
