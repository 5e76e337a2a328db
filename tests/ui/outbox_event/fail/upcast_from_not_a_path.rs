use outbox_seaorm::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, OutboxEvent)]
#[outbox(event_type = "order.placed", version = 2, topic = "orders", upcast_from = "OrderPlacedV1")]
struct OrderPlaced;

fn main() {}
