//! Older versions: kept for reading alone, in a chain, on a variant, and under every name that a user may give them.

use outbox_seaorm::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Deserialize, OutboxEvent)]
#[outbox(event_type = "order.placed", topic = "orders")]
struct OrderPlacedV1 {
    euros: i64,
}

mod history {
    use super::*;

    #[derive(Deserialize, OutboxEvent)]
    #[outbox(event_type = "order.placed", version = 2, topic = "orders", upcast_from = super::OrderPlacedV1)]
    pub struct OrderPlacedV2 {
        pub total_cents: i64,
    }

    impl From<OrderPlacedV1> for OrderPlacedV2 {
        fn from(old: OrderPlacedV1) -> Self {
            Self { total_cents: old.euros * 100 }
        }
    }
}

#[derive(Debug, PartialEq, Serialize, Deserialize, OutboxEvent)]
#[outbox(event_type = "order.placed", version = 3, topic = "orders")]
#[outbox(upcast_from = crate::history::OrderPlacedV2)]
struct OrderPlaced {
    cents: i64,
}

impl From<history::OrderPlacedV2> for OrderPlaced {
    fn from(old: history::OrderPlacedV2) -> Self {
        Self { cents: old.total_cents }
    }
}

#[derive(Debug, PartialEq, Serialize, Deserialize, OutboxEvent)]
#[outbox(topic = "orders", version = 7)]
enum OrderEvent {
    #[outbox(event_type = "order.closed")]
    Closed,
    // From version 2 to 7 at once.
    #[outbox(event_type = "order.placed", upcast_from = history::OrderPlacedV2)]
    Placed(i64),
}

impl From<history::OrderPlacedV2> for OrderEvent {
    fn from(old: history::OrderPlacedV2) -> Self {
        Self::Placed(old.total_cents)
    }
}

/// A generic event has an event in its past where its parameter can be read.
#[derive(Deserialize, OutboxEvent)]
#[outbox(event_type = "thing.changed", topic = "things")]
struct ChangedV1<T, const N: usize> {
    what: T,
}

#[derive(Serialize, Deserialize, OutboxEvent)]
#[outbox(event_type = "thing.changed", version = 2, topic = "things", upcast_from = ChangedV1::<T, N>)]
struct Changed<T: Clone, const N: usize>
where
    T: PartialEq,
{
    what: Vec<T>,
}

impl<T: Clone + PartialEq, const N: usize> From<ChangedV1<T, N>> for Changed<T, N> {
    fn from(old: ChangedV1<T, N>) -> Self {
        Self { what: vec![old.what; N] }
    }
}

macro_rules! newer {
    ($name:ident, $old:ty) => {
        #[derive(Deserialize, OutboxEvent)]
        #[outbox(event_type = "order.placed", version = 4, topic = "orders", upcast_from = $old)]
        struct $name {
            cents: i64,
        }
    };
}

newer!(MadeByMacro, OrderPlaced);

impl From<OrderPlaced> for MadeByMacro {
    fn from(old: OrderPlaced) -> Self {
        Self { cents: old.cents }
    }
}

fn main() {
    let old = r#"{"euros":19}"#;
    assert_eq!(OrderPlaced::decode("order.placed", 1, old).unwrap(), OrderPlaced { cents: 1_900 });
    assert_eq!(OrderEvent::decode("order.placed", 1, old).unwrap(), OrderEvent::Placed(1_900));
    assert_eq!(OrderEvent::decode("order.closed", 7, "null").unwrap(), OrderEvent::Closed);
    assert_eq!(MadeByMacro::decode("order.placed", 1, old).unwrap().cents, 1_900);
    let changed = Changed::<u8, 2>::decode("thing.changed", 1, r#"{"what":7}"#).unwrap();
    assert_eq!(changed.what, [7, 7]);

    // Events of a function's own.
    #[derive(Deserialize, OutboxEvent)]
    #[outbox(event_type = "order.placed", version = 5, topic = "orders", upcast_from = OrderPlaced)]
    struct Local;

    impl From<OrderPlaced> for Local {
        fn from(_: OrderPlaced) -> Self {
            Self
        }
    }
    assert!(Local::decode("order.placed", 3, r#"{"cents":1}"#).is_ok());
}
