use outbox_seaorm::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Deserialize, OutboxEvent)]
#[outbox(event_type = "order.placed", topic = "orders", upcast_from = OrderPlaced)]
struct OrderPlacedV1;

impl From<OrderPlaced> for OrderPlacedV1 {
    fn from(_: OrderPlaced) -> Self {
        Self
    }
}

#[derive(Serialize, Deserialize, OutboxEvent)]
#[outbox(event_type = "order.placed", version = 2, topic = "orders", upcast_from = OrderPlacedV1)]
struct OrderPlaced;

impl From<OrderPlacedV1> for OrderPlaced {
    fn from(_: OrderPlacedV1) -> Self {
        Self
    }
}

fn main() {}
