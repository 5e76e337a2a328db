use outbox_seaorm::prelude::*;
use serde::Serialize;

#[derive(Serialize, OutboxEvent)]
#[outbox(event_type = "order.placed", version = 0, topic = "orders")]
struct OrderPlaced;

fn main() {}
