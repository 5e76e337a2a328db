//! What is told of an order.

use outbox_seaorm::prelude::*;

/// How the order stood after a save. The row's lock makes the steps ascend in the order of commits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, OutboxEvent)]
#[outbox(event_type = "order.changed", topic = "orders", aggregate = "order")]
pub struct OrderChanged {
    #[outbox(aggregate_id)]
    pub order: i64,
    pub step: i64,
}

/// The same, raised by the code that saves.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, OutboxEvent)]
#[outbox(event_type = "order.noted", topic = "orders", aggregate = "order")]
pub struct OrderNoted {
    #[outbox(aggregate_id)]
    pub order: i64,
    pub step: i64,
}

/// Belongs to nothing, so it may be the first statement of its transaction.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, OutboxEvent)]
#[outbox(event_type = "shop.seen", topic = "visits")]
pub struct Seen {
    pub by: u64,
}
