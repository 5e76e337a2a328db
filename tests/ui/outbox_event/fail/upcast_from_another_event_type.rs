use outbox_seaorm::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Deserialize, OutboxEvent)]
#[outbox(event_type = "order.placed", topic = "orders")]
struct OrderPlacedV1;

#[derive(Serialize, Deserialize, OutboxEvent)]
#[outbox(event_type = "order.paid", version = 2, topic = "orders", upcast_from = OrderPlacedV1)]
struct OrderPaid;

impl From<OrderPlacedV1> for OrderPaid {
    fn from(_: OrderPlacedV1) -> Self {
        Self
    }
}

fn main() {}
