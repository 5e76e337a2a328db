//! Structs of every form, the defaults, and where an aggregate id may come from.

use outbox_seaorm::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, OutboxEvent)]
#[outbox(event_type = "order.placed", version = 3, topic = "orders", aggregate = "order")]
struct Placed {
    #[outbox(aggregate_id)]
    order_id: u64,
    note: Option<String>,
}

#[derive(Serialize, OutboxEvent)]
#[outbox(event_type = "order.paid", aggregate = "order")]
struct Paid(u8, #[outbox(aggregate_id)] &'static str);

#[derive(Serialize, OutboxEvent)]
#[outbox(event_type = "day.closed", topic = "days")]
struct DayClosed;

#[derive(Serialize)]
struct Customer {
    id: u64,
}

#[derive(Serialize, OutboxEvent)]
#[outbox(event_type = "customer.moved", aggregate = "customer")]
#[outbox(aggregate_id = format!("{}/{}", self.customer.id, self.r#type))]
struct Moved {
    customer: Customer,
    r#type: u8,
}

fn main() {
    let placed = Placed { order_id: 7, note: None };
    let kind = placed.kind();
    assert_eq!((kind.event_type, kind.version), ("order.placed", 3));
    assert_eq!((kind.topic, kind.aggregate_type), ("orders", Some("order")));
    assert_eq!(placed.aggregate_id().as_deref(), Some("7"));

    let paid = Paid(0, "A-1");
    assert_eq!((paid.kind().version, paid.kind().topic), (1, "order"));
    assert_eq!(paid.aggregate_id().as_deref(), Some("A-1"));

    assert_eq!((DayClosed.kind().aggregate_type, DayClosed.aggregate_id()), (None, None));

    let moved = Moved { customer: Customer { id: 1 }, r#type: 2 };
    assert_eq!(moved.aggregate_id().as_deref(), Some("1/2"));
}
