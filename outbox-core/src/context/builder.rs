//! Fills a context and checks it at the end.

use super::Context;
use crate::message::{HeaderError, Headers, check_header, names};

/// Fills a [`Context`]; [`build`](Self::build) checks it.
#[derive(Debug, Clone, Default)]
#[must_use = "a builder makes nothing until `build`"]
pub struct ContextBuilder {
    headers: Headers,
    refused: Option<HeaderError>,
}

impl ContextBuilder {
    /// Ties together everything that one request caused: the request's id.
    pub fn correlation_id(self, id: impl Into<String>) -> Self {
        self.header(names::CORRELATION_ID, id)
    }

    /// The id of the message or command that caused this work.
    pub fn causation_id(self, id: impl Into<String>) -> Self {
        self.header(names::CAUSATION_ID, id)
    }

    /// The W3C trace context. One from outside is better checked with
    /// [`TraceParent::parse`](super::TraceParent::parse) and left out where it is broken, as the W3C asks.
    pub fn traceparent(self, traceparent: impl Into<String>) -> Self {
        self.header(names::TRACEPARENT, traceparent)
    }

    /// The W3C trace state, which goes with a trace context.
    pub fn tracestate(self, tracestate: impl Into<String>) -> Self {
        self.header(names::TRACESTATE, tracestate)
    }

    /// The tenant on whose behalf the work is done.
    pub fn tenant(self, tenant: impl Into<String>) -> Self {
        self.header(names::TENANT, tenant)
    }

    /// A header of one's own. The name is of lower-case letters and digits, as CloudEvents asks for its
    /// extension attributes, and none that the wire format has for itself.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        let (name, value) = (name.into(), value.into());
        match check_header(&name, &value) {
            Ok(()) => {
                self.headers.insert(name, value);
            }
            Err(error) => {
                self.refused.get_or_insert(error);
            }
        }
        self
    }

    /// The context.
    ///
    /// # Errors
    /// The first header that cannot travel, and a trace state without a trace context.
    pub fn build(self) -> Result<Context, HeaderError> {
        if let Some(error) = self.refused {
            return Err(error);
        }
        let has = |name| self.headers.get(name).is_some();
        if has(names::TRACESTATE) && !has(names::TRACEPARENT) {
            return Err(HeaderError::TraceStateAlone);
        }
        Ok(Context { headers: self.headers })
    }
}
