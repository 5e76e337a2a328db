//! The payload of an event: what reaches the wire, and back, for every way that serde tags an enum.

use std::collections::BTreeMap;

use outbox_core::event::{DecodeError, EventError, OutboxEvent};
use outbox_derive::OutboxEvent;
use proptest::{option, prelude::*};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::DeserializeOwned};
use serde_json::value::RawValue;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Line {
    sku: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    gift_note: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Address {
    zip: String,
    city: String,
}

/// The same four kinds of variant under each of serde's tags.
macro_rules! tagged_event {
    ($name:ident, $(#[$serde:meta])*) => {
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize, OutboxEvent)]
        #[outbox(topic = "orders")]
        #[serde(rename_all = "kebab-case")]
        $(#[$serde])*
        enum $name {
            #[outbox(event_type = "order.placed")]
            OrderPlaced {
                zeta: u64,
                #[serde(skip_serializing_if = "Option::is_none")]
                note: Option<String>,
                #[serde(flatten)]
                address: Address,
                alpha: i64,
            },
            #[outbox(event_type = "order.line")]
            #[serde(rename = "line \"quoted\" ü")]
            LineAdded(Line),
            #[outbox(event_type = "order.closed")]
            Closed,
            #[outbox(event_type = "order.emptied")]
            Emptied {},
        }

        impl $name {
            fn all() -> Vec<(Self, &'static str)> {
                let address = Address { zip: "0\"1".into(), city: "Zürich".into() };
                let placed = Self::OrderPlaced { zeta: u64::MAX, note: None, address, alpha: i64::MIN };
                let line = Line { sku: "}{\":,\\".into(), gift_note: Some("\u{7}".into()) };
                vec![
                    (
                        placed,
                        r#"{"zeta":18446744073709551615,"zip":"0\"1","city":"Zürich","alpha":-9223372036854775808}"#,
                    ),
                    (Self::LineAdded(line), r#"{"sku":"}{\":,\\","gift_note":"\u0007"}"#),
                    (Self::Closed, "null"),
                    (Self::Emptied {}, "{}"),
                ]
            }
        }
    };
}

tagged_event!(External,);
tagged_event!(Internal, #[serde(tag = "ki\"nd")]);
tagged_event!(Adjacent, #[serde(tag = "ki\"nd", content = "co\"ntent")]);

fn check<E>(events: Vec<(E, &str)>)
where
    E: OutboxEvent + Serialize + DeserializeOwned + PartialEq + std::fmt::Debug,
{
    for (event, payload) in events {
        let kind = event.kind();
        assert_eq!(event.payload().expect("JSON"), payload, "{event:?}");
        let back = E::decode(kind.event_type, kind.version, payload);
        assert_eq!(back.expect("its own payload"), event);
        let spaced = format!(" \n{}\t", payload.replacen('{', "{ ", 1));
        let back = E::decode(kind.event_type, kind.version, &spaced);
        assert_eq!(back.expect("its own payload with space in it"), event);
    }
}

#[test]
fn the_payload_does_not_depend_on_how_serde_tags_the_enum() {
    check(External::all());
    check(Internal::all());
    check(Adjacent::all());
}

#[derive(Debug, Clone, Serialize, Deserialize, OutboxEvent)]
#[outbox(topic = "metrics")]
enum Metric {
    #[outbox(event_type = "metric.exact")]
    Exact(Box<RawValue>),
    #[outbox(event_type = "metric.series")]
    Series(Vec<f64>),
    #[outbox(event_type = "metric.pair")]
    Pair(u128, Option<u8>),
    #[outbox(event_type = "metric.maybe")]
    Maybe(Option<u8>),
}

#[test]
fn every_digit_of_a_number_reaches_the_wire() {
    let digits = "1234567890123456789012345678901234567890.10e+400";
    let exact = Metric::Exact(RawValue::from_string(digits.to_owned()).expect("JSON"));
    assert_eq!(exact.payload().expect("JSON"), digits);
    let Metric::Exact(back) = Metric::decode("metric.exact", 1, digits).expect("a number") else {
        panic!("expected the exact one")
    };
    assert_eq!(back.get(), digits);
    let pair = Metric::Pair(u128::MAX, None).payload().expect("JSON");
    assert_eq!(pair, "[340282366920938463463374607431768211455,null]");
    assert!(matches!(Metric::decode("metric.pair", 1, &pair), Ok(Metric::Pair(u128::MAX, None))));
    assert_eq!(Metric::Series(vec![0.1, 1e300]).payload().expect("JSON"), "[0.1,1e+300]");
    assert_eq!(Metric::Maybe(None).payload().expect("JSON"), "null");
    assert!(matches!(Metric::decode("metric.maybe", 1, "null"), Ok(Metric::Maybe(None))));
}

#[derive(Debug, PartialEq, Serialize, Deserialize, OutboxEvent)]
#[outbox(topic = "stock")]
#[serde(untagged)]
enum Untagged {
    #[outbox(event_type = "stock.counted")]
    Counted { sku: String },
    #[outbox(event_type = "stock.moved")]
    Moved { sku: String, to: String },
}

#[test]
fn an_untagged_enum_never_takes_one_event_for_another() {
    let counted = Untagged::Counted { sku: "a".into() };
    let payload = counted.payload().expect("JSON");
    assert_eq!(payload, r#"{"sku":"a"}"#);
    assert_eq!(Untagged::decode("stock.counted", 1, &payload).expect("fits"), counted);
    let moved = Untagged::Moved { sku: "a".into(), to: "b".into() }.payload().expect("JSON");
    // serde takes the first variant that fits.
    let error = Untagged::decode("stock.moved", 1, &moved).expect_err("serde says `Counted`");
    assert!(matches!(error, DecodeError::OtherKind { found: "stock.counted", .. }), "{error:?}");
}

#[derive(Debug, PartialEq, Serialize, Deserialize, OutboxEvent)]
#[outbox(topic = "mixed")]
enum Mixed {
    #[outbox(event_type = "mixed.tagged")]
    Tagged { a: u8 },
    #[outbox(event_type = "mixed.renamed")]
    #[serde(rename(serialize = "out", deserialize = "in"))]
    Renamed { c: u8 },
    #[outbox(event_type = "mixed.bare")]
    #[serde(untagged)]
    Bare { b: u8 },
}

#[test]
fn a_variant_may_be_untagged_or_read_under_another_name() {
    check(vec![
        (Mixed::Tagged { a: 1 }, r#"{"a":1}"#),
        (Mixed::Bare { b: 1 }, r#"{"b":1}"#),
        (Mixed::Renamed { c: 1 }, r#"{"c":1}"#),
    ]);
}

/// Writes and reads itself without any tag.
#[derive(Debug, PartialEq, OutboxEvent)]
#[outbox(topic = "hand")]
enum ByHand {
    #[outbox(event_type = "hand.number")]
    Number(i64),
    #[outbox(event_type = "hand.text")]
    Text(String),
}

impl Serialize for ByHand {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Number(number) => BTreeMap::from([("Number", *number), ("scale", 2)]).serialize(serializer),
            Self::Text(text) => text.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for ByHand {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Either {
            Number {
                #[serde(rename = "Number")]
                number: i64,
                #[serde(rename = "scale")]
                _scale: i64,
            },
            Text(String),
        }
        Ok(match Either::deserialize(deserializer)? {
            Either::Number { number, .. } => Self::Number(number),
            Either::Text(text) => Self::Text(text),
        })
    }
}

#[test]
fn an_enum_that_writes_itself_keeps_its_text() {
    check(vec![(ByHand::Text("Text".into()), r#""Text""#)]);
    let number = ByHand::Number(7);
    // It begins like a tag, and is none.
    let payload = number.payload().expect("JSON");
    assert_eq!(payload, r#"{"Number":7,"scale":2}"#);
    assert_eq!(ByHand::decode("hand.number", 1, &payload).expect("its own"), number);
}

#[test]
fn an_unknown_event_is_told_with_those_that_are_known() {
    let error = Untagged::decode("stock.lost", 1, "{}").expect_err("unknown");
    assert_eq!(
        error.to_string(),
        "expected stock.counted version 1 or stock.moved version 1, found stock.lost version 1"
    );
    assert!(matches!(Untagged::decode("stock.moved", 2, "{}"), Err(DecodeError::UnknownKind { .. })));
    let wrong = External::decode("order.placed", 1, r#"{"zeta":"x"}"#).expect_err("not a number");
    let DecodeError::Payload { source, .. } = wrong else { panic!("expected what serde expected") };
    assert!(source.to_string().starts_with("expected u64 at line 1"), "{source}");
    // A payload that is another event of the same enum, tag and all.
    let other = External::decode("order.placed", 1, r#"{"closed":null}"#);
    assert!(matches!(other, Err(DecodeError::Payload { .. })), "{other:?}");
}

#[derive(Debug, Serialize, OutboxEvent)]
#[outbox(event_type = "bad.map", topic = "bad")]
struct BadMap(BTreeMap<(u8, u8), u8>);

#[test]
fn what_json_cannot_hold_is_an_error_with_serdes_reason() {
    let error = BadMap([((1, 2), 3)].into()).payload().expect_err("keys are no strings");
    let EventError::Payload { event_type: "bad.map", source } = error else { panic!("{error:?}") };
    assert_eq!(source.to_string(), "key must be a string");
}

proptest! {
    #[test]
    fn any_value_comes_back_under_every_tag(
        zeta in any::<u64>(),
        alpha in any::<i64>(),
        note in option::of(any::<String>()),
        zip in any::<String>(),
        city in "\\PC*",
        sku in "[\\x00-\\x7f]*",
    ) {
        let address = || Address { zip: zip.clone(), city: city.clone() };
        let line = || Line { sku: sku.clone(), gift_note: note.clone() };
        // The content alone, as serde writes it where there is no tag.
        let bare = serde_json::to_string(&line()).expect("JSON");
        let mut placed = Vec::new();
        macro_rules! check {
            ($event:ident) => {
                let event = $event::LineAdded(line());
                prop_assert_eq!(&event.payload().expect("JSON"), &bare);
                prop_assert_eq!($event::decode("order.line", 1, &bare).expect("its own"), event);
                let event = $event::OrderPlaced { zeta, note: note.clone(), address: address(), alpha };
                let payload = event.payload().expect("JSON");
                prop_assert_eq!($event::decode("order.placed", 1, &payload).expect("its own"), event);
                placed.push(payload);
            };
        }
        check!(External);
        check!(Internal);
        check!(Adjacent);
        prop_assert_eq!(&placed[0], &placed[1]);
        prop_assert_eq!(&placed[0], &placed[2]);
    }
}
