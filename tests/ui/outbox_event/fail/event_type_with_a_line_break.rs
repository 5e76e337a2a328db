use outbox_seaorm::prelude::*;
use serde::Serialize;

#[derive(Serialize, OutboxEvent)]
#[outbox(event_type = "order\nplaced", topic = "orders")]
struct OrderPlaced;

fn main() {}
