//! What becomes of a payload of each version.

use outbox_core::event::{DecodeError, EventKind, OutboxEvent, Upcast};
use outbox_derive::OutboxEvent;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::orders::{OrderPlaced, OrderPlacedV1, OrderPlacedV2};

#[test]
fn an_older_version_is_read_as_its_own_type_and_takes_each_step_to_the_newest() {
    let read = |version, payload| OrderPlaced::decode("order.placed", version, payload).expect("it is read");
    assert_eq!(read(1, r#"{"order_id":7,"euros":19}"#), OrderPlaced::in_euros(7, 1_900));
    assert_eq!(read(2, r#"{"order_id":7,"total_cents":1999}"#), OrderPlaced::in_euros(7, 1_999));
    assert_eq!(
        read(3, r#"{"order_id":7,"total":{"cents":5,"currency":"EUR"}}"#),
        OrderPlaced::in_euros(7, 5)
    );

    let second =
        OrderPlacedV2::decode("order.placed", 1, r#"{"order_id":7,"euros":19}"#).expect("it is read");
    assert_eq!((second.order_id, second.total_cents), (7, 1_900));
    let first = OrderPlacedV1::decode("order.placed", 1, r#"{"order_id":7,"euros":19}"#).expect("it is read");
    assert_eq!((first.order_id, first.euros, first.aggregate_id()), (7, 19, Some("7".into())));
}

#[test]
fn a_type_tells_which_versions_become_it() {
    let told = |upcasts: &[Upcast<OrderPlaced>]| -> Vec<(u32, Vec<u32>)> {
        upcasts.iter().map(|upcast| (upcast.into_kind().version, upcast.versions().collect())).collect()
    };
    assert_eq!(told(OrderPlaced::UPCASTS), [(3, vec![2, 1])]);
    assert!(OrderPlacedV1::UPCASTS.is_empty());
}

// A payload of version 1 that has what version 3 asks for is still no version 1.
#[test]
fn a_payload_that_is_not_of_its_version_is_an_error_of_that_version() {
    let newest = r#"{"order_id":7,"total":{"cents":5,"currency":"EUR"}}"#;
    for (version, missing) in [(1, "missing field `euros`"), (2, "missing field `total_cents`")] {
        let error = OrderPlaced::decode("order.placed", version, newest).expect_err("of version 3");
        assert_eq!(
            error.to_string(),
            format!("the payload of order.placed version {version} does not fit the type")
        );
        let DecodeError::Payload { source, .. } = error else { panic!("found {error}") };
        assert!(source.to_string().starts_with(missing), "found {source}");
    }
}

#[test]
fn a_version_that_no_step_leads_from_is_named_with_those_that_are_known() {
    for (newest, version) in [(true, 4), (true, 0), (false, 3)] {
        let error = if newest {
            OrderPlaced::decode("order.placed", version, "{}").expect_err("unknown")
        } else {
            OrderPlacedV2::decode("order.placed", version, "{}").map(drop).expect_err("unknown")
        };
        let known = match newest {
            true => "order.placed version 3 or order.placed version 2 or order.placed version 1",
            false => "order.placed version 2 or order.placed version 1",
        };
        assert_eq!(error.to_string(), format!("expected {known}, found order.placed version {version}"));
    }
    let other = OrderPlaced::decode("order.paid", 1, "{}").expect_err("another type");
    assert!(matches!(other, DecodeError::UnknownKind { .. }), "found {other}");
}

#[derive(Debug, Deserialize, OutboxEvent)]
#[outbox(event_type = "order.moved", topic = "orders")]
struct MovedV1 {
    address: String,
}

/// Two of its variants have a past; the payload has serde's tag taken off, that of the old types never had one.
#[derive(Debug, PartialEq, Serialize, Deserialize, OutboxEvent)]
#[outbox(topic = "orders", version = 4)]
#[serde(tag = "kind")]
enum OrderEvent {
    #[outbox(event_type = "order.closed", version = 1)]
    Closed,
    #[outbox(event_type = "order.placed", upcast_from = OrderPlaced)]
    Placed { order_id: u64, cents: i64 },
    #[outbox(event_type = "order.moved", upcast_from = MovedV1)]
    Moved { street: String },
}

impl From<OrderPlaced> for OrderEvent {
    fn from(old: OrderPlaced) -> Self {
        Self::Placed { order_id: old.order_id, cents: old.total.cents }
    }
}

impl From<MovedV1> for OrderEvent {
    fn from(old: MovedV1) -> Self {
        match old.address.as_str() {
            // The mistake that the test is about.
            "nowhere" => Self::Closed,
            _ => Self::Moved { street: old.address },
        }
    }
}

#[test]
fn older_versions_become_the_variant_that_names_them() {
    let placed = OrderEvent::decode("order.placed", 1, r#"{"order_id":7,"euros":19}"#);
    assert_eq!(placed.expect("it is read"), OrderEvent::Placed { order_id: 7, cents: 1_900 });
    let placed = OrderEvent::decode("order.placed", 4, r#"{"order_id":7,"cents":1900}"#);
    assert_eq!(placed.expect("it is read"), OrderEvent::Placed { order_id: 7, cents: 1_900 });
    let moved = OrderEvent::decode("order.moved", 1, r#"{"address":"home"}"#);
    assert_eq!(moved.expect("it is read"), OrderEvent::Moved { street: "home".into() });
    assert_eq!(OrderEvent::decode("order.closed", 1, "null").expect("it is read"), OrderEvent::Closed);
    // Each version is of its own event type.
    for (event_type, version) in [("order.moved", 3), ("order.closed", 4), ("order.closed", 3)] {
        let unknown = OrderEvent::decode(event_type, version, "{}").expect_err("unknown");
        assert!(matches!(unknown, DecodeError::UnknownKind { .. }), "found {unknown}");
    }
}

#[test]
fn an_upcast_to_another_variant_is_an_error_and_never_the_wrong_event() {
    let error = OrderEvent::decode("order.moved", 1, r#"{"address":"nowhere"}"#).expect_err("closed");
    assert_eq!(
        error.to_string(),
        "expected order.moved version 1 to be upcast to version 4, found order.closed version 1; \
         `From` makes the variant that has the `upcast_from`"
    );
}

#[derive(Debug, Deserialize, OutboxEvent)]
#[outbox(event_type = "thing.changed", topic = "things")]
struct ChangedV1<T> {
    what: T,
}

#[derive(Debug, Serialize, Deserialize, OutboxEvent)]
#[outbox(event_type = "thing.changed", version = 2, topic = "things", upcast_from = ChangedV1::<T>)]
struct Changed<T> {
    what: Vec<T>,
}

impl<T> From<ChangedV1<T>> for Changed<T> {
    fn from(old: ChangedV1<T>) -> Self {
        Self { what: vec![old.what] }
    }
}

#[test]
fn a_generic_event_is_upcast_from_a_generic_one() {
    fn read<T: DeserializeOwned + Send + Sync + 'static>(version: u32, payload: &str) -> Vec<T> {
        Changed::<T>::decode("thing.changed", version, payload).expect("it is read").what
    }
    assert_eq!(read::<u8>(1, r#"{"what":7}"#), [7]);
    assert_eq!(read::<String>(2, r#"{"what":["a","b"]}"#), ["a", "b"]);
}

/// Made without the derive.
#[derive(Debug, Deserialize)]
struct ByHand {
    sum: u64,
}

impl From<MovedV1> for ByHand {
    fn from(old: MovedV1) -> Self {
        Self { sum: old.address.len() as u64 }
    }
}

impl OutboxEvent for ByHand {
    const KINDS: &'static [EventKind] = &[EventKind {
        event_type: "order.moved",
        version: 9,
        topic: "orders",
        aggregate_type: None,
        variant: None,
    }];
    const UPCASTS: &'static [Upcast<Self>] = &[Upcast::of::<MovedV1>(&Self::KINDS[0])];

    fn kind(&self) -> &'static EventKind {
        &Self::KINDS[0]
    }
}

#[test]
fn an_event_made_by_hand_is_upcast_as_well() {
    let read = |version, payload| ByHand::decode("order.moved", version, payload).expect("it is read").sum;
    assert_eq!((read(1, r#"{"address":"home"}"#), read(9, r#"{"sum":5}"#)), (4, 5));
}
