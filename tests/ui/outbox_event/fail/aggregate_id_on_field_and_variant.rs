use outbox_seaorm::prelude::*;
use serde::Serialize;

#[derive(Serialize, OutboxEvent)]
#[outbox(aggregate = "order")]
enum OrderEvent {
    #[outbox(event_type = "order.placed", aggregate_id = order_id)]
    Placed {
        #[outbox(aggregate_id)]
        order_id: u64,
    },
}

fn main() {}
