use outbox_seaorm::{event::IntoEvents, prelude::*};

#[derive(OutboxEvent)]
#[outbox(event_type = "order.placed", topic = "orders")]
struct OrderPlaced;

fn store(_: impl IntoEvents) {}

fn place() {
    store(OrderPlaced);
}

fn main() {}
