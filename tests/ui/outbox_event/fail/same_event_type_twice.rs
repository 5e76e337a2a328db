use outbox_seaorm::prelude::*;
use serde::Serialize;

#[derive(Serialize, OutboxEvent)]
#[outbox(topic = "orders")]
enum OrderEvent {
    #[outbox(event_type = "order.placed")]
    Placed,
    #[outbox(event_type = "order.placed", version = 1)]
    PlacedAgain,
}

fn main() {}
