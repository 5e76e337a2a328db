use outbox_seaorm::prelude::*;
use serde::Serialize;

#[derive(Serialize, OutboxEvent)]
#[outbox(event_type = "order.placed", topic = "orders", partition = "a")]
struct OrderPlaced;

fn main() {}
