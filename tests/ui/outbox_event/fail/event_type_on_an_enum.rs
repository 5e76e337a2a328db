use outbox_seaorm::prelude::*;
use serde::Serialize;

#[derive(Serialize, OutboxEvent)]
#[outbox(event_type = "order", topic = "orders")]
enum OrderEvent {
    #[outbox(event_type = "order.placed")]
    Placed,
}

fn main() {}
