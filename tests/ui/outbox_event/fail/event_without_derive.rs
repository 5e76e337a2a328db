use outbox_seaorm::event::IntoEvents;
use serde::Serialize;

#[derive(Serialize)]
struct OrderPlaced;

fn store(_: impl IntoEvents) {}

fn place() {
    store(OrderPlaced);
    store(vec![OrderPlaced]);
}

fn main() {}
