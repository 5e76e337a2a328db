use outbox_seaorm::prelude::*;
use serde::Serialize;

#[derive(Serialize, OutboxEvent)]
#[outbox(topic = "orders")]
struct OrderPlaced;

fn main() {}
