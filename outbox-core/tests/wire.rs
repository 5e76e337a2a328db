//! Both wire formats: what is written is read back, and CloudEvents' own SDK agrees.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use cloudevents::{AttributesReader, Data, EventBuilder, EventBuilderV10, event::ExtensionValue};
use outbox_core::{
    message::{Headers, Message, ReceivedMessage},
    wire::{Encoded, WireError, WireFormat, decode, partition_key},
};
use proptest::{collection::btree_map, option, prelude::*};
use uuid::Uuid;

const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

fn headers<const N: usize>(pairs: [(&str, &str); N]) -> Headers {
    pairs.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

fn message() -> Message {
    let id = Uuid::from_u128(0x0190_2d6f_7c1a_7000_8000_0000_0000_0001);
    let mut message =
        Message::new(id, "/orders", "orders", "order.placed", r#"{"z":1.10,"a":12345678901234567890123}"#);
    message.seq = 42;
    message.event_version = 3;
    message.aggregate_type = Some("order".into());
    message.aggregate_id = Some("A-1".into());
    message.occurred_at = "2026-01-02T03:04:05.000006Z".parse().expect("a time");
    message.headers =
        headers([("region", "eu"), ("traceparent", TRACE), ("correlationid", "c-1"), ("causationid", "m-0")]);
    message
}

fn read(encoded: &Encoded) -> Result<ReceivedMessage, WireError> {
    decode(&encoded.body, &encoded.attributes.iter().cloned().collect())
}

fn read_body(body: &str) -> Result<ReceivedMessage, WireError> {
    decode(body, &BTreeMap::new())
}

/// An event of another producer, with the required attributes.
fn foreign(members: &str) -> Result<ReceivedMessage, WireError> {
    read_body(&format!(r#"{{"specversion":"1.0","id":"1","source":"/s","type":"t"{members}}}"#))
}

#[test]
fn an_event_is_written_as_the_docs_say() {
    let encoded = WireFormat::CloudEvents.encode(&message());
    assert_eq!(
        encoded.body,
        concat!(
            r#"{"specversion":"1.0","id":"01902d6f-7c1a-7000-8000-000000000001","source":"/orders","#,
            r#""type":"order.placed","dataversion":"3","subject":"A-1","aggregatetype":"order","#,
            r#""correlationid":"c-1","causationid":"m-0","#,
            r#""traceparent":"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01","#,
            r#""time":"2026-01-02T03:04:05.000006Z","sequence":"0000000000000000042","region":"eu","#,
            r#""partitionkey":"order/A-1","datacontenttype":"application/json","#,
            r#""data":{"z":1.10,"a":12345678901234567890123}}"#,
        )
    );
    assert_eq!(encoded.attributes, []);
}

#[test]
fn raw_has_the_payload_alone_and_the_most_important_attributes_first() {
    let mut message = message();
    message.replay = Some(Uuid::nil());
    message.headers.insert("empty", "");
    let encoded = WireFormat::Raw.encode(&message);
    assert_eq!(encoded.body, message.payload);
    let names: Vec<_> = encoded.attributes.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(
        names,
        [
            "id",
            "source",
            "type",
            "dataversion",
            "replayid",
            "subject",
            "aggregatetype",
            "correlationid",
            "causationid",
            "traceparent",
            "time",
            "sequence",
            "region"
        ]
    );
    message.event_version = 1;
    let attributes = WireFormat::Raw.encode(&message).attributes;
    assert!(attributes.iter().all(|(name, _)| name != "dataversion"), "1 goes without saying");
}

#[test]
fn the_official_sdk_reads_what_is_written() {
    let message = message();
    let body = WireFormat::CloudEvents.encode(&message).body;
    let event: cloudevents::Event = serde_json::from_str(&body).expect("a CloudEvent");
    assert_eq!(event.id(), message.id.to_string());
    assert_eq!(event.source().as_str(), "/orders");
    assert_eq!(event.ty(), "order.placed");
    assert_eq!(event.subject(), Some("A-1"));
    assert_eq!(event.time(), Some(&message.occurred_at));
    assert_eq!(event.datacontenttype(), Some("application/json"));
    let extensions = [
        ("sequence", "0000000000000000042"),
        ("partitionkey", "order/A-1"),
        ("dataversion", "3"),
        ("aggregatetype", "order"),
        ("traceparent", TRACE),
        ("correlationid", "c-1"),
        ("causationid", "m-0"),
        ("region", "eu"),
    ];
    for (name, value) in extensions {
        assert_eq!(event.extension(name), Some(&ExtensionValue::String(value.into())), "{name}");
    }
    assert_eq!(event.iter_extensions().count(), extensions.len());
    let Some(Data::Json(data)) = event.data() else { panic!("expected JSON") };
    assert_eq!(data["z"], 1.1);
}

#[test]
fn what_the_official_sdk_writes_is_read() {
    let event = EventBuilderV10::new()
        .id("e-1")
        .source("https://example.com/billing?x=1")
        .ty("invoice.sent")
        .subject("I-7")
        .time("2026-01-02T03:04:05+01:00")
        .extension("sequence", "0000000000000000042")
        .extension("dataversion", 2i64)
        .extension("urgent", true)
        .extension("traceparent", TRACE)
        .data_with_schema("application/json", "https://example.com/schema", serde_json::json!({"n": 1}))
        .build()
        .expect("a CloudEvent");
    let message = read_body(&serde_json::to_string(&event).expect("JSON")).expect("a message");
    assert_eq!((message.id.as_str(), message.source.as_str()), ("e-1", "https://example.com/billing?x=1"));
    assert_eq!((message.event_type.as_str(), message.event_version), ("invoice.sent", 2));
    assert_eq!((message.aggregate_id.as_deref(), message.aggregate_type), (Some("I-7"), None));
    assert_eq!(message.sequence, Some(42));
    assert_eq!(message.occurred_at, Some("2026-01-02T02:04:05Z".parse::<DateTime<Utc>>().expect("a time")));
    assert_eq!(message.payload, r#"{"n":1}"#);
    assert_eq!(
        message.headers,
        headers([("dataschema", "https://example.com/schema"), ("traceparent", TRACE), ("urgent", "true")])
    );
}

#[test]
fn binary_of_the_official_sdk_is_refused_by_name() {
    let event = EventBuilderV10::new().id("1").source("/s").ty("t").data("image/png", vec![1u8, 2]);
    let body = serde_json::to_string(&event.build().expect("a CloudEvent")).expect("JSON");
    assert_eq!(read_body(&body), Err(WireError::Binary));
    assert_eq!(foreign(r#","data_base64":null"#).expect("null is not there").payload, "null");
}

#[test]
fn an_event_of_another_producer_loses_nothing() {
    let message = foreign(
        r#","partitionkey":"p","sequence":"a1","dataversion":"2.0","datacontenttype":"text/xml","n":-1.50,"gone":null,"data":"<a/>""#,
    )
    .expect("a message");
    assert_eq!((message.sequence, message.event_version), (None, 1));
    assert_eq!(message.payload, r#""<a/>""#);
    assert_eq!(
        message.headers,
        headers([
            ("datacontenttype", "text/xml"),
            ("dataversion", "2.0"),
            ("n", "-1.50"),
            ("partitionkey", "p"),
            ("sequence", "a1"),
        ])
    );
    let message = foreign(r#","subject":"7","partitionkey":"p""#).expect("a message");
    assert_eq!(message.headers.get("partitionkey"), Some("p"), "it does not follow from the subject");
    let message =
        foreign(r#","datacontenttype":"Application/Problem+JSON; charset=utf-8""#).expect("a message");
    assert!(message.headers.is_empty(), "JSON is what is expected");
}

#[test]
fn a_body_that_is_no_event_is_told_without_quoting_it() {
    let not_an_event = |line, column| Err(WireError::NotAnEvent { line, column });
    assert_eq!(read_body(""), not_an_event(1, 0));
    assert_eq!(read_body("[]"), not_an_event(1, 0));
    assert_eq!(read_body("{\"id\":\n\"secret"), not_an_event(2, 7));
    let error = read_body("\"secret\"").expect_err("a string");
    assert!(!error.to_string().contains("secret"), "{error}");
    let missing = |attribute| Err(WireError::Missing { attribute });
    assert_eq!(read_body("{}"), missing("specversion"));
    assert_eq!(read_body(r#"{"specversion":"1.0","id":"1","source":"/s"}"#), missing("type"));
    assert_eq!(read_body(r#"{"specversion":"1.0","id":"1","source":null,"type":"t"}"#), missing("source"));
}

#[test]
fn an_attribute_that_breaks_the_specification_is_named() {
    let refused = |members: &str| match foreign(members) {
        Err(WireError::Attribute { attribute, expected }) => format!("{attribute}: {expected}"),
        other => panic!("{other:?}"),
    };
    assert_eq!(refused(r#","time":"yesterday""#), "time: a time as RFC 3339 writes it");
    assert_eq!(refused(r#","subject":"""#), "subject: text that is not empty");
    assert_eq!(refused(r#","subject":7"#), "subject: a string");
    assert_eq!(refused(r#","region":{"a":1}"#), "region: a string, a number or a boolean");
    assert_eq!(refused(r#","region":[1]"#), "region: a string, a number or a boolean");
    assert_eq!(refused(r#","region":"\ud800""#), "region: text of whole characters");
    assert_eq!(foreign(r#","id":"2""#), Err(WireError::Repeated { attribute: "id".into() }));
    assert_eq!(foreign(r#","\u0069d":"2""#), Err(WireError::Repeated { attribute: "id".into() }));
    let old = read_body(r#"{"specversion":"0.3","id":"1","source":"/s","type":"t"}"#);
    assert_eq!(old.expect_err("not 1.0").to_string(), "expected `specversion` to be 1.0");
}

#[test]
fn a_raw_body_with_half_of_its_attributes_says_which_is_missing() {
    let attributes = |names: &[&str]| names.iter().map(|name| ((*name).to_owned(), "x".to_owned())).collect();
    let error = decode("{}", &attributes(&["id", "type"]));
    assert_eq!(error, Err(WireError::Missing { attribute: "source" }));
    assert!(
        matches!(decode("{}", &attributes(&["id", "type", "source"])), Ok(message) if message.payload == "{}")
    );
    assert_eq!(
        decode("{]", &attributes(&["id", "type", "source"])),
        Err(WireError::NotJson { line: 1, column: 2 })
    );
}

#[test]
fn a_structured_body_with_attributes_for_filters_is_still_structured() {
    let body = WireFormat::CloudEvents.encode(&message()).body;
    let mut attributes: BTreeMap<String, String> =
        WireFormat::Raw.encode(&message()).attributes.into_iter().collect();
    attributes.insert("content-type".into(), "application/cloudevents+json; charset=UTF-8".into());
    assert_eq!(decode(&body, &attributes).expect("a message").payload, message().payload);
}

#[test]
fn a_header_never_stands_in_for_an_attribute() {
    let mut message = message();
    message.headers = headers([("id", "forged"), ("data", "forged"), ("region", "eu")]);
    for format in [WireFormat::CloudEvents, WireFormat::Raw] {
        let read = read(&format.encode(&message)).expect("a message");
        assert_eq!(read.id, message.id.to_string());
        assert_eq!(read.headers, headers([("region", "eu")]));
    }
}

#[test]
fn a_payload_nested_deeper_than_the_stack_passes() {
    let mut message = message();
    message.payload = format!("{}{}", "[".repeat(200_000), "]".repeat(200_000));
    for format in [WireFormat::CloudEvents, WireFormat::Raw] {
        assert_eq!(read(&format.encode(&message)).expect("a message").payload, message.payload);
    }
}

#[test]
fn two_aggregates_never_share_a_partition_key() {
    let key = |aggregate_type: &str, id: &str| {
        let mut message = message();
        message.aggregate_type = Some(aggregate_type.into());
        message.aggregate_id = Some(id.into());
        partition_key(&message).expect("a key")
    };
    assert_eq!(key("order", "a/b"), "order/a/b");
    assert_eq!(key("order/a", "b"), "order%2Fa/b");
    assert_eq!(key("order%2Fa", "b"), "order%252Fa/b");
    let mut message = message();
    message.aggregate_id = None;
    assert_eq!(partition_key(&message), None);
}

/// JSON text as it may stand in the log: spaces, escapes and digits of its own.
fn json() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        Just("1.10e+400".to_owned()),
        Just("-0".to_owned()),
        Just(r#""\ud83d\ude00\/""#.to_owned()),
        any::<u128>().prop_map(|number| number.to_string()),
        any::<String>().prop_map(|text| serde_json::to_string(&text).expect("JSON")),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4)
                .prop_map(|items| format!("[ {} ]", items.join(" ,"))),
            proptest::collection::vec((any::<String>(), inner), 0..4).prop_map(|members| {
                let members: Vec<_> = members
                    .into_iter()
                    .map(|(name, value)| format!("{}:\t{value}", serde_json::to_string(&name).expect("JSON")))
                    .collect();
                format!("{{{}}}", members.join(","))
            }),
        ]
    })
}

fn nasty() -> impl Strategy<Value = String> {
    prop_oneof![
        "[\\x01-\\x7f]{1,20}",
        "\\PC{1,20}",
        Just("\u{2028}\u{feff}\u{10ffff}".to_owned()),
        Just("\",\"id\":\"forged".to_owned()),
        Just("null".to_owned()),
        Just(" ".to_owned()),
    ]
}

prop_compose! {
    fn any_message()(
        seq in 0..i64::MAX,
        id in any::<u128>(),
        source in nasty(),
        event_type in nasty(),
        event_version in 1..=i32::MAX.unsigned_abs(),
        aggregate_type in option::of(nasty()),
        aggregate_id in option::of(nasty()),
        payload in json(),
        headers in btree_map("x[a-z0-9]{0,8}|tenant|tracestate|correlationid", nasty(), 0..6),
        nanos in 0..4_000_000_000_000_000_000i64,
        replay in option::of(any::<u128>()),
    ) -> Message {
        let mut message = Message::new(Uuid::from_u128(id), source, "orders", event_type, payload);
        message.seq = seq;
        message.event_version = event_version;
        message.aggregate_type = aggregate_type;
        message.aggregate_id = aggregate_id;
        message.headers = headers.into_iter().collect();
        message.occurred_at = DateTime::from_timestamp_nanos(nanos);
        message.replay = replay.map(Uuid::from_u128);
        message
    }
}

proptest! {
    #[test]
    fn everything_that_is_written_is_read_back(message in any_message()) {
        for format in [WireFormat::CloudEvents, WireFormat::Raw] {
            let read = read(&format.encode(&message)).expect("a message");
            prop_assert_eq!(&read.id, &message.id.to_string());
            prop_assert_eq!(&read.source, message.source.as_ref());
            prop_assert_eq!(&read.event_type, &message.event_type);
            prop_assert_eq!(read.event_version, message.event_version);
            prop_assert_eq!(&read.aggregate_type, &message.aggregate_type);
            prop_assert_eq!(&read.aggregate_id, &message.aggregate_id);
            prop_assert_eq!(read.sequence, Some(message.seq));
            prop_assert_eq!(read.occurred_at, Some(message.occurred_at));
            prop_assert_eq!(&read.payload, &message.payload);
            prop_assert_eq!(&read.headers, &message.headers);
            prop_assert_eq!(&read.replay, &message.replay.map(|replay| replay.to_string()));
        }
    }

    #[test]
    fn no_body_whatever_makes_the_reader_panic(body in "\\PC*|[\\[\\]{}:,\"a-z0-9\\\\]*") {
        let _ = read_body(&body);
    }

    #[test]
    fn the_order_of_sequences_is_the_order_of_their_text(one in 0..i64::MAX, two in 0..i64::MAX) {
        let text = |seq| {
            let mut message = message();
            message.seq = seq;
            let attributes = WireFormat::Raw.encode(&message).attributes;
            attributes.into_iter().find(|(name, _)| name == "sequence").expect("a sequence").1
        };
        prop_assert_eq!(one.cmp(&two), text(one).cmp(&text(two)));
    }
}
