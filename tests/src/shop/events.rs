//! What is told of the shop.

use outbox_seaorm::{UpdateWithBefore, prelude::*};
use uuid::Uuid;

use super::{line, order, part, seat};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, OutboxEvent)]
#[outbox(event_type = "order.placed", topic = "orders", aggregate = "order")]
pub struct OrderPlaced {
    #[outbox(aggregate_id)]
    pub order_id: Uuid,
    pub total_cents: i64,
}

impl From<&order::Model> for OrderPlaced {
    fn from(order: &order::Model) -> Self {
        Self { order_id: order.id, total_cents: order.total_cents }
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, OutboxEvent)]
#[outbox(event_type = "order.paid", topic = "orders", aggregate = "order")]
pub struct OrderPaid {
    #[outbox(aggregate_id)]
    pub order_id: Uuid,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, OutboxEvent)]
#[outbox(event_type = "order.removed", topic = "orders", aggregate = "order")]
pub struct OrderRemoved {
    #[outbox(aggregate_id)]
    pub order_id: Uuid,
    pub status: String,
}

impl From<&order::Model> for OrderRemoved {
    fn from(order: &order::Model) -> Self {
        Self { order_id: order.id, status: order.status.clone() }
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, OutboxEvent)]
#[outbox(event_type = "order.noted", topic = "orders", aggregate = "order")]
pub struct OrderNoted {
    #[outbox(aggregate_id)]
    pub order_id: Uuid,
    pub note: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, OutboxEvent)]
#[outbox(event_type = "line.added", topic = "orders", aggregate = "order")]
pub struct LineAdded {
    #[outbox(aggregate_id)]
    pub order_id: Uuid,
    pub line_id: i64,
}

impl From<&line::Model> for LineAdded {
    fn from(line: &line::Model) -> Self {
        Self { order_id: line.order_id, line_id: line.id }
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, OutboxEvent)]
#[outbox(event_type = "part.saved", topic = "parts", aggregate = "part")]
pub struct PartSaved {
    #[outbox(aggregate_id)]
    pub part_id: i64,
    pub stock: i32,
    pub stock_before: Option<i32>,
}

impl From<&part::Model> for PartSaved {
    fn from(part: &part::Model) -> Self {
        Self { part_id: part.id, stock: part.stock, stock_before: None }
    }
}

impl From<&UpdateWithBefore<part::Model>> for PartSaved {
    fn from(update: &UpdateWithBefore<part::Model>) -> Self {
        let stock_before = Some(update.before().stock);
        Self { stock_before, ..Self::from(update.row()) }
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, OutboxEvent)]
#[outbox(event_type = "seat.changed", topic = "seats", aggregate = "seat")]
pub struct SeatChanged {
    #[outbox(aggregate_id)]
    pub seat: String,
    pub what: String,
}

impl SeatChanged {
    pub fn of(seat: &seat::Model, what: &str) -> Self {
        Self { seat: format!("{}-{}", seat.row_no, seat.place), what: what.to_owned() }
    }
}
