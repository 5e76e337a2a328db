use outbox_seaorm::prelude::*;
use serde::Serialize;

#[derive(Serialize, OutboxEvent)]
#[outbox(event_type = "", topic = "orders")]
struct OrderPlaced;

fn main() {}
