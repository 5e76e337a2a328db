//! The spans of the relay and of the consumer, by OpenTelemetry's conventions for messaging.
//!
//! A relay's span is a client's: the conventions keep the kind "producer" for the span whose context travels with the
//! message, and that is the saver's, stored at capture and never rewritten.

use tracing::{Span, field::Empty};

use super::trace;
use crate::{
    context::TraceParent,
    message::{Headers, Message, ReceivedMessage, names},
};

/// The span of one call of a publisher, linked to the span of each message's saver.
pub(super) fn send(system: &str, subscription: &str, messages: &[Message]) -> Span {
    let destination = one_topic(messages);
    let name = named("send", destination);
    let span = tracing::info_span!(
        "send",
        "otel.name" = name,
        "otel.kind" = "client",
        "otel.status_code" = Empty,
        "messaging.system" = system,
        "messaging.operation.name" = "send",
        "messaging.operation.type" = "send",
        "messaging.destination.name" = destination,
        "messaging.batch.message_count" = messages.len(),
        "messaging.message.id" = Empty,
        "outbox.subscription" = subscription,
        "error.type" = Empty,
        trace_id = Empty,
    );
    if span.is_disabled() {
        return span;
    }
    for message in messages {
        trace::link(&span, &message.headers);
    }
    if let [message] = messages {
        span.record("messaging.message.id", tracing::field::display(message.id));
        span.record("trace_id", trace_id(&message.headers));
    } else {
        // A field of the span would stand in every line that is logged inside of it.
        span.in_scope(|| {
            for message in messages {
                tracing::trace!(id = %message.id, trace_id = trace_id(&message.headers), "sending");
            }
        });
    }
    span
}

/// The span of one delivery's processing. It goes on with the saver's trace and is linked to its span.
pub(super) fn process(
    system: &str,
    destination: Option<&str>,
    consumer: &str,
    message: &ReceivedMessage,
) -> Span {
    let name = named("process", destination);
    let span = tracing::info_span!(
        "process",
        "otel.name" = name,
        "otel.kind" = "consumer",
        "otel.status_code" = Empty,
        "messaging.system" = system,
        "messaging.operation.name" = "process",
        "messaging.operation.type" = "process",
        "messaging.destination.name" = destination,
        "messaging.consumer.group.name" = consumer,
        "messaging.message.id" = message.id,
        "error.type" = Empty,
        trace_id = trace_id(&message.headers),
    );
    if !span.is_disabled() {
        trace::continue_from(&span, &message.headers);
    }
    span
}

/// What a span covers ended in this class of errors.
pub(super) fn fail(span: &Span, error_type: &str) {
    span.record("error.type", error_type);
    span.record("otel.status_code", "ERROR");
}

fn named(operation: &str, destination: Option<&str>) -> String {
    destination.map_or_else(|| operation.to_owned(), |destination| format!("{operation} {destination}"))
}

/// The topic, where all messages have the same.
fn one_topic(messages: &[Message]) -> Option<&str> {
    let (first, others) = messages.split_first()?;
    others.iter().all(|other| other.topic == first.topic).then_some(first.topic.as_str())
}

/// Of a trace context in the W3C format only: another text is somebody's header.
fn trace_id(headers: &Headers) -> Option<&str> {
    TraceParent::parse(headers.get(names::TRACEPARENT)?).map(TraceParent::trace_id)
}
