//! What is accepted in the place of an event, and what an envelope adds.

use std::time::Duration;

use chrono::{DateTime, Utc};
use outbox_core::{
    event::{Envelope, EventError, IntoEvents, MAX_AGGREGATE_ID_LEN, NewEvent, OutboxEvent as _},
    message::HeaderError,
};
use outbox_derive::OutboxEvent;
use serde::Serialize;

#[derive(Debug, Clone, PartialEq, Serialize, OutboxEvent)]
#[outbox(event_type = "order.placed", version = 2, topic = "orders", aggregate = "order")]
struct Placed {
    #[outbox(aggregate_id)]
    id: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, OutboxEvent)]
#[outbox(event_type = "order.paid", aggregate = "order")]
struct Paid(#[outbox(aggregate_id)] u64);

fn placed() -> Placed {
    Placed { id: "A-1".into() }
}

fn stored(events: impl IntoEvents) -> Vec<NewEvent> {
    let mut into = Vec::new();
    events.append_to(&mut into).expect("events that can be stored");
    into
}

fn types(events: impl IntoEvents) -> Vec<String> {
    stored(events).into_iter().map(|event| event.event_type).collect()
}

fn refused(events: impl IntoEvents) -> EventError {
    events.append_to(&mut Vec::new()).expect_err("an event that cannot be stored")
}

#[test]
fn an_event_is_stored_with_the_constants_of_its_kind() {
    let [event] = stored(placed()).try_into().expect("one event");
    assert_eq!((event.event_type.as_str(), event.event_version), ("order.placed", 2));
    assert_eq!((event.topic.as_str(), event.aggregate_type.as_deref()), ("orders", Some("order")));
    assert_eq!((event.aggregate_id.as_deref(), event.payload.as_str()), (Some("A-1"), r#"{"id":"A-1"}"#));
    assert_eq!(event.deliver_at, None);
    let [paid] = stored(Paid(7)).try_into().expect("one event");
    assert_eq!((paid.topic.as_str(), paid.event_version), ("order", 1), "the aggregate is the topic");
    assert_eq!(paid.aggregate_id.as_deref(), Some("7"));
}

#[test]
fn everything_that_holds_events_is_accepted_in_order() {
    assert_eq!(types(()), Vec::<String>::new());
    assert_eq!(types(None::<Placed>), Vec::<String>::new());
    assert_eq!(types(Some(Paid(1))), ["order.paid"]);
    assert_eq!(types(vec![placed(), placed()]), ["order.placed", "order.placed"]);
    assert_eq!(types([Paid(1), Paid(2)]), ["order.paid", "order.paid"]);
    assert_eq!(types((Paid(1), placed())), ["order.paid", "order.placed"]);
    assert_eq!(types((Paid(1),)), ["order.paid"]);
    let nested = (
        Some(vec![(placed(), Paid(1))]),
        (),
        Paid(2).deliver_after(Duration::ZERO),
        vec![None, Some(Paid(3))],
    );
    assert_eq!(types(nested), ["order.placed", "order.paid", "order.paid", "order.paid"]);
    let p = placed;
    assert_eq!(types((p(), p(), p(), p(), p(), p(), p(), Paid(8))).len(), 8);
}

#[test]
fn an_envelope_carries_its_options_into_the_log() {
    let time: DateTime<Utc> = "2031-02-03T04:05:06Z".parse().expect("a time");
    let event = placed().deliver_at(time).with_header("region", "eu").with_header("region", "us");
    assert_eq!(event.event(), &placed());
    let [event] = stored(event).try_into().expect("one event");
    assert_eq!(event.deliver_at, Some(time));
    assert_eq!(event.headers.iter().collect::<Vec<_>>(), [("region", "us")]);

    let before = Utc::now();
    let [event] = stored(placed().with_header("a", "b").deliver_after(Duration::from_secs(60)))
        .try_into()
        .expect("one");
    let delay = event.deliver_at.expect("a time") - before;
    assert!((60..70).contains(&delay.num_seconds()), "{delay}");
}

#[test]
fn a_delay_beyond_the_calendar_is_its_end() {
    let [event] = stored(placed().deliver_after(Duration::MAX)).try_into().expect("one event");
    assert_eq!(event.deliver_at.expect("a time").to_rfc3339(), "9999-12-31T00:00:00+00:00");
}

#[test]
fn a_header_that_cannot_travel_is_told_at_capture() {
    let error = refused(Envelope::of(placed()).with_header("X-Bad", "v").with_header("id", "v"));
    let EventError::Header { event_type: "order.placed", source } = error else { panic!("{error:?}") };
    assert_eq!(source, HeaderError::Name { name: "X-Bad".into() }, "the first one");
}

#[test]
fn an_aggregate_id_that_does_not_fit_the_log_is_refused() {
    let id = |id: String| refused(Placed { id });
    assert!(matches!(id(String::new()), EventError::EmptyAggregateId { event_type: "order.placed" }));
    assert!(matches!(id("a\0b".into()), EventError::AggregateIdWithNul { .. }));
    let longest = "é".repeat(MAX_AGGREGATE_ID_LEN / 2) + "e";
    assert_eq!(stored(Placed { id: longest.clone() }).len(), 1);
    let found = longest.len() + 1;
    assert!(matches!(id(longest + "e"), EventError::AggregateIdTooLong { found: f, .. } if f == found));
}
