use outbox_seaorm::prelude::*;
use serde::Serialize;

#[derive(Serialize, OutboxEvent)]
#[outbox(topic = "orders")]
enum OrderEvent {
    #[outbox(event_type = "order.placed")]
    Placed,
    #[outbox(event_type = "order.seen")]
    #[serde(skip)]
    Seen,
}

#[derive(Serialize, OutboxEvent)]
#[outbox(topic = "orders")]
#[serde(untagged)]
enum Untagged {
    #[outbox(event_type = "order.paid")]
    #[serde(skip_serializing)]
    Paid,
}

fn main() {}
