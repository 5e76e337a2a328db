//! What an event takes from the scope in which it is captured.

use outbox_core::{
    context::Context,
    event::{Envelope, IntoEvents, NewEvent},
    message::{HeaderError, ReceivedMessage},
    wire,
};
use outbox_derive::OutboxEvent;
use serde::Serialize;

const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
const OTHER_TRACE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";

#[derive(Serialize, OutboxEvent)]
#[outbox(event_type = "order.placed", topic = "orders")]
struct Placed;

fn captured(event: impl IntoEvents) -> NewEvent {
    let mut into = Vec::new();
    event.append_to(&mut into).expect("an event that can be stored");
    into.pop().expect("one event")
}

fn pairs(event: &NewEvent) -> Vec<(&str, &str)> {
    event.headers.iter().collect()
}

fn correlated(id: &str) -> Context {
    Context::builder().correlation_id(id).build().expect("a context")
}

#[tokio::test]
async fn an_event_carries_the_headers_of_its_scope_and_its_own_win() {
    let context = Context::builder()
        .correlation_id("c")
        .causation_id("m")
        .traceparent(TRACE)
        .tracestate("a=1")
        .tenant("t")
        .header("region", "eu")
        .build()
        .expect("a context");
    let event = context.scope(async { captured(Envelope::of(Placed).with_header("region", "us")) }).await;
    assert_eq!(
        pairs(&event),
        [
            ("causationid", "m"),
            ("correlationid", "c"),
            ("region", "us"),
            ("tenant", "t"),
            ("traceparent", TRACE),
            ("tracestate", "a=1"),
        ]
    );
    assert_eq!(pairs(&captured(Placed)), [], "the scope is over");
}

#[tokio::test]
async fn an_inner_scope_inherits_what_it_does_not_set() {
    let outer = Context::builder().correlation_id("c").tenant("outer").build().expect("a context");
    outer
        .scope(async {
            let inner = Context::builder().tenant("inner").header("region", "eu").build().expect("a context");
            let event = inner.scope(async { captured(Placed) }).await;
            assert_eq!(pairs(&event), [("correlationid", "c"), ("region", "eu"), ("tenant", "inner")]);
            assert_eq!(pairs(&captured(Placed)), [("correlationid", "c"), ("tenant", "outer")]);
        })
        .await;
}

#[tokio::test]
async fn a_trace_state_is_never_paired_with_another_trace() {
    let outer = Context::builder().traceparent(TRACE).tracestate("a=1").build().expect("a context");
    let inner = Context::builder().traceparent(OTHER_TRACE).build().expect("a context");
    let event = outer.scope(inner.scope(async { captured(Placed) })).await;
    assert_eq!(pairs(&event), [("traceparent", OTHER_TRACE)]);
    let alone = Context::builder().tracestate("a=1").build();
    assert_eq!(alone, Err(HeaderError::TraceStateAlone));
}

#[tokio::test]
async fn two_scopes_side_by_side_do_not_mix() {
    let work = |id| {
        correlated(id).scope(async {
            tokio::task::yield_now().await;
            let event = captured(Placed);
            tokio::task::yield_now().await;
            event
        })
    };
    let (one, two) = tokio::join!(work("1"), work("2"));
    assert_eq!((pairs(&one), pairs(&two)), (vec![("correlationid", "1")], vec![("correlationid", "2")]));
}

#[tokio::test]
async fn a_spawned_task_has_the_context_that_it_is_given() {
    correlated("c")
        .scope(async {
            let alone = tokio::spawn(async { captured(Placed) }).await.expect("no panic");
            assert_eq!(pairs(&alone), []);
            let given = tokio::spawn(Context::current().scope(async { captured(Placed) }));
            assert_eq!(pairs(&given.await.expect("no panic")), [("correlationid", "c")]);
        })
        .await;
}

#[test]
fn a_scope_without_async_ends_with_its_closure() {
    let event = correlated("c").sync_scope(|| {
        let inner = Context::builder().tenant("t").build().expect("a context");
        inner.sync_scope(|| captured(Placed))
    });
    assert_eq!(pairs(&event), [("correlationid", "c"), ("tenant", "t")]);
    assert_eq!(Context::current(), Context::default());
}

#[test]
fn a_context_that_cannot_travel_is_refused_by_name() {
    let error = Context::builder().header("X-Tenant", "t").correlation_id("c").build();
    assert_eq!(error, Err(HeaderError::Name { name: "X-Tenant".into() }));
    let error = Context::builder().header("partitionkey", "t").build();
    assert_eq!(error, Err(HeaderError::Reserved { name: "partitionkey".into() }));
    assert_eq!(Context::builder().traceparent("00-1").build(), Err(HeaderError::TraceParent));
    let error = Context::builder().correlation_id("a\nb").build();
    assert_eq!(error, Err(HeaderError::ControlCharacter { name: "correlationid".into() }));
}

fn received(extensions: &str) -> ReceivedMessage {
    let body = format!(r#"{{"specversion":"1.0","id":"m-1","source":"/s","type":"t"{extensions}}}"#);
    wire::decode(&body, &Default::default()).expect("a message")
}

#[test]
fn a_message_hands_on_its_trace_and_not_its_own_headers() {
    let message = received(&format!(
        r#","correlationid":"c","causationid":"m-0","traceparent":"{TRACE}","tracestate":"a=1","tenant":"t","region":"eu""#
    ));
    let context = Context::caused_by(&message);
    assert_eq!((context.correlation_id(), context.causation_id()), (Some("c"), Some("m-1")));
    assert_eq!((context.traceparent(), context.tracestate()), (Some(TRACE), Some("a=1")));
    assert_eq!((context.tenant(), context.headers().get("region")), (Some("t"), None));
}

#[test]
fn a_strangers_message_begins_a_correlation_and_its_broken_trace_ends_here() {
    let context = Context::caused_by(&received(r#","traceparent":"broken","tracestate":"a=1""#));
    let headers: Vec<_> = context.headers().iter().collect();
    assert_eq!(headers, [("causationid", "m-1"), ("correlationid", "m-1")]);
}
