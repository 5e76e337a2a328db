use outbox_seaorm::prelude::*;
use serde::Serialize;

#[derive(Serialize, OutboxEvent)]
#[outbox(event_type = "order.placed", aggregate = "order", aggregate_id = self.order_id)]
struct OrderPlaced {
    #[outbox(aggregate_id)]
    order_id: u64,
}

fn main() {}
