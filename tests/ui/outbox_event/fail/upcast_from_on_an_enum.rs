use outbox_seaorm::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Deserialize, OutboxEvent)]
#[outbox(event_type = "order.placed", topic = "orders")]
struct OrderPlacedV1;

#[derive(Serialize, Deserialize, OutboxEvent)]
#[outbox(version = 2, topic = "orders", upcast_from = OrderPlacedV1)]
enum OrderEvent {
    #[outbox(event_type = "order.placed")]
    Placed,
}

fn main() {}
