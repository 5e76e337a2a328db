//! Trace contexts as OpenTelemetry has them, for a subscriber with a layer of `tracing-opentelemetry`. Without such a
//! layer nothing here has an effect.

use std::str::FromStr as _;

use opentelemetry::{
    Context,
    trace::{SpanContext, SpanId, TraceContextExt as _, TraceFlags, TraceId, TraceState},
};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

use crate::{
    context::TraceParent,
    message::{Headers, names},
};

/// Links a span to the one in which a message was created.
pub(super) fn link(span: &Span, headers: &Headers) {
    if let Some(context) = creation_context(headers) {
        span.add_link(context);
    }
}

/// Makes a span a child of the one in which a message was created, and links it too: tools that look for links find
/// it, and so do those that show one trace.
pub(super) fn continue_from(span: &Span, headers: &Headers) {
    let Some(context) = creation_context(headers) else { return };
    // Errs without a layer, or where the layer filters the span out: then there is nothing to be made a child.
    let _ = span.set_parent(Context::new().with_remote_span_context(context.clone()));
    span.add_link(context);
}

/// Writes the trace context of the current span into `headers`; `false`, and no change, where there is none.
pub(crate) fn put_current(headers: &mut Headers) -> bool {
    let of_tracing = Span::current().context().span().span_context().clone();
    let current = if of_tracing.is_valid() {
        of_tracing
    } else {
        // Work that uses OpenTelemetry without `tracing`.
        Context::current().span().span_context().clone()
    };
    if !current.is_valid() {
        return false;
    }
    let (trace, span, flags) =
        (current.trace_id(), current.span_id(), current.trace_flags() & TraceFlags::SAMPLED);
    headers.insert(names::TRACEPARENT, format!("00-{trace:032x}-{span:016x}-{flags:02x}"));
    let state = current.trace_state().header();
    if state.is_empty() {
        headers.remove(names::TRACESTATE);
    } else {
        headers.insert(names::TRACESTATE, state);
    }
    true
}

fn creation_context(headers: &Headers) -> Option<SpanContext> {
    let parent = TraceParent::parse(headers.get(names::TRACEPARENT)?)?;
    let state = headers.get(names::TRACESTATE).and_then(|state| TraceState::from_str(state).ok());
    Some(SpanContext::new(
        TraceId::from_hex(parent.trace_id()).ok()?,
        SpanId::from_hex(parent.parent_id()).ok()?,
        TraceFlags::new(parent.flags()) & TraceFlags::SAMPLED,
        true,
        state.unwrap_or_default(),
    ))
}
