//! A trace goes from the save of an entity through the log, the relay and the broker to the handler.

use std::{sync::OnceLock, time::Duration};

use anyhow::Result;
use opentelemetry::trace::{SpanId, SpanKind, Status, TraceContextExt as _, TracerProvider as _};
use opentelemetry_sdk::trace::{InMemorySpanExporter, SdkTracerProvider, SpanData};
use outbox_seaorm::{
    Inbox, SeaOrmLog, Tx,
    consumer::{Consumer, Delivery, HandlerError},
    context::{Context, TraceParent},
    memory::MemoryBroker,
    prelude::*,
    relay::{Relay, Subscription},
};
use outbox_tests::{
    Kind, TestDb,
    database::until,
    shop::{
        self,
        events::{OrderPaid, OrderPlaced},
        order,
    },
};
use sea_orm::TransactionTrait as _;
use tracing::{Instrument as _, info_span};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;
use tracing_subscriber::layer::SubscriberExt as _;

const DEADLINE: Duration = Duration::from_secs(30);

/// The finished spans of this process. The subscriber is one for all threads: a span that was entered on a thread of
/// sqlx's would never end otherwise.
fn exporter() -> &'static InMemorySpanExporter {
    static EXPORTER: OnceLock<(InMemorySpanExporter, SdkTracerProvider)> = OnceLock::new();
    let (exporter, _) = EXPORTER.get_or_init(|| {
        let exporter = InMemorySpanExporter::default();
        let provider = SdkTracerProvider::builder().with_simple_exporter(exporter.clone()).build();
        let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("test"));
        tracing::subscriber::set_global_default(tracing_subscriber::registry().with(layer))
            .expect("the only one");
        (exporter, provider)
    });
    exporter
}

/// The spans of a subscription or of a consumer, each of which only one test has.
fn spans(of: &str) -> Vec<SpanData> {
    let keys = ["outbox.subscription", "messaging.consumer.group.name"];
    let spans = exporter().get_finished_spans().expect("spans");
    spans
        .into_iter()
        .filter(|span| keys.iter().any(|key| attribute(span, key).as_deref() == Some(of)))
        .collect()
}

fn attribute(span: &SpanData, key: &str) -> Option<String> {
    let found = span.attributes.iter().find(|attribute| attribute.key.as_str() == key);
    found.map(|attribute| attribute.value.to_string())
}

async fn pay(event: Delivery<OrderPlaced>, txn: Tx) -> Result<(), HandlerError> {
    OrderPaid { order_id: event.order_id }.record(&txn).await?;
    Ok(())
}

#[tokio::test]
async fn one_trace_goes_from_the_save_to_the_handler_and_to_what_it_captures() -> Result<()> {
    let test = TestDb::create(Kind::Sqlite).await?;
    shop::create_tables(&test.db).await?;
    exporter();

    let mut saved = Vec::new();
    for _ in 0..2 {
        let request = info_span!("request");
        order::ActiveModel::placed().insert(&test.db).instrument(request.clone()).await?;
        saved.push(request.context().span().span_context().clone());
    }
    let stored = shop::log(&test.db).await?;
    for (event, saved) in stored.iter().zip(&saved) {
        let headers = event.headers.as_deref().expect("headers");
        let expected = format!("00-{:032x}-{:016x}-01", saved.trace_id(), saved.span_id());
        assert_eq!(headers, format!(r#"{{"traceparent":"{expected}"}}"#));
    }

    let broker = MemoryBroker::new();
    let subscription = Subscription::new("memory", broker.publisher().route("orders", "orders-queue"));
    let relay = Relay::new(SeaOrmLog::new(test.db.clone()), "/shop").subscription(subscription).spawn();
    let consumer = Consumer::new(broker.source("orders-queue"), Inbox::new(test.db.clone(), "billing")?)
        .ignore("order.paid")
        .on(pay);
    let handled =
        until("two handled messages", DEADLINE, async || (spans("billing").len() >= 4).then_some(()));
    let report = consumer.run_until(handled).await?;
    relay.stop().await?;
    assert_eq!((report.processed, report.ignored), (2, 2));

    // The relay's call is linked to both savers and belongs to neither.
    let first_send = spans("memory").into_iter().next().expect("a send");
    assert_eq!((&*first_send.name, first_send.span_kind.clone()), ("send orders", SpanKind::Client));
    assert_eq!(first_send.parent_span_id, SpanId::INVALID);
    let sends = spans("memory");
    let links: Vec<_> =
        sends.iter().flat_map(|span| span.links.iter()).map(|link| link.span_context.span_id()).collect();
    for saved in &saved {
        assert!(
            links.contains(&saved.span_id()),
            "expected a link to {:?}, found {links:?}",
            saved.span_id()
        );
    }
    let expected = [
        ("messaging.system", "memory"),
        ("messaging.operation.name", "send"),
        ("messaging.operation.type", "send"),
        ("messaging.destination.name", "orders"),
        ("outbox.subscription", "memory"),
    ];
    for (key, value) in expected {
        assert_eq!(attribute(&first_send, key).as_deref(), Some(value), "{key}");
    }
    let sent: usize = sends
        .iter()
        .map(|span| {
            attribute(span, "messaging.batch.message_count")
                .expect("a count")
                .parse::<usize>()
                .expect("a number")
        })
        .sum();
    assert_eq!(sent, 4, "two orders and two payments");

    // What is processed is the saver's child, and what its handler captured goes on from there.
    let processed = spans("billing");
    let stored = shop::log(&test.db).await?;
    for (place, saved) in saved.iter().enumerate() {
        let of_trace: Vec<_> =
            processed.iter().filter(|span| span.span_context.trace_id() == saved.trace_id()).collect();
        assert_eq!(of_trace.len(), 2, "its order and its payment, in one trace");
        let order =
            of_trace.iter().find(|span| span.parent_span_id == saved.span_id()).expect("the saver's child");
        assert_eq!((&*order.name, order.span_kind.clone()), ("process orders-queue", SpanKind::Consumer));
        assert!(order.parent_span_is_remote);
        assert_eq!(
            order.links.iter().map(|link| link.span_context.span_id()).collect::<Vec<_>>(),
            [saved.span_id()]
        );
        assert_eq!(attribute(order, "messaging.consumer.group.name").as_deref(), Some("billing"));
        assert_eq!(attribute(order, "messaging.message.id"), Some(stored[place].id.to_string()));
        let payment = of_trace.iter().find(|span| span.parent_span_id == order.span_context.span_id());
        assert!(payment.is_some(), "the payment was captured in the handler's span: {of_trace:#?}");
    }
    Ok(())
}

#[tokio::test]
async fn a_scope_that_sets_a_trace_wins_over_the_current_span() -> Result<()> {
    const SET: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let test = TestDb::create(Kind::Sqlite).await?;
    exporter();
    let order = OrderPaid { order_id: sea_orm::prelude::Uuid::now_v7() };
    let traced = Context::builder().traceparent(SET).tracestate("a=1").build()?;
    let tenant = Context::builder().tenant("t").build()?;
    let txn = test.db.begin().await?;
    let request = info_span!("request");
    // An event takes its headers when `record` is called.
    traced.scope(async { order.clone().record(&txn).await }).instrument(request.clone()).await?;
    tenant.scope(async { order.clone().record(&txn).await }).instrument(request.clone()).await?;
    order.record(&txn).await?;
    txn.commit().await?;

    let headers: Vec<_> =
        shop::log(&test.db).await?.into_iter().map(|event| event.headers.unwrap_or_default()).collect();
    assert_eq!(headers[0], format!(r#"{{"traceparent":"{SET}","tracestate":"a=1"}}"#));
    let trace = format!("{:032x}", request.context().span().span_context().trace_id());
    assert!(headers[1].contains(&trace) && headers[1].contains(r#""tenant":"t""#), "found {}", headers[1]);
    assert_eq!(headers[2], "", "outside of a span there is no trace");
    Ok(())
}

/// Takes a message's trace to the wire and back.
#[tokio::test]
async fn the_trace_context_arrives_as_it_was_captured() -> Result<()> {
    const SET: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let test = TestDb::create(Kind::Sqlite).await?;
    exporter();
    let txn = test.db.begin().await?;
    let context = Context::builder().traceparent(SET).tracestate("a=1,b=2").build()?;
    context
        .scope(async { OrderPaid { order_id: sea_orm::prelude::Uuid::now_v7() }.record(&txn).await })
        .await?;
    txn.commit().await?;

    let broker = MemoryBroker::new();
    let subscription = Subscription::new("wire", broker.publisher().route("orders", "orders-queue"));
    let relay = Relay::new(SeaOrmLog::new(test.db.clone()), "/shop").subscription(subscription).spawn();
    let (sender, mut arrived) = tokio::sync::mpsc::unbounded_channel();
    let handler = move |event: Delivery<OrderPaid>, _: Tx| {
        let headers = event.message().headers.clone();
        let parent = Context::current().traceparent().map(ToOwned::to_owned);
        let _ = sender.send((headers, parent));
        async { Err::<(), _>(HandlerError::reject("on purpose")) }
    };
    let consumer =
        Consumer::new(broker.source("orders-queue"), Inbox::new(test.db.clone(), "accounting")?).on(handler);
    let failed =
        until("the failed message", DEADLINE, async || (!spans("accounting").is_empty()).then_some(()));
    consumer.run_until(failed).await?;
    relay.stop().await?;

    let (headers, parent) = arrived.try_recv()?;
    assert_eq!(headers.get("traceparent"), Some(SET));
    assert_eq!(headers.get("tracestate"), Some("a=1,b=2"));
    let parent = parent.expect("a trace in the handler's scope");
    let parent = TraceParent::parse(&parent).expect("the W3C format");
    assert_eq!(parent.trace_id(), "4bf92f3577b34da6a3ce929d0e0e4736");
    let span = spans("accounting").into_iter().next().expect("a span");
    assert_eq!(span.status, Status::error(""));
    assert_eq!(attribute(&span, "error.type").as_deref(), Some("handler_failed"));
    Ok(())
}
