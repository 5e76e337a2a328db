use outbox_seaorm::{event::IntoEvents, prelude::*};
use serde::Serialize;

#[derive(Serialize, OutboxEvent)]
#[outbox(event_type = "order.placed", topic = "orders")]
struct OrderPlaced;

fn store(_: impl IntoEvents) {}

fn place(event: Result<OrderPlaced, String>) {
    store(event);
}

fn main() {}
