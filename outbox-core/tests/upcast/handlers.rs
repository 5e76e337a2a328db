//! Which handler takes which version.

use std::sync::{Arc, Mutex};

use outbox_core::{
    consumer::{ConsumerError, Delivery, HandlerError},
    event::{EventKind, OutboxEvent, Upcast},
    memory::MemoryBroker,
    message::Message,
    publisher::{Outcome, Publisher as _},
};
use serde::Deserialize;
use uuid::Uuid;

use crate::orders::{OrderPlaced, OrderPlacedV1, OrderPlacedV2, consumer};

async fn newest(_: Delivery<OrderPlaced>, (): ()) -> Result<(), HandlerError> {
    Ok(())
}

async fn second(_: Delivery<OrderPlacedV2>, (): ()) -> Result<(), HandlerError> {
    Ok(())
}

async fn first(_: Delivery<OrderPlacedV1>, (): ()) -> Result<(), HandlerError> {
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_handler_of_the_newest_version_takes_every_older_one_and_leaves_a_newer_one() {
    let broker = MemoryBroker::new();
    let payloads = [
        (1, r#"{"order_id":1,"euros":19}"#),
        (2, r#"{"order_id":2,"total_cents":1999}"#),
        (3, r#"{"order_id":3,"total":{"cents":5,"currency":"EUR"}}"#),
        (4, r#"{"order_id":4,"total":{"cents":5,"currency":"EUR"}}"#),
    ];
    let messages = payloads.map(|(version, payload)| {
        let mut message = Message::new(Uuid::now_v7(), "/shop", "orders", "order.placed", payload);
        message.event_version = version;
        message
    });
    let outcomes = broker.publisher().publish(&messages).await;
    assert!(outcomes.iter().all(Outcome::is_published), "{outcomes:?}");

    let handled = Arc::<Mutex<Vec<(u32, OrderPlaced)>>>::default();
    let note = Arc::clone(&handled);
    let handler = move |event: Delivery<OrderPlaced>, (): ()| {
        let version = event.message().event_version;
        note.lock().expect("nothing panics with the lock held").push((version, event.into_event()));
        async { Ok(()) }
    };
    let one_left = async {
        for _ in 0..10_000 {
            if broker.depth("orders").total() == 1 {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
        panic!("expected one message to be left, found {:?}", broker.depth("orders"));
    };
    let report = consumer(&broker).on(handler).run_until(one_left).await.expect("it ran");
    assert_eq!(report.processed, 3);
    assert!(report.failed >= 1, "the version without a handler is given back, found {report:?}");
    let mut handled = handled.lock().expect("nothing panics with the lock held").clone();
    handled.sort_by_key(|(version, _)| *version);
    let expected = [(1, 1_900), (2, 1_999), (3, 5)]
        .map(|(version, cents)| (version, OrderPlaced::in_euros(u64::from(version), cents)));
    assert_eq!(handled, expected);
}

#[tokio::test(start_paused = true)]
async fn a_version_with_a_handler_of_its_own_and_one_by_upcast_is_named_at_start() {
    let broker = MemoryBroker::new();
    let refused = [
        (consumer(&broker).on(newest).on(first), (1, 3)),
        (consumer(&broker).on(first).on(newest), (1, 3)),
        (consumer(&broker).on(second).on(newest), (2, 3)),
        (consumer(&broker).on(second).on(first), (1, 2)),
    ];
    for (consumer, expected) in refused {
        let error = consumer.run_until(async {}).await.expect_err("two handlers");
        let ConsumerError::HandledAndUpcast { event_type: "order.placed", version, into } = error else {
            panic!("found {error}");
        };
        assert_eq!((version, into), expected);
    }
    let error = consumer(&broker).on(first).on(newest).run_until(async {}).await;
    assert_eq!(
        error.expect_err("two handlers").to_string(),
        "expected one handler for order.placed version 1, found two: that of version 3 takes it too, by `upcast_from`; \
         keep one, which finds the version that came in `delivery.message().event_version`"
    );
    let twice = consumer(&broker).on(newest).on(newest).run_until(async {}).await;
    let error = twice.expect_err("two handlers");
    assert!(matches!(error, ConsumerError::TwoHandlers { version: 3, .. }), "found {error}");
}

/// Two of its upcasts claim version 1, which the derive refuses.
#[derive(Deserialize)]
struct Twofold;

impl From<OrderPlacedV1> for Twofold {
    fn from(_: OrderPlacedV1) -> Self {
        Self
    }
}

impl From<OrderPlacedV2> for Twofold {
    fn from(_: OrderPlacedV2) -> Self {
        Self
    }
}

impl OutboxEvent for Twofold {
    const KINDS: &'static [EventKind] = &[EventKind {
        event_type: "order.placed",
        version: 5,
        topic: "orders",
        aggregate_type: None,
        variant: None,
    }];
    const UPCASTS: &'static [Upcast<Self>] =
        &[Upcast::of::<OrderPlacedV1>(&Self::KINDS[0]), Upcast::of::<OrderPlacedV2>(&Self::KINDS[0])];

    fn kind(&self) -> &'static EventKind {
        &Self::KINDS[0]
    }
}

#[tokio::test(start_paused = true)]
async fn a_version_that_a_type_made_by_hand_takes_twice_is_named_at_start() {
    let broker = MemoryBroker::new();
    let handler = async |_: Delivery<Twofold>, (): ()| Ok(());
    let error = consumer(&broker).on(handler).run_until(async {}).await.expect_err("twice");
    let expected = ConsumerError::HandledAndUpcast { event_type: "order.placed", version: 1, into: 5 };
    assert_eq!(error.to_string(), expected.to_string());
}
