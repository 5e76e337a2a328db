use outbox_seaorm::prelude::*;
use serde::Serialize;

#[derive(Serialize, OutboxEvent)]
#[outbox(event_type = "order.placed", aggregate = "order")]
struct OrderPlaced {
    #[outbox(aggregate_id)]
    order_id: Option<u64>,
}

fn main() {}
