use outbox_seaorm::prelude::*;
use serde::Serialize;

#[derive(Serialize, OutboxEvent)]
#[outbox(event_type = "order.placed", aggregate = "order")]
struct OrderPlaced {
    #[outbox(aggregate_id)]
    order_id: u64,
    #[outbox(aggregate_id)]
    customer_id: u64,
}

fn main() {}
