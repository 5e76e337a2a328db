use serde::Serialize;

#[derive(Serialize)]
struct OrderPlaced;

fn type_of<E: outbox_seaorm::OutboxEvent>(event: &E) -> &str {
    event.kind().event_type
}

fn place() {
    type_of(&OrderPlaced);
}

fn main() {}
