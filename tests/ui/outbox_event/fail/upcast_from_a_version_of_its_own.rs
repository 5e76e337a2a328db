use outbox_seaorm::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Deserialize, OutboxEvent)]
#[outbox(event_type = "order.placed", topic = "orders")]
struct OrderPlacedV1;

#[derive(Serialize, Deserialize, OutboxEvent)]
#[outbox(topic = "orders")]
enum OrderEvent {
    #[outbox(event_type = "order.placed", version = 2, upcast_from = OrderPlacedV1)]
    Placed,
    #[outbox(event_type = "order.placed", version = 1)]
    PlacedLongAgo,
}

impl From<OrderPlacedV1> for OrderEvent {
    fn from(_: OrderPlacedV1) -> Self {
        Self::Placed
    }
}

fn main() {}
