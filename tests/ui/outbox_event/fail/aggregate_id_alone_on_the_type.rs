use outbox_seaorm::prelude::*;
use serde::Serialize;

#[derive(Serialize, OutboxEvent)]
#[outbox(event_type = "order.placed", aggregate = "order", aggregate_id)]
struct OrderPlaced {
    order_id: u64,
}

fn main() {}
