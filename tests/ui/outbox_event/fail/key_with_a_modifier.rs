use outbox_seaorm::prelude::*;
use serde::Serialize;

#[derive(Serialize, OutboxEvent)]
#[outbox(event_type(lowercase) = "order.placed", topic = "orders")]
struct OrderPlaced;

fn main() {}
