use outbox_seaorm::prelude::*;
use serde::Serialize;

#[derive(Serialize)]
struct OrderId(u64);

#[derive(Serialize, OutboxEvent)]
#[outbox(event_type = "order.placed", aggregate = "order")]
struct OrderPlaced {
    #[outbox(aggregate_id)]
    order_id: OrderId,
}

#[derive(Serialize, OutboxEvent)]
#[outbox(event_type = "order.paid", aggregate = "order", aggregate_id = self.order_id)]
struct OrderPaid {
    order_id: OrderId,
}

fn main() {}
