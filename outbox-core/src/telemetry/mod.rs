//! What the relay and the consumer tell of themselves: metrics, spans, logs.
//!
//! **Metrics** go through the facade of the crate `metrics` to whichever recorder the process has installed; without one
//! they cost next to nothing. Their names are in [`names`], and [`METRICS`] says of each what it is. Labels are names
//! that the service gives and short fixed lists: never an aggregate, an id or a topic. What can be known from the leader's
//! own work is told as it happens; the rest comes from a survey of the log, which the leader asks for every
//! [`survey_interval`](crate::relay::RelayConfig::survey_interval). A process that does not lead a subscription shows
//! its gauges at zero, so that over several processes the sum and the maximum are both right.
//!
//! **Spans** are those of `tracing`, with the names and attributes of OpenTelemetry's conventions for messaging: one for
//! each call of a publisher (`send`) and one for each delivery that is processed (`process`), at level INFO. The trace context in which an
//! event was captured travels in its headers, to the publisher and on the wire, and nobody on the way rewrites it. With the
//! feature `opentelemetry`, and a layer of `tracing-opentelemetry` in the subscriber,
//!
//! - capture takes the trace context from the current span, where the [scope](crate::context) sets none;
//! - a span `send` is linked to the span of each message's saver, as the conventions ask of a batch;
//! - a span `process` is a child of the saver's span and linked to it, and what its handler captures goes on from there.
//!
//! Without the feature nothing is linked, and the trace id is a field: of the span where it is of one message, else of
//! an event at level TRACE for each message of the batch. That is so because `tracing` itself cannot name a span of
//! another process, and not every service has a use for OpenTelemetry's crates.
//!
//! **Nothing of a payload, of a header or of an aggregate** is in a metric, a span, a log or an error of this library, but
//! for the trace id. The reason that a publisher gives for an outcome, the text of a panic and the error of a handler are
//! passed on as they are: they are their author's words.
//!
//! **Logs** tell a change of state once, when it changes: a lease that was lost or an outage as a warning, its end as
//! information, a dead event as an error with its id, an expected duplicate at level DEBUG.

mod clock;
mod consumer;
mod metric;
pub mod names;
mod processing;
mod relay;
mod sending;
mod span;
#[cfg_attr(feature = "opentelemetry", path = "linked.rs")]
#[cfg_attr(not(feature = "opentelemetry"), path = "unlinked.rs")]
pub(crate) mod trace;

pub(crate) use consumer::ConsumerMeter;
pub use metric::{METRICS, Metric, MetricKind, MetricUnit, describe_metrics};
pub(crate) use processing::{Disposal, Processing};
pub(crate) use relay::{BreakerState, RelayMeter, Unanswered};
pub(crate) use sending::Sending;
