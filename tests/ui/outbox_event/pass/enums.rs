//! Enums: defaults on the type, overrides on a variant, ids from fields and expressions.

use outbox_seaorm::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Debug, PartialEq, Serialize, Deserialize, OutboxEvent)]
#[outbox(version = 2, topic = "orders", aggregate = "order", aggregate_id = self.shop())]
#[serde(tag = "kind", rename_all = "snake_case")]
enum OrderEvent {
    #[outbox(event_type = "order.placed")]
    OrderPlaced {
        #[outbox(aggregate_id)]
        order_id: u64,
    },
    /// The same event as it was written before.
    #[outbox(event_type = "order.placed", version = 1, aggregate_id = format!("{order}-{line}"))]
    OrderPlacedV1 { order: u64, line: u8, total: i64 },
    #[outbox(event_type = "shop.closed", topic = "shops", aggregate = "shop")]
    ShopClosed,
}

impl OrderEvent {
    fn shop(&self) -> &'static str {
        "the-shop"
    }
}

#[derive(Serialize, OutboxEvent)]
#[outbox(aggregate = "pair")]
enum Tuples {
    #[outbox(event_type = "pair.made", aggregate_id = _0 + u64::from(*_1))]
    Made(u64, u8),
    #[outbox(event_type = "pair.named")]
    Named(u8, #[outbox(aggregate_id)] String),
    #[outbox(event_type = "pair.gone")]
    Gone(u64),
}

fn main() {
    let placed = OrderEvent::OrderPlaced { order_id: 7 };
    assert_eq!((placed.kind().event_type, placed.kind().version), ("order.placed", 2));
    assert_eq!(placed.aggregate_id().as_deref(), Some("7"));
    assert_eq!(placed.payload().unwrap(), r#"{"order_id":7}"#);
    assert_eq!(OrderEvent::decode("order.placed", 2, r#"{"order_id":7}"#).unwrap(), placed);

    let old = OrderEvent::OrderPlacedV1 { order: 1, line: 2, total: 3 };
    assert_eq!((old.kind().version, old.kind().topic), (1, "orders"));
    assert_eq!(old.aggregate_id().as_deref(), Some("1-2"));

    let closed = OrderEvent::ShopClosed;
    assert_eq!((closed.kind().topic, closed.kind().aggregate_type), ("shops", Some("shop")));
    assert_eq!(closed.aggregate_id().as_deref(), Some("the-shop"), "from the type");
    assert_eq!(closed.payload().unwrap(), "null");

    assert_eq!(Tuples::Made(1, 2).aggregate_id().as_deref(), Some("3"));
    assert_eq!(Tuples::Named(1, "n".into()).aggregate_id().as_deref(), Some("n"));
    assert_eq!(Tuples::Gone(1).aggregate_id(), None);
    assert_eq!(Tuples::KINDS.len(), 3);
}
