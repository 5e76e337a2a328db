//! The task-local scope that capture stores with each event: correlation, causation, trace, headers.
//!
//! An HTTP layer or a consumer enters a scope once, and every event that is captured inside of it carries
//! its headers; no function in between has to hand them on. A scope inside of a scope inherits what it
//! does not set itself.
//!
//! With the feature `opentelemetry`, an event that is captured where no scope sets a `traceparent` has the trace context
//! of the current span, so that a service which is traced by `tracing-opentelemetry` needs no scope for that. What a scope
//! sets wins: it was set on purpose, and it also holds where work goes on outside of the span. Inside a consumer's
//! handler that is the span in which the message is processed.
//!
//! ```
//! use outbox_core::context::Context;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let request = Context::builder()
//!     .correlation_id("req-7f3a")
//!     .traceparent("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
//!     .header("region", "eu")
//!     .build()?;
//!
//! request
//!     .scope(async {
//!         assert_eq!(Context::current().correlation_id(), Some("req-7f3a"));
//!
//!         // A spawned task is a task of its own: it inherits nothing unless it is given to it.
//!         let alone = tokio::spawn(async { Context::current() }).await?;
//!         assert_eq!(alone.correlation_id(), None);
//!         let given = tokio::spawn(Context::current().scope(async { Context::current() })).await?;
//!         assert_eq!(given.correlation_id(), Some("req-7f3a"));
//!         Ok(())
//!     })
//!     .await
//! # }
//! ```

mod builder;
mod trace_parent;

use crate::{
    message::{Headers, ReceivedMessage, check_header, names},
    telemetry::trace,
};

pub use builder::ContextBuilder;
pub use trace_parent::TraceParent;

/// What surrounds the work in progress. An HTTP layer or a consumer enters it; capture reads it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[must_use = "a context does nothing until it is entered with `scope`"]
pub struct Context {
    headers: Headers,
}

tokio::task_local! {
    static CURRENT: Context;
}

impl Context {
    /// A context to be filled.
    pub fn builder() -> ContextBuilder {
        ContextBuilder::default()
    }

    /// The current scope's context; empty outside of one. To hand it to a spawned task:
    /// `tokio::spawn(Context::current().scope(work))`.
    pub fn current() -> Self {
        CURRENT.try_with(Self::clone).unwrap_or_default()
    }

    /// The headers of the current scope; empty outside of one.
    #[must_use]
    pub fn current_headers() -> Headers {
        Self::current().headers
    }

    /// The headers that an event captured now is stored with: those of the scope, and the trace context of the
    /// current span where the scope sets none.
    pub(crate) fn headers_of_capture() -> Headers {
        let mut headers = Self::current_headers();
        if headers.get(names::TRACEPARENT).is_none() {
            trace::put_current(&mut headers);
        }
        headers
    }

    /// The same with the trace context of the current span, where there is one.
    pub(crate) fn in_current_span(mut self) -> Self {
        trace::put_current(&mut self.headers);
        self
    }

    /// The context of the work that a message sets off: the message is its cause, and correlation, trace
    /// and tenant go on. A message without a correlation id begins a correlation of its own.
    ///
    /// Other headers belong to that message alone. So does what cannot travel, whoever sent it.
    pub fn caused_by(message: &ReceivedMessage) -> Self {
        let correlation = message.headers.get(names::CORRELATION_ID).unwrap_or(&message.id);
        let trace = message.headers.get(names::TRACEPARENT).filter(|text| TraceParent::parse(text).is_some());
        let handed_on = [
            (names::CORRELATION_ID, Some(correlation)),
            (names::CAUSATION_ID, Some(message.id.as_str())),
            (names::TRACEPARENT, trace),
            (names::TRACESTATE, trace.and_then(|_| message.headers.get(names::TRACESTATE))),
            (names::TENANT, message.headers.get(names::TENANT)),
        ];
        let headers = handed_on
            .into_iter()
            .filter_map(|(name, value)| Some((name, value?)))
            .filter(|(name, value)| check_header(name, value).is_ok())
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        Self { headers }
    }

    /// Runs `work` with this context as the current one. What this one does not set is inherited from the
    /// scope in which the returned future is first polled.
    ///
    /// `join!` and `select!` stay inside of the scope; `tokio::spawn` leaves it.
    pub async fn scope<F: Future>(self, work: F) -> F::Output {
        CURRENT.scope(self.inside_current(), work).await
    }

    /// Runs `work` with this context as the current one, without any `async`.
    pub fn sync_scope<T>(self, work: impl FnOnce() -> T) -> T {
        CURRENT.sync_scope(self.inside_current(), work)
    }

    fn inside_current(self) -> Self {
        let mut headers = Self::current_headers();
        headers.extend(self.headers);
        Self { headers }
    }

    /// Ties together everything that one request caused.
    #[must_use]
    pub fn correlation_id(&self) -> Option<&str> {
        self.headers.get(names::CORRELATION_ID)
    }

    /// The id of the message that caused this work.
    #[must_use]
    pub fn causation_id(&self) -> Option<&str> {
        self.headers.get(names::CAUSATION_ID)
    }

    /// The W3C trace context.
    #[must_use]
    pub fn traceparent(&self) -> Option<&str> {
        self.headers.get(names::TRACEPARENT)
    }

    /// The W3C trace state.
    #[must_use]
    pub fn tracestate(&self) -> Option<&str> {
        self.headers.get(names::TRACESTATE)
    }

    /// The tenant on whose behalf this work is done.
    #[must_use]
    pub fn tenant(&self) -> Option<&str> {
        self.headers.get(names::TENANT)
    }

    /// All headers, those above included.
    #[must_use]
    pub fn headers(&self) -> &Headers {
        &self.headers
    }
}
