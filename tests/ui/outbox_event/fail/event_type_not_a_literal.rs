use outbox_seaorm::prelude::*;
use serde::Serialize;

const PLACED: &str = "order.placed";

#[derive(Serialize, OutboxEvent)]
#[outbox(event_type = PLACED, topic = "orders")]
struct OrderPlaced;

fn main() {}
