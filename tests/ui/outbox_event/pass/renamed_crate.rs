//! A crate that re-exports ours under a name of its own.

mod platform {
    pub mod events {
        pub use outbox_seaorm::*;
    }
}

use platform::events::OutboxEvent;
use serde::Serialize;

#[derive(Serialize, OutboxEvent)]
#[outbox(event_type = "order.placed", topic = "orders", crate = platform::events)]
struct Placed;

#[derive(Serialize, OutboxEvent)]
#[outbox(topic = "orders", aggregate = "order", crate = crate::platform::events)]
enum Events {
    #[outbox(event_type = "order.paid")]
    Paid(#[outbox(aggregate_id)] u64),
}

/// The core alone does, too.
#[derive(Serialize, OutboxEvent)]
#[outbox(event_type = "order.sent", topic = "orders", crate = ::outbox_core)]
struct Sent;

fn main() {
    assert_eq!(Placed.kind().event_type, "order.placed");
    assert_eq!(Events::Paid(1).aggregate_id().as_deref(), Some("1"));
    assert_eq!(Sent.kind().event_type, "order.sent");
}
