use outbox_seaorm::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Deserialize, OutboxEvent)]
#[outbox(event_type = "order.placed", topic = "orders")]
struct OrderPlacedV1;

#[derive(Serialize, Deserialize, OutboxEvent)]
#[outbox(event_type = "order.placed", version = 2, topic = "orders", upcast_from = OrderPlacedV1)]
struct OrderPlaced;

#[derive(Serialize, Deserialize, OutboxEvent)]
#[outbox(topic = "orders")]
enum OrderEvent {
    #[outbox(event_type = "order.placed", version = 2, upcast_from = OrderPlacedV1)]
    Placed,
}

fn main() {}
