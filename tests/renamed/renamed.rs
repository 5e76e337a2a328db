//! The manifest calls `outbox-seaorm` by another name, and the macros find it.

use my_events::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Debug, PartialEq, Serialize, Deserialize, OutboxEvent)]
#[outbox(topic = "orders", aggregate = "order")]
enum OrderEvent {
    #[outbox(event_type = "order.placed")]
    Placed {
        #[outbox(aggregate_id)]
        order_id: u64,
    },
}

#[test]
fn a_renamed_dependency_is_found() {
    let event = OrderEvent::Placed { order_id: 7 };
    assert_eq!(event.aggregate_id().as_deref(), Some("7"));
    let payload = event.payload().expect("JSON");
    assert_eq!(OrderEvent::decode("order.placed", 1, &payload).expect("its own"), event);
}
