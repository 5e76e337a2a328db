use outbox_seaorm::prelude::*;

#[derive(OutboxEvent)]
#[outbox(event_type = "order.placed", topic = "orders")]
union OrderPlaced {
    id: u64,
}

fn main() {}
