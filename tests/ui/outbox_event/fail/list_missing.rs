use outbox_seaorm::prelude::*;
use serde::Serialize;

#[derive(Serialize, OutboxEvent)]
#[outbox]
struct OrderPlaced;

#[derive(Serialize, OutboxEvent)]
#[outbox = "order.paid"]
struct OrderPaid;

fn main() {}
